import { equalBytes, portableSuite, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCheckpoint } from "./checkpoint.ts";
import { cosign } from "./cosignature.ts";
import { proveInclusion } from "./inclusion.ts";
import { formatNote, parseNote, signNote } from "./note.ts";
import { parsePolicy } from "./policy.ts";
import { checkTlogProof, formatTlogProof, parseTlogProof } from "./proof.ts";
import { layOutLog } from "./static-log.ts";
import { readFromTiles } from "./tile-reader.ts";
import { formatVkey, verifierKey } from "./vkey.ts";

const signer = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const log = { name: "log.example", signer: signer(1) };
const witnesses = [2, 3, 4].map((n) => ({ name: `w${n}.example`, signer: signer(n) }));
const key = verifierKey(log.name, "note", log.signer.publicKey);
const policy = parsePolicy(
  `${witnesses.map((w, i) => `witness W${i} ${formatVkey(verifierKey(w.name, "cosignature", w.signer.publicKey))}\n`).join("")}group all-of-them 2 W0 W1 W2\nquorum all-of-them\n`,
);
const entries = Array.from({ length: 300 }, (_, i) => utf8(`entry ${i}`));
const tree = layOutLog(entries);
const text = formatCheckpoint({ origin: log.name, size: tree.size, root: tree.root });
const cosigned = (...times: readonly number[]) => {
  const note = parseNote(signNote(text, log));
  const lines = times.flatMap((time, i) => (time ? [cosign(text, time, witnesses[i] as (typeof witnesses)[0])] : []));
  return formatNote({ text, signatures: [...note.signatures, ...lines] });
};
const index = 257;
const entry = entries[index] as Uint8Array;
const path = await proveInclusion(index, tree.size, readFromTiles(tree.fetchTile, tree.size));
const proof = formatTlogProof({ index, path, checkpoint: cosigned(100, 0, 300) });
const claim = { proof, entry, log: key, witnesses: policy, suite: nodeSuite };

describe("tlog proof", () => {
  it("shows an entry logged, since when, and who saw it", () => {
    for (const suite of [nodeSuite, portableSuite])
      expect(checkTlogProof({ ...claim, suite })).toMatchObject({
        outcome: "logged",
        reasons: [],
        index,
        time: 300,
        checkpoint: { size: 300 },
        cosigners: [
          { name: "W0", time: 100 },
          { name: "W2", time: 300 },
        ],
      });
  });

  it("reads back what it writes, with and without extra data", () => {
    expect(formatTlogProof(parseTlogProof(proof))).toBe(proof);
    const extra = formatTlogProof({ ...parseTlogProof(proof), extra: utf8("hint") });
    expect(formatTlogProof(parseTlogProof(extra))).toBe(extra);
    expect(checkTlogProof({ ...claim, proof: extra }).outcome).toBe("logged");
  });

  it("says which check failed and never passes one that did not run", () => {
    const found = (change: Partial<typeof claim> & { notAfter?: number }) => checkTlogProof({ ...claim, ...change });
    const status = (c: ReturnType<typeof found>) => [c.outcome, ...Object.values(c.checks).map((x) => x.status)];
    const none = formatTlogProof({ index, path, checkpoint: cosigned() });
    expect(status(found({ entry: utf8("other") }))).toEqual(["unproven", "ok", "ok", "failed", "ok"]);
    expect(status(found({ proof: none }))).toEqual(["unproven", "ok", "ok", "ok", "failed"]);
    expect(status(found({ notAfter: 299 }))).toEqual(["unproven", "ok", "ok", "ok", "failed"]);
    expect(status(found({ notAfter: 300 }))[0]).toBe("logged");
    expect(status(found({ proof: "junk" }))).toEqual(["unproven", "failed", "not-run", "not-run", "not-run"]);
    expect(found({ proof: none, witnesses: { logs: [], witnesses: [], quorum: { kind: "none" } } }).outcome).toBe(
      "logged",
    );
    const other = verifierKey("log.example", "note", signer(8).publicKey);
    expect(status(found({ log: other }))).toEqual(["unproven", "ok", "failed", "ok", "not-run"]);
    const renamed = verifierKey("other.example", "note", log.signer.publicKey);
    expect(status(found({ log: renamed }))[0]).toBe("unproven");
    // A witness's key handed in as the log's: its cosignature must not stand for the log.
    const asLog = verifierKey("log.example", "cosignature", log.signer.publicKey);
    expect(found({ log: asLog, proof: none }).outcome).toBe("unproven");
  });

  it("does not let a witness's signature stand for the log's", () => {
    const only = formatNote({
      text,
      signatures: [100, 200, 300].map((t, i) => cosign(text, t, witnesses[i] as (typeof witnesses)[0])),
    });
    const found = checkTlogProof({ ...claim, proof: formatTlogProof({ index, path, checkpoint: only }) });
    expect(found.outcome).toBe("unproven");
    expect(found.checks.log.status).toBe("failed");
    expect(found.cosigners).toEqual([]);
  });

  it("lives through no one-bit change", () => {
    const bytes = new TextEncoder().encode(proof);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => {
        const changed = bytes.slice();
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        const text = new TextDecoder().decode(changed);
        const found = checkTlogProof({ ...claim, proof: text });
        if (found.outcome === "unproven") return;
        // A flip may turn one of the three witnesses into a stranger; two are needed, so nothing may pass here.
        expect.unreachable(text);
      }),
      { numRuns: 600 },
    );
    expect(equalBytes(entry, utf8("entry 257"))).toBe(true);
  });
});
