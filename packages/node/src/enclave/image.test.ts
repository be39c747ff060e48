import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { toHex } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { program } from "./fixtures/program.ts";
import { digestImage, listImage } from "./image.ts";

describe.skipIf(process.platform !== "linux")("an image", () => {
  it("is the code, its dependencies and the lockfile, and nothing else", async () => {
    const { image } = await program();
    expect(listImage(image().code).map((p) => p.inside)).toEqual([
      "/app/node_modules/deeper/package.json",
      "/app/node_modules/dep/index.js",
      "/app/node_modules/dep/package.json",
      "/app/node_modules/sister",
      "/app/package-lock.json",
      "/app/packages/node/package.json",
      "/app/packages/node/src/main.ts",
      "/app/packages/sister/package.json",
      "/app/packages/sister/src/index.ts",
    ]);
    expect(image().runtime.map((p) => p.inside)).toContain("/runtime/node");
  });

  it("is another one when anything of it changes, and the same where nothing does", async () => {
    const { image, put } = await program();
    const digest = () => toHex(digestImage(image().code));
    const first = digest();
    expect(digest()).toBe(first);
    await put("packages/node/README.md", "changed, and not part of it");
    await put("node_modules/unused/index.js", "1");
    expect(digest()).toBe(first);
    const seen = new Set([first]);
    for (const [path, text] of [
      ["packages/node/src/main.ts", "export { };"],
      ["packages/node/src/more.ts", ""],
      ["node_modules/dep/index.js", "2"],
      ["package-lock.json", "{ }"],
    ] as const) {
      await put(path, text);
      const next = digest();
      expect(seen.has(next), path).toBe(false);
      seen.add(next);
    }
  });

  it("with a pipe or a socket among its files is none: nobody knows what a reader inside would be given", async () => {
    const { base, image } = await program();
    const folder = join(base, "node_modules/dep/lib");
    const refused = expect.objectContaining({ code: "TEE_UNAVAILABLE" });
    execFileSync("mkdir", [folder]);
    execFileSync("mkfifo", [join(folder, "core")]);
    expect(() => digestImage(image().code)).toThrow(refused);
    await rm(join(folder, "core"));
    expect(() => digestImage(image().code)).not.toThrow();
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(folder, "s"), done));
    expect(() => digestImage(image().code)).toThrow(refused);
    await new Promise((done) => server.close(done));
    // As a part by itself it would be waited for, not passed over.
    execFileSync("mkfifo", [join(folder, "alone")]);
    expect(() => digestImage([{ kind: "file", host: join(folder, "alone"), inside: "/app/alone" }])).toThrow(refused);
  });

  it("does not depend on where it lies", async () => {
    const [here, there] = [await program(), await program()];
    expect(toHex(digestImage(here.image().code))).toBe(toHex(digestImage(there.image().code)));
  });
});
