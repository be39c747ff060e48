import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../run.ts";
import { openSealed } from "./sealed.ts";

const key = new Uint8Array(32).fill(7);
const code = (word: string) => expect.objectContaining({ code: word });
const fresh = async () => join(await mkdtemp(join(tmpdir(), "countersign-sealed-")), "sealed.bin");
const open = (path: string, change: Partial<Parameters<typeof openSealed>[0]> = {}) =>
  openSealed({ path, key, newKeys: false, random: systemRandom, ...change });

describe("sealed storage", () => {
  it("gives back what it holds, and shows nothing of it", async () => {
    const path = await fresh();
    const first = await open(path);
    expect(first.isNew).toBe(true);
    const { seeds } = first;
    // The channel's key is not among them: what is kept could be put back, and opened again with.
    expect(Object.keys(seeds).sort()).toEqual(["receipt", "settlement"]);
    const second = await open(path);
    expect(second.isNew).toBe(false);
    expect(second.seeds).toEqual(seeds);
    const text = (await readFile(path)).toString("latin1");
    for (const seed of Object.values(seeds)) {
      expect(text).not.toContain(seed);
      expect(text).not.toContain(Buffer.from(seed, "hex").toString("latin1"));
    }
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  it("opens under no other key, and not with one bit changed anywhere", async () => {
    const path = await fresh();
    await open(path);
    await expect(open(path, { key: new Uint8Array(32).fill(8) })).rejects.toEqual(code("TEE_SEALED_ELSEWHERE"));
    const sound = await readFile(path);
    for (let at = 0; at < sound.length; at += 5) {
      const bytes = Buffer.from(sound);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      await writeFile(path, bytes);
      await expect(open(path)).rejects.toEqual(code("TEE_SEALED_ELSEWHERE"));
    }
    for (const bytes of [sound.subarray(0, 20), Buffer.alloc(0), Buffer.concat([sound, Buffer.alloc(1)])]) {
      await writeFile(path, bytes);
      await expect(open(path)).rejects.toEqual(code("TEE_SEALED_ELSEWHERE"));
    }
  });

  it("starts over by the operator's word alone", async () => {
    const path = await fresh();
    const first = await open(path);
    const other = new Uint8Array(32).fill(8);
    const second = await open(path, { key: other, newKeys: true });
    expect(second.seeds).not.toEqual(first.seeds);
    expect((await open(path, { key: other })).seeds).toEqual(second.seeds);
  });

  it("without a key of the platform keeps nothing", async () => {
    const path = await fresh();
    const first = await open(path, { key: null });
    await expect(readFile(path)).rejects.toThrow(/ENOENT/);
    const second = await open(path, { key: null });
    expect(toHex(Buffer.from(first.seeds.receipt))).not.toBe(toHex(Buffer.from(second.seeds.receipt)));
  });
});
