import { readFileSync } from "node:fs";
import { equalBytes, fromBase64, fromHex, toBase64, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import { formatCheckpoint } from "./checkpoint.ts";
import { checkConsistency, proveConsistency } from "./consistency.ts";
import { cosign } from "./cosignature.ts";
import { proveInclusion } from "./inclusion.ts";
import { formatNote, parseNote, signNote } from "./note.ts";
import { parsePolicy } from "./policy.ts";
import { checkTlogProof, formatTlogProof } from "./proof.ts";
import { buildSortedSet } from "./sorted-set.ts";
import { checkSetProof, decodeSetProof, encodeSetProof } from "./sorted-set-proof.ts";
import { layOutLog } from "./static-log.ts";
import { parseTilePath } from "./tile.ts";
import { readFromTiles } from "./tile-reader.ts";
import { parseVkey } from "./vkey.ts";

/** spec/vectors/log.json: what another implementation must reproduce byte for byte. */
type Vectors = {
  readonly roots: readonly { readonly size: number; readonly root: string }[];
  readonly consistency: readonly { readonly old: number; readonly size: number; readonly proof: readonly string[] }[];
  readonly tiles: Readonly<Record<string, string>>;
  readonly tileSize: number;
  readonly log: { readonly seed: string; readonly vkey: string };
  readonly witnesses: readonly { readonly seed: string; readonly name: string; readonly time: number }[];
  readonly policy: string;
  readonly proofs: readonly {
    readonly size: number;
    readonly index: number;
    readonly entry: string;
    readonly proof: string;
    readonly time: number;
  }[];
  readonly sets: readonly {
    readonly kind: "set" | "map";
    readonly keys: readonly string[];
    readonly values?: readonly string[];
    readonly root: string;
    readonly proofs: readonly { readonly key: string; readonly status: "member" | "absent"; readonly proof: string }[];
  }[];
};
const vectors = JSON.parse(readFileSync(new URL("../../../spec/vectors/log.json", import.meta.url), "utf8")) as Vectors;
/** Entry i of every vector: the ASCII text "entry i". */
const entries = (n: number) => Array.from({ length: n }, (_, i) => new TextEncoder().encode(`entry ${i}`));
const sha = async (bytes: Uint8Array) =>
  toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)));

describe("spec/vectors/log.json", () => {
  it("has the roots", () => {
    expect(vectors.roots.length).toBeGreaterThan(10);
    for (const { size, root } of vectors.roots) expect(toBase64(layOutLog(entries(size)).root), `${size}`).toBe(root);
  });

  it("has the consistency proofs", async () => {
    expect(vectors.consistency.length).toBeGreaterThan(5);
    for (const { old, size, proof } of vectors.consistency) {
      const tree = layOutLog(entries(size));
      expect((await proveConsistency(old, size, readFromTiles(tree.fetchTile, size))).map(toBase64)).toEqual(proof);
      const oldRoot = layOutLog(entries(old)).root;
      expect(checkConsistency({ old, oldRoot, size, root: tree.root, proof: proof.map(fromBase64) })).toEqual({
        status: "ok",
      });
    }
  });

  it("has the tiles and bundles", async () => {
    const { files } = layOutLog(entries(vectors.tileSize));
    expect([...files.keys()].toSorted()).toEqual(Object.keys(vectors.tiles).toSorted());
    for (const [path, digest] of Object.entries(vectors.tiles)) {
      expect(parseTilePath(path)).toBeDefined();
      expect(await sha(files.get(path) as Uint8Array), path).toBe(digest);
    }
  });

  it("has the signed, cosigned proofs", async () => {
    const log = parseVkey(vectors.log.vkey);
    const signer = ed25519Signer(fromHex(vectors.log.seed));
    for (const { size, index, entry, proof, time } of vectors.proofs) {
      const tree = layOutLog(entries(size));
      const text = formatCheckpoint({ origin: log.name, size, root: tree.root });
      const note = parseNote(signNote(text, { name: log.name, signer }));
      const lines = vectors.witnesses.map((w) =>
        cosign(text, w.time, { name: w.name, signer: ed25519Signer(fromHex(w.seed)) }),
      );
      const checkpoint = formatNote({ text, signatures: [...note.signatures, ...lines] });
      const path = await proveInclusion(index, size, readFromTiles(tree.fetchTile, size));
      expect(formatTlogProof({ index, path, checkpoint })).toBe(proof);
      expect(
        checkTlogProof({ proof, entry: fromHex(entry), log, witnesses: parsePolicy(vectors.policy), suite: nodeSuite }),
      ).toMatchObject({ outcome: "logged", time });
    }
    expect(vectors.proofs.length).toBeGreaterThan(2);
  });

  it("has the sorted sets", () => {
    expect(vectors.sets.length).toBeGreaterThan(3);
    for (const { kind, keys, values, root, proofs } of vectors.sets) {
      const bytes = keys.map(fromHex);
      const set = buildSortedSet(
        values ? { entries: bytes.map((key, i) => [key, fromHex(values[i] as string)] as const) } : { keys: bytes },
      );
      expect([set.kind, toHex(set.root)]).toEqual([kind, root]);
      for (const { key, status, proof } of proofs) {
        expect(toBase64(encodeSetProof(set.prove(fromHex(key))))).toBe(proof);
        const read = decodeSetProof(fromBase64(proof));
        expect(checkSetProof({ root: fromHex(root), kind, key: fromHex(key), proof: read }).status).toBe(status);
        expect(equalBytes(encodeSetProof(read), fromBase64(proof))).toBe(true);
      }
    }
  });
});
