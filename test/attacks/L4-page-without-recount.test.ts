import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError, utf8 } from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { formatCheckpoint, layOutLog, openReader, signNote, verifierKey } from "@countersign/log";
import { fsckDirectory, openLog } from "@countersign/log/write";
import { expect, test } from "vitest";
import { codesOf, honest, judgeIt } from "./receipts.ts";

const origin = "log.test/page";
const signer = ed25519Signer(generateSeed());
const log = verifierKey(origin, "note", signer.publicKey);

test("L4: an entry that was changed in the served files does not lead to the signed root", async () => {
  const { size, root, files } = layOutLog(["one", "two", "three"].map(utf8));
  const note = signNote(formatCheckpoint({ origin, size, root }), { name: origin, signer });
  const read = async (change: (path: string, bytes: Uint8Array) => Uint8Array) => {
    const fetchTile = async (path: string) => {
      if (path === "checkpoint") return utf8(note);
      const bytes = files.get(path);
      if (!bytes) throw new CountersignError("ENDPOINT_UNKNOWN", { message: path });
      return change(path, Uint8Array.from(bytes));
    };
    const reader = openReader({ fetchTile, log, suite: nodeSuite });
    const entries: string[] = [];
    try {
      for await (const { entry } of reader.entries(await reader.checkpoint(), 0, size))
        entries.push(new TextDecoder().decode(entry));
    } catch (error) {
      if (CountersignError.is(error)) return error.code;
      throw error;
    }
    return entries.join();
  };
  expect(await read((_, b) => b)).toBe("one,two,three");
  const flip = (b: Uint8Array) => b.fill((b.at(-1) as number) ^ 1, -1);
  expect(await read((path, b) => (path.includes("entries") ? flip(b) : b))).toBe("PROOF_INVALID");
});

test("L4: a log whose own files were changed signs nothing more", async () => {
  const dir = mkdtempSync(join(tmpdir(), "countersign-l4-"));
  try {
    const open = () => openLog({ dir, origin, signer, suite: nodeSuite });
    const writer = await open();
    const { integrated } = await writer.append(utf8("an entry"));
    await integrated;
    await writer.close();
    const wal = join(dir, "wal");
    for (const file of readdirSync(wal)) {
      const bytes = readFileSync(join(wal, file));
      const at = bytes.indexOf("an entry");
      if (at >= 0) bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(join(wal, file), bytes);
    }
    const faults = async () => (await fsckDirectory({ dir, log, suite: nodeSuite })).faults;
    expect((await faults()).map((f) => f.path.split("/")[0])).toContain("wal");
    const code = await open().then(
      async (w) => {
        await w.close();
        return "opened";
      },
      (e: unknown) => (CountersignError.is(e) ? e.code : "other"),
    );
    expect(code).toBe("LOG_CORRUPT");
    // Still there to be looked at: a log that does not start has changed nothing.
    expect((await faults()).map((f) => f.path.split("/")[0])).toContain("wal");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("L4: what the page runs is the same verify: a changed leaf is not green", () => {
  const [first = "", ...rest] = honest.receipt.leaves;
  const verdict = judgeIt({
    ...honest.receipt,
    leaves: [first.replace(/^./, (c) => (c === "0" ? "1" : "0")), ...rest],
  });
  expect(codesOf(verdict)).toContain("STATEMENT_ROOT_MISMATCH");
  expect(verdict.outcome).not.toBe("met");
});
