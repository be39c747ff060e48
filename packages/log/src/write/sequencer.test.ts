import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError, equalBytes, fromUtf8, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseCheckpoint } from "../checkpoint.ts";
import { openReader } from "../client.ts";
import { followLog } from "../follow.ts";
import { parseNote, signNote } from "../note.ts";
import { checkTlogProof } from "../proof.ts";
import { layOutLog } from "../static-log.ts";
import { hashLeaf } from "../tree.ts";
import { verifierKey } from "../vkey.ts";
import { fsckDirectory } from "./fsck.ts";
import type { OpenLogOptions } from "./options.ts";
import { headerBytes, readSegment } from "./segment.ts";
import { openLog } from "./sequencer.ts";

const origin = "log.example/test";
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const log = verifierKey(origin, "note", signer.publicKey);
const suite = nodeSuite;
// Where a flush costs nothing, hundreds of restarts fit into a test.
const place = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(place, "countersign-log-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (more: Partial<OpenLogOptions> = {}) =>
  openLog({ dir, origin, signer, suite, order: "arrival", flushEvery: 0, ...more });
const entry = (i: number) => utf8(`entry ${i} ${"x".repeat(i < 8 ? 0 : i % 50)}`);
const appendAll = async (writer: Awaited<ReturnType<typeof open>>, from: number, to: number) => {
  const appended = await Promise.all(Array.from({ length: to - from }, (_, i) => writer.append(entry(from + i))));
  return appended;
};
const readAll = async () => {
  const reader = openReader({ fetchTile: (await import("./directory.ts")).readDirectory(dir), log, suite });
  const checkpoint = await reader.checkpoint();
  const out: string[] = [];
  for await (const { entry } of reader.entries(checkpoint, 0, checkpoint.size)) out.push(fromUtf8(entry));
  return out;
};
const fsck = async () => (await fsckDirectory({ dir, log, suite })).faults;
const expected = (n: number) => Array.from({ length: n }, (_, i) => fromUtf8(entry(i)));

describe("openLog", () => {
  it("publishes the empty tree, then what is appended, with proofs", async () => {
    const writer = await open();
    expect(parseCheckpoint(parseNote(writer.checkpoint()).text).size).toBe(0);
    const appended = await appendAll(writer, 0, 700);
    expect(appended.map(({ index }) => index)).toEqual(Array.from({ length: 700 }, (_, i) => i));
    const head = await (appended.at(-1) as (typeof appended)[0]).integrated;
    expect(head.size).toBe(700);
    expect(head.root).toEqual(layOutLog(Array.from({ length: 700 }, (_, i) => entry(i))).root);
    for (const index of [0, 255, 256, 699]) {
      const proof = await writer.proof(index);
      const witnesses = { witnesses: [], quorum: { kind: "none" } } as const;
      expect(checkTlogProof({ proof, entry: entry(index), log, witnesses, suite }).outcome).toBe("logged");
    }
    await expect(writer.proof(700)).rejects.toThrow(/PROOF_INVALID/);
    await writer.close();
    expect(await readAll()).toEqual(expected(700));
    expect(await fsck()).toEqual([]);
    await expect(writer.append(entry(1))).rejects.toThrow(/LOG_WRITE_FAILED/);
  });

  it("lays out exactly the files of the specification", async () => {
    const writer = await open();
    await appendAll(writer, 0, 300);
    await writer.close();
    const { files } = layOutLog(Array.from({ length: 300 }, (_, i) => entry(i)));
    for (const [path, bytes] of files) expect(equalBytes(readFileSync(join(dir, path)), bytes), path).toBe(true);
  });

  it("keeps every published checkpoint readable and consistent while it grows", async () => {
    const writer = await open();
    const reader = openReader({ fetchTile: writer.fetchTile, log, suite });
    const notes: string[] = [];
    const stop = writer.onCheckpoint(({ note }) => notes.push(note));
    for (let i = 0; i < 60; i++)
      await Promise.all((await appendAll(writer, i * 9, i * 9 + 9)).map((a) => a.integrated));
    stop();
    let remembered = notes[0] as string;
    for (const note of notes) {
      const shown = {
        ...reader,
        checkpoint: async () => (await import("../client.ts")).openCheckpoint(note, reader.source),
      };
      const step = await followLog({ reader: shown, remembered });
      expect(["same", "grown"]).toContain(step.status);
      remembered = step.remembered;
      const { size } = step.checkpoint;
      const leaf = hashLeaf(entry(size - 1));
      expect(await reader.inclusion(step.checkpoint, size - 1, leaf)).toBeDefined();
    }
    expect(notes.length).toBeGreaterThan(10);
    await writer.close();
  });

  it("goes on after a restart, and gives the same bytes the same index", async () => {
    const first = await open();
    await appendAll(first, 0, 300);
    await first.close();
    const second = await open();
    expect((await second.append(entry(299))).index).toBe(299);
    const twice = await Promise.all([second.append(entry(300)), second.append(entry(300))]);
    expect(twice.map(({ index }) => index)).toEqual([300, 300]);
    expect((await (twice[0] as (typeof twice)[0]).integrated).size).toBe(301);
    await second.close();
    const third = await open({ remember: 0 });
    expect((await third.append(entry(5))).index).toBe(301);
    await third.close();
    expect(await fsck()).toEqual([]);
  });

  it("copies what it is given", async () => {
    const writer = await open();
    const bytes = utf8("before");
    const promise = writer.append(bytes);
    bytes.fill(0x21);
    await promise;
    await writer.close();
    expect(await readAll()).toEqual(["before"]);
  });

  it("shuffles what one commit holds, and tells each caller its own index", async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    const writer = await open({ order: "shuffled", random });
    const indices = (await appendAll(writer, 0, 100)).map(({ index }) => index);
    await writer.close();
    expect(indices.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(indices).not.toEqual(indices.toSorted((a, b) => a - b));
    const logged = await readAll();
    for (const [i, index] of indices.entries()) expect(logged[index]).toBe(fromUtf8(entry(i)));
  });

  it("has one writer", async () => {
    const writer = await open();
    await expect(open()).rejects.toThrow(/LOG_LOCKED/);
    await writer.close();
    await (await open()).close();
  });

  it("refuses entries past 65,535 bytes and takes that many", async () => {
    const writer = await open();
    await expect(writer.append(new Uint8Array(65536))).rejects.toThrow(/LOG_ENTRY_TOO_LARGE/);
    expect((await writer.append(new Uint8Array(65535))).index).toBe(0);
    expect((await writer.append(new Uint8Array(0))).index).toBe(1);
    await writer.close();
    expect(await fsck()).toEqual([]);
  });

  it("rotates its WAL, drops what is in tiles, and resumes from them", async () => {
    let n = 0;
    for (let round = 0; round < 4; round++) {
      const writer = await open({ segmentBytes: 20_000 });
      for (let i = 0; i < 8; i++) {
        await appendAll(writer, n, n + 217);
        n += 217;
      }
      await writer.close();
      expect(readdirSync(join(dir, "wal")).length).toBeLessThanOrEqual(2);
    }
    expect(existsSync(join(dir, "wal", "0".repeat(16)))).toBe(false);
    expect(await readAll()).toEqual(expected(n));
    expect(await fsck()).toEqual([]);
    const again = await open();
    // Leaf hashes from before the WAL are read back from the tiles.
    expect((await again.append(entry(3))).index).toBe(3);
    await again.close();
    rmSync(join(dir, "tile/0/003"));
    await expect(open()).rejects.toThrow(/LOG_CORRUPT/);
  });

  it("does not publish what the witnesses did not sign, and loses nothing by it", async () => {
    const faults: unknown[] = [];
    let willing = false;
    const cosign = async (note: string) => {
      if (!willing) throw new CountersignError("CHECKPOINT_NOT_WITNESSED", { message: "no" });
      return note;
    };
    const writer = await open({ cosign, onFault: (error) => faults.push(error) });
    await writer.append(entry(0));
    expect(() => writer.checkpoint()).toThrow(/NOT_READY/);
    willing = true;
    await writer.close();
    expect(faults.length).toBeGreaterThan(0);
    expect(await readAll()).toEqual(expected(1));
  });
});

describe("recovery", () => {
  const walFile = () => join(dir, "wal", readdirSync(join(dir, "wal")).at(-1) as string);

  it("survives a cut at every byte of its WAL: nothing below the cut is lost, and no root is contradicted", async () => {
    const writer = await open();
    const sizes: [number, number][] = [];
    for (let i = 0; i < 4; i++) {
      await appendAll(writer, i * 2, i * 2 + 2);
      sizes.push([readSegment(readFileSync(walFile()), "").validBytes, i * 2 + 2]);
    }
    await writer.close();
    expect(readFileSync(walFile()).length).toBe(sizes.at(-1)?.[0]);
    const whole = join(dir, "..", `${dir.split("/").at(-1)}-whole`);
    cpSync(dir, whole, { recursive: true });
    try {
      const length = readFileSync(walFile()).length;
      for (let cut = headerBytes; cut <= length; cut++) {
        const durable = sizes.filter(([end]) => end <= cut).at(-1)?.[1] ?? 0;
        // As after a power cut: the WAL ends here, no checkpoint or tile was written past what it had.
        rmSync(dir, { recursive: true });
        cpSync(whole, dir, { recursive: true });
        rmSync(join(dir, "checkpoint"));
        truncateSync(walFile(), cut);
        const again = await open();
        expect(again.head().size, `cut at ${cut}`).toBe(durable);
        await again.append(entry(100));
        await again.close();
        if (cut % 7 === 0) {
          expect(await readAll()).toEqual([...expected(durable), fromUtf8(entry(100))]);
          expect(await fsck()).toEqual([]);
        }
        // With the checkpoint there, a WAL that lacks what it covers is refused.
        if (durable === 8) continue;
        rmSync(dir, { recursive: true });
        cpSync(whole, dir, { recursive: true });
        truncateSync(walFile(), cut);
        await expect(open(), `cut at ${cut}`).rejects.toThrow(/LOG_CORRUPT/);
      }
    } finally {
      rmSync(whole, { recursive: true, force: true });
    }
  }, 60_000);

  it("refuses a WAL with a changed byte before its end, and drops a changed last commit only if nobody relies on it", async () => {
    const writer = await open();
    for (let i = 0; i < 4; i++) await appendAll(writer, i * 2, i * 2 + 2);
    await writer.close();
    const bytes = readFileSync(walFile());
    for (let at = 0; at < bytes.length; at += 3) {
      writeFileSync(walFile(), bytes.with(at, (bytes[at] as number) ^ 0x20));
      await expect(open(), `byte ${at}`).rejects.toThrow(/LOG_CORRUPT/);
    }
    // Without a checkpoint to contradict, a broken record before a whole one still is one; a broken last one never was.
    const note = readFileSync(join(dir, "checkpoint"));
    const { batches } = readSegment(bytes, "");
    const startOfLast = bytes.length - (batches.at(-1)?.payload.length ?? 0) - 52;
    rmSync(join(dir, "checkpoint"));
    for (const at of [headerBytes, headerBytes + 25, startOfLast - 1]) {
      writeFileSync(walFile(), bytes.with(at, (bytes[at] as number) ^ 0x20));
      await expect(open(), `byte ${at}`).rejects.toThrow(/LOG_CORRUPT/);
    }
    writeFileSync(walFile(), bytes.with(startOfLast, 0));
    const shorter = await open();
    expect(shorter.head().size).toBe(6);
    await shorter.close();
    writeFileSync(join(dir, "checkpoint"), note);
    for (const length of [0, 20, headerBytes - 1]) {
      writeFileSync(walFile(), bytes.subarray(0, length));
      await expect(open(), `${length} bytes`).rejects.toThrow(/LOG_CORRUPT/);
    }
    writeFileSync(walFile(), bytes);
    // What a creation left that did not finish.
    writeFileSync(join(dir, "wal", "0000000000000256.tmp"), "junk");
    await (await open()).close();
    expect(readdirSync(join(dir, "wal"))).toHaveLength(1);
  });

  it("puts right whatever tiles, bundles and partial files a crash left half-written", async () => {
    const writer = await open();
    for (let i = 0; i < 40; i++)
      await Promise.all((await appendAll(writer, i * 7, i * 7 + 7)).map((a) => a.integrated));
    await writer.close();
    const files = readdirSync(join(dir, "tile"), { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
    expect(files.length).toBeGreaterThan(4);
    for (const [i, file] of files.entries()) {
      const path = join(file.parentPath, file.name);
      if (i % 2) truncateSync(path, i % 31);
      else writeFileSync(path, "junk");
    }
    writeFileSync(join(dir, "checkpoint.tmp"), "junk");
    writeFileSync(join(dir, "tile/0/001.p/99"), "junk");
    await (await open()).close();
    expect(await fsck()).toEqual([]);
    expect(await readAll()).toEqual(expected(280));
  });

  it("refuses a checkpoint that is not its own or not of its entries", async () => {
    const writer = await open();
    await appendAll(writer, 0, 5);
    await writer.close();
    const file = join(dir, "checkpoint");
    const good = readFileSync(file, "utf8");
    await expect(openLog({ dir, origin: "other.example", signer, suite })).rejects.toThrow(/LOG_CORRUPT/);
    await expect(open({ signer: ed25519Signer(new Uint8Array(32).fill(8)) })).rejects.toThrow(/LOG_CORRUPT/);
    writeFileSync(file, good.slice(0, 40));
    await expect(open()).rejects.toThrow(/LOG_CORRUPT/);
    const forked = layOutLog(Array.from({ length: 5 }, (_, i) => entry(i + 1)));
    const text = `${origin}\n5\n${Buffer.from(forked.root).toString("base64")}\n`;
    writeFileSync(file, signNote(text, { name: origin, signer }));
    await expect(open()).rejects.toThrow(/LOG_CORRUPT/);
    writeFileSync(file, good);
    await (await open()).close();
  });
});
