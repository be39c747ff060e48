import { CountersignError, utf8 } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { layOutLog } from "../static-log.ts";
import { serveLog } from "./serve.ts";

const tree = layOutLog(Array.from({ length: 300 }, (_, i) => utf8(`${i}`)));
const asked: string[] = [];
const handle = serveLog({
  async fetchTile(path) {
    asked.push(path);
    return path === "checkpoint" ? utf8("note\n") : tree.fetchTile(path);
  },
  prefix: "/log/",
});
const get = (path: string, method = "GET") => handle(new Request(`http://localhost${path}`, { method }));

describe("serveLog", () => {
  it("serves tiles for long and the checkpoint for no time", async () => {
    const full = await get("/log/tile/0/000");
    expect([full.status, full.headers.get("cache-control")]).toEqual([200, "public, max-age=31536000, immutable"]);
    expect(new Uint8Array(await full.arrayBuffer())).toEqual(tree.files.get("tile/0/000"));
    const checkpoint = await get("/log/checkpoint");
    expect(checkpoint.headers.get("cache-control")).toBe("no-store");
    expect(checkpoint.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(await checkpoint.text()).toBe("note\n");
    const head = await get("/log/tile/entries/001.p/44", "HEAD");
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  it("asks its files for nothing that is not a log's path", async () => {
    asked.length = 0;
    for (const path of [
      "/log/wal/0000000000000000",
      "/log/lock",
      "/log/../checkpoint",
      "/log/tile/0/../../wal/0",
      "/log/tile/0/%2e%2e/%2e%2e/lock",
      "/log/tile/0/..%2f..%2flock",
      "/log/tile/0/000%00",
      "/log//checkpoint",
      "/log/checkpoint/",
      "/log/tile/0/000.tmp",
      "/tile/0/000",
      "/",
    ])
      expect((await get(path)).status, path).toBe(404);
    expect(asked).toEqual([]);
    expect((await get("/log/tile/5/000")).status).toBe(404);
    expect((await get("/log/checkpoint", "POST")).status).toBe(405);
  });

  it("does not turn a broken disk into a missing file", async () => {
    const broken = serveLog({
      fetchTile: () => Promise.reject(new CountersignError("FILE_UNREADABLE", { message: "EIO" })),
    });
    await expect(broken(new Request("http://localhost/checkpoint"))).rejects.toThrow(/FILE_UNREADABLE/);
  });
});
