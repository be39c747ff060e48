import { appendFile, mkdir, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RequestTags } from "./tags.ts";

const a = "aa".repeat(32);
const b = "bb".repeat(32);
const replayed = expect.objectContaining({ code: "NONCE_REPLAYED" });
const journal = async () => join(await mkdtemp(join(tmpdir(), "countersign-tags-")), "state", "tags.txt");

describe("request tags", () => {
  it("are held by one run at a time, and given back by one that failed", async () => {
    const tags = await RequestTags.open(null, 0);
    const release = tags.reserve(a, 0);
    expect(() => tags.reserve(a, 0)).toThrow(replayed);
    tags.reserve(b, 0);
    release();
    tags.reserve(a, 0);
  });

  it("are spent by a signature, also across a restart, until the offer is void", async () => {
    const path = await journal();
    const tags = await RequestTags.open(path, 0);
    tags.reserve(a, 0)();
    await tags.sign(a, 100);
    expect(() => tags.reserve(a, 100_000)).toThrow(replayed);
    const restarted = await RequestTags.open(path, 1000);
    expect(() => restarted.reserve(a, 100_000)).toThrow(replayed);
    restarted.reserve(a, 100_001);
    expect(await readFile(path, "utf8")).toBe(`${a} 100\n`);
  });

  it("survive a line that a crash cut short, and refuse a file that somebody else wrote", async () => {
    const path = await journal();
    await (await RequestTags.open(path, 0)).sign(a, 100);
    await appendFile(path, "bbbb");
    const tags = await RequestTags.open(path, 0);
    expect(() => tags.reserve(a, 0)).toThrow(replayed);
    // What is signed after the crash stands on a line of its own.
    await tags.sign(b, 100);
    const restarted = await RequestTags.open(path, 0);
    for (const tag of [a, b]) expect(() => restarted.reserve(tag, 0)).toThrow(replayed);
    await appendFile(path, "\nmore\n");
    await expect(RequestTags.open(path, 0)).rejects.toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
  });

  it("are not forgotten because the journal cannot be read", async () => {
    const path = await journal();
    await mkdir(path, { recursive: true });
    await expect(RequestTags.open(path, 0)).rejects.toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
  });
});
