import { CountersignError, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import { formatCheckpoint } from "./checkpoint.ts";
import { openReader } from "./client.ts";
import { followLog } from "./follow.ts";
import { signNote } from "./note.ts";
import { checkSplitView, type SplitView } from "./split-view.ts";
import { layOutLog } from "./static-log.ts";
import { hashLeaf } from "./tree.ts";
import { verifierKey } from "./vkey.ts";

const log = { name: "log.example", signer: ed25519Signer(new Uint8Array(32).fill(1)) };
const key = verifierKey(log.name, "note", log.signer.publicKey);
const suite = nodeSuite;

/** A log of n entries, those from `fork` on being of another history. */
function served(n: number, fork = n, lie: (path: string, bytes: Uint8Array) => Uint8Array = (_, b) => b) {
  const tree = layOutLog(Array.from({ length: n }, (_, i) => utf8(i < fork ? `entry ${i}` : `forged ${i}`)));
  const note = signNote(formatCheckpoint({ origin: log.name, size: n, root: tree.root }), log);
  const fetched: string[] = [];
  const fetchTile = async (path: string) => {
    fetched.push(path);
    return lie(path, path === "checkpoint" ? utf8(note) : await tree.fetchTile(path));
  };
  return { note, fetched, tree, reader: openReader({ fetchTile, log: key, suite }) };
}
const collect = async (reader: ReturnType<typeof served>["reader"], from: number, to: number) => {
  const out: string[] = [];
  for await (const { index, entry } of reader.entries(await reader.checkpoint(), from, to))
    out.push(`${index}:${new TextDecoder().decode(entry)}`);
  return out;
};

describe("reader", () => {
  it("reads entries across bundles and proofs, all checked", async () => {
    const { reader } = served(700);
    expect(await collect(reader, 254, 514)).toEqual(
      Array.from({ length: 260 }, (_, i) => `${i + 254}:entry ${i + 254}`),
    );
    const checkpoint = await reader.checkpoint();
    expect((await reader.inclusion(checkpoint, 600, hashLeaf(utf8("entry 600")))).length).toBeGreaterThan(5);
    await expect(reader.inclusion(checkpoint, 600, hashLeaf(utf8("entry 601")))).rejects.toThrow(/PROOF_INVALID/);
    await expect(collect(reader, 0, 701)).rejects.toThrow(/PROOF_INVALID/);
  });

  it("notices any changed byte of any resource that it reads", async () => {
    for (const path of [...served(300).tree.files.keys(), "checkpoint"]) {
      // Level 0 is made from the entries themselves.
      if (path.startsWith("tile/0/")) continue;
      const { reader } = served(300, 300, (p, bytes) => (p === path ? bytes.with(bytes.length - 2, 0x42) : bytes));
      await expect(collect(reader, 0, 300), path).rejects.toSatisfy((e) => CountersignError.is(e));
    }
  });

  it("cuts a partial resource from the full one when the log dropped it", async () => {
    const full = served(512);
    const old = layOutLog(Array.from({ length: 300 }, (_, i) => utf8(`entry ${i}`)));
    const note = signNote(formatCheckpoint({ origin: log.name, size: 300, root: old.root }), log);
    const fetchTile = (path: string) =>
      path === "checkpoint"
        ? Promise.resolve(utf8(note))
        : path.startsWith("tile/1")
          ? old.fetchTile(path)
          : full.tree.fetchTile(path);
    expect(await collect(openReader({ fetchTile, log: key, suite }), 290, 300)).toHaveLength(10);
  });
});

describe("followLog", () => {
  it("remembers, grows, stays and is not led backwards", async () => {
    const first = await followLog({ reader: served(10).reader });
    expect(first).toMatchObject({ status: "first", checkpoint: { size: 10 } });
    const grown = await followLog({ reader: served(300).reader, remembered: first.remembered });
    expect(grown.status).toBe("grown");
    const same = await followLog({ reader: served(300).reader, remembered: grown.remembered });
    expect(same.status).toBe("same");
    // A stale mirror: consistent, so no split, and the memory does not shrink.
    const stale = { ...served(300).reader, checkpoint: served(299).reader.checkpoint };
    expect(await followLog({ reader: stale, remembered: grown.remembered })).toMatchObject({
      status: "behind",
      remembered: grown.remembered,
    });
    const empty = await followLog({ reader: served(0).reader });
    expect((await followLog({ reader: served(5).reader, remembered: empty.remembered })).status).toBe("grown");
  });

  it("turns two histories into evidence that a stranger can check", async () => {
    for (const [old, now, fork] of [
      [10, 300, 5],
      [256, 300, 255],
      [256, 700, 0],
      [7, 8, 6],
      [300, 300, 299],
      [1, 2, 0],
    ] as const) {
      const remembered = served(old).note;
      const error = await followLog({ reader: served(now, fork).reader, remembered }).then(
        () => undefined,
        (e: unknown) => e,
      );
      if (!CountersignError.is(error, "LOG_SPLIT_VIEW")) throw error;
      const evidence = JSON.parse(JSON.stringify(error.detail.facts)) as SplitView;
      expect(checkSplitView({ evidence, log: key, suite }), `${old} ${now} ${fork}`).toEqual({ status: "ok" });
      expect([evidence.smaller, evidence.larger]).toEqual([remembered, served(now, fork).note]);
      const stranger = verifierKey(log.name, "note", ed25519Signer(new Uint8Array(32).fill(5)).publicKey);
      expect(checkSplitView({ evidence, log: stranger, suite }).status).toBe("failed");
    }
  });

  it("accuses no honest log", async () => {
    const small = served(10);
    const large = served(300);
    // Lying tiles between honest checkpoints prove nothing.
    const lying = served(300, 300, (p, bytes) =>
      p === "tile/0/000" ? bytes.with(3, (bytes[3] as number) ^ 1) : bytes,
    );
    await expect(followLog({ reader: lying.reader, remembered: small.note })).rejects.toThrow(/PROOF_INVALID/);
    const proof = await large.reader.consistency(await small.reader.checkpoint(), await large.reader.checkpoint());
    for (const prefixRoot of [served(10, 3).tree.root, small.tree.root, large.tree.root]) {
      const evidence = {
        smaller: small.note,
        larger: large.note,
        prefixRoot: Buffer.from(prefixRoot).toString("base64"),
        proof: proof.map((p) => Buffer.from(p).toString("base64")),
      };
      expect(checkSplitView({ evidence, log: key, suite }).status).toBe("failed");
    }
  });
});
