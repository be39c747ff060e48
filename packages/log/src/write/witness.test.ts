import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError, sha256Hex, toBase64, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import { formatCheckpoint, parseCheckpoint } from "../checkpoint.ts";
import { proveConsistency } from "../consistency.ts";
import { checkNote, parseNote, signNote } from "../note.ts";
import { parsePolicy } from "../policy.ts";
import { checkTlogProof } from "../proof.ts";
import { checkSplitView, type SplitView } from "../split-view.ts";
import { layOutLog } from "../static-log.ts";
import { readFromTiles } from "../tile-reader.ts";
import { formatVkey, verifierKey } from "../vkey.ts";
import { openLog } from "./sequencer.ts";
import { createWitness, type Witness } from "./witness.ts";
import { cosignBy, submitCheckpoint } from "./witness-client.ts";
import { memoryWitnessStore, openWitnessStore, type WitnessStore } from "./witness-store.ts";

const suite = nodeSuite;
const origin = "log.example/w";
const signer = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const logSigner = { name: origin, signer: signer(1) };
const log = verifierKey(origin, "note", logSigner.signer.publicKey);

function witnessAt(n: number, more: { store?: WitnessStore; now?: () => number; splits?: SplitView[] } = {}): Witness {
  return createWitness({
    name: `w${n}.example`,
    signer: signer(n),
    logs: [log],
    store: more.store ?? memoryWitnessStore(),
    now: more.now ?? (() => 1_700_000_000_000),
    suite,
    onSplitView: (evidence) => more.splits?.push(evidence),
  });
}
const treeOf = (n: number, salt = "") => layOutLog(Array.from({ length: n }, (_, i) => utf8(`${salt}${i}`)));
const noteOf = (n: number, salt = "") =>
  signNote(formatCheckpoint({ origin, size: n, root: treeOf(n, salt).root }), logSigner);
const proofOf = (old: number, n: number, salt = "") =>
  proveConsistency(old, n, readFromTiles(treeOf(n, salt).fetchTile, n));
const post = (witness: Witness, body: string) =>
  witness.handle(new Request("http://w.example/add-checkpoint", { method: "POST", body }));
const add = async (witness: Witness, old: number, n: number, salt = "") =>
  post(witness, `${[`old ${old}`, ...(await proofOf(old, n, salt)).map(toBase64)].join("\n")}\n\n${noteOf(n, salt)}`);

describe("witness", () => {
  it("cosigns what grows consistently, and shows it to monitors", async () => {
    const witness = witnessAt(2);
    for (const [old, n] of [
      [0, 3],
      [3, 3],
      [3, 300],
    ] as const) {
      const response = await add(witness, old, n);
      expect(response.status).toBe(200);
      const note = parseNote(`${noteOf(n)}${await response.text()}`);
      expect(checkNote({ note, keys: [log, witness.key], suite })).toMatchObject({
        status: "ok",
        signedBy: [{ key: log }, { key: witness.key, time: 1_700_000_000 }],
      });
    }
    const at = (hash: string) => witness.handle(new Request(`http://w.example/x/${hash}/checkpoint`));
    const shown = parseNote(await (await at(sha256Hex(utf8(origin)))).text());
    expect(parseCheckpoint(shown.text).size).toBe(300);
    expect(checkNote({ note: shown, keys: [log, witness.key], suite })).toMatchObject({ status: "ok" });
    expect((await at(sha256Hex(utf8("other")))).status).toBe(404);
  });

  it("answers each fault with the status of the specification", async () => {
    const splits: SplitView[] = [];
    const witness = witnessAt(2, { splits });
    expect((await add(witness, 0, 10)).status).toBe(200);
    const stranger = { name: origin, signer: signer(9) };
    const unknown = { name: "other.example", signer: signer(1) };
    const body = (note: string) => `old 10\n\n${note}`;
    const text = (n: number) => formatCheckpoint({ origin, size: n, root: treeOf(n).root });
    const status = async (text: string) => (await post(witness, text)).status;
    expect(await status(body(signNote(text(10).replace(origin, "other.example"), unknown)))).toBe(404);
    expect(await status(body(signNote(text(10), stranger)))).toBe(403);
    expect(await status(body(noteOf(10).replace("\n10\n", "\n11\n")))).toBe(403);
    expect(await status(`old 11\n\n${noteOf(10)}`)).toBe(400);
    for (const bad of [
      "",
      "junk",
      "old 010\n\n",
      "old x\n\n",
      `old 10\nAAAA\n\n${noteOf(10)}`,
      `old 10\n\n${noteOf(10)}junk`,
    ])
      expect(await status(bad), bad).toBe(400);
    expect(await status(`old 10\n${`${toBase64(new Uint8Array(32))}\n`.repeat(64)}\n${noteOf(10)}`)).toBe(400);
    const conflict = await add(witness, 0, 20);
    expect([conflict.status, conflict.headers.get("content-type"), await conflict.text()]).toEqual([
      409,
      "text/x.tlog.size",
      "10\n",
    ]);
    expect(await status(body(noteOf(20)))).toBe(422);
    expect((await add(witness, 10, 20, "forked")).status).toBe(422);
    expect(await status(`old 10\n${toBase64(new Uint8Array(32))}\n\n${noteOf(10)}`)).toBe(422);
    expect(splits).toEqual([]);
    expect((await add(witness, 10, 10, "forked")).status).toBe(422);
    expect(splits).toHaveLength(1);
    expect(checkSplitView({ evidence: splits[0] as SplitView, log, suite })).toEqual({ status: "ok" });
    const fresh = witnessAt(3);
    const empty = signNote(`${origin}\n0\n${toBase64(new Uint8Array(32))}\n`, logSigner);
    expect((await post(fresh, `old 0\n\n${empty}`)).status).toBe(422);
    expect((await post(fresh, `old 0\n${toBase64(new Uint8Array(32))}\n\n${noteOf(5)}`)).status).toBe(422);
    expect((await add(fresh, 0, 0)).status).toBe(200);
    expect((await fresh.handle(new Request("http://w.example/add-checkpoint"))).status).toBe(405);
    expect((await fresh.handle(new Request("http://w.example/else"))).status).toBe(404);
  });

  it("never rolls back when two requests race", async () => {
    const store = memoryWitnessStore();
    const gate = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    let reads = 0;
    const witness = witnessAt(2, {
      store: {
        // Both requests read the same record; the smaller one is held until the larger one is stored.
        async read(o) {
          const note = await store.read(o);
          reads += 1;
          if (reads === 2) {
            held.resolve();
            await gate.promise;
          }
          return note;
        },
        swap: store.swap,
      },
    });
    expect((await add(witness, 0, 5)).status).toBe(200);
    const slow = add(witness, 5, 6);
    await held.promise;
    expect((await add(witness, 5, 300)).status).toBe(200);
    gate.resolve();
    const late = await slow;
    expect([late.status, await late.text()]).toEqual([409, "300\n"]);
    expect(parseCheckpoint(parseNote((await store.read(origin)) as string).text).size).toBe(300);
  });

  it("does not sign while its clock runs backwards", async () => {
    let now = 2_000_000;
    const witness = witnessAt(2, { now: () => now });
    expect((await add(witness, 0, 5)).status).toBe(200);
    now = 1_000_000;
    expect((await add(witness, 5, 6)).status).toBe(503);
  });

  it("remembers across restarts, and has one writer", async () => {
    const dir = mkdtempSync(join(tmpdir(), "countersign-witness-"));
    try {
      const store = openWitnessStore(dir);
      expect(() => openWitnessStore(dir)).toThrow(/LOG_LOCKED/);
      expect((await add(witnessAt(2, { store }), 0, 5)).status).toBe(200);
      store.close();
      const again = openWitnessStore(dir);
      expect((await add(witnessAt(2, { store: again }), 0, 6)).status).toBe(409);
      expect((await add(witnessAt(2, { store: again }), 5, 6)).status).toBe(200);
      again.close();
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("refuses to share its key with a log", () => {
    expect(() =>
      createWitness({
        name: "w.example",
        signer: logSigner.signer,
        logs: [log],
        store: memoryWitnessStore(),
        now: () => 1,
        suite,
      }),
    ).toThrow(/TRUST_MALFORMED/);
  });
});

describe("cosignBy", () => {
  const network = (witnesses: readonly Witness[], broken = new Set<string>()): typeof fetch =>
    (async (url: string, init: RequestInit) => {
      const { hostname } = new URL(url);
      if (broken.has(hostname)) throw new TypeError("fetch failed");
      const witness = witnesses.find(({ key }) => key.name === hostname) as Witness;
      return witness.handle(new Request(url, init));
    }) as typeof fetch;
  const policyOf = (witnesses: readonly Witness[], k: number) =>
    parsePolicy(
      `${witnesses.map(({ key }, i) => `witness W${i} ${formatVkey(key)} http://${key.name}/\n`).join("")}group q ${k} ${witnesses.map((_, i) => `W${i}`).join(" ")}\nquorum q\n`,
    );

  it("publishes checkpoints that the quorum cosigned, and proofs that carry it", async () => {
    const dir = mkdtempSync(join(tmpdir(), "countersign-cosigned-"));
    const witnesses = [witnessAt(2), witnessAt(3), witnessAt(4)];
    const policy = policyOf(witnesses, 2);
    const broken = new Set(["w3.example"]);
    const cosign = cosignBy({ policy, suite, fetch: network(witnesses, broken) });
    try {
      const writer = await openLog({ dir, origin, signer: signer(1), suite, cosign, flushEvery: 0 });
      for (let i = 0; i < 3; i++) {
        const { index, integrated } = await writer.append(utf8(`entry ${i}`));
        await integrated;
        const found = checkTlogProof({
          proof: await writer.proof(index),
          entry: utf8(`entry ${i}`),
          log,
          witnesses: policy,
          suite,
        });
        expect(found).toMatchObject({ outcome: "logged", time: 1_700_000_000 });
        expect(found.cosigners.map(({ name }) => name)).toEqual(["W0", "W2"]);
      }
      await writer.close();
      // A witness that was away is caught up by its answer 409.
      broken.clear();
      const again = await openLog({ dir, origin, signer: signer(1), suite, cosign, flushEvery: 0 });
      await (await again.append(utf8("entry 3"))).integrated;
      expect(parseNote(again.checkpoint()).signatures).toHaveLength(4);
      await again.close();
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("rejects below the quorum, and takes no witness's word for another's", async () => {
    const [a, b] = [witnessAt(2), witnessAt(3)];
    const prove = async () => [];
    const cosign = cosignBy({ policy: policyOf([a, b], 2), suite, fetch: network([a, b], new Set(["w3.example"])) });
    await expect(cosign(noteOf(5), prove)).rejects.toThrow(/CHECKPOINT_NOT_WITNESSED/);
    // b's address answers with a's signature.
    const witness = { name: "W", key: b.key, url: "http://w2.example" };
    await expect(
      submitCheckpoint({ note: noteOf(5), prove, witness, suite, fetch: network([a, b]), old: 5 }),
    ).rejects.toSatisfy((e) => CountersignError.is(e, "CHECKPOINT_NOT_WITNESSED"));
  });
});
