import { createRequire } from "node:module";
import { equalBytes, sha256, uint } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkConsistency, proveConsistency } from "./consistency.ts";
import { checkInclusion, proveInclusion } from "./inclusion.ts";
import { layOutLog } from "./static-log.ts";
import { readFromTiles } from "./tile-reader.ts";
import { emptyRoot, hashLeaf, hashNode, splitPoint, treeRoot } from "./tree.ts";

const require = createRequire(import.meta.url);
// A deep path of the package, past its export map: the one other implementation at hand (server side only).
const { verifyMerkleInclusion } = require(
  `${require.resolve("@sigstore/verify/package.json").slice(0, -"package.json".length)}dist/tlog/merkle.js`,
) as { verifyMerkleInclusion: (entry: unknown, checkpoint: unknown) => void };

const entryAt = (i: number) => uint(i, 4);
const leaves = Array.from({ length: 1100 }, (_, i) => hashLeaf(entryAt(i)));

/** RFC 6962 §2.1, word for word. */
function naiveRoot(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return sha256(new Uint8Array());
  if (d.length === 1) return d[0] as Uint8Array;
  const k = splitPoint(d.length);
  return hashNode(naiveRoot(d.slice(0, k)), naiveRoot(d.slice(k)));
}
/** RFC 6962 §2.1.1. */
function naivePath(m: number, d: readonly Uint8Array[]): Uint8Array[] {
  if (d.length <= 1) return [];
  const k = splitPoint(d.length);
  return m < k
    ? [...naivePath(m, d.slice(0, k)), naiveRoot(d.slice(k))]
    : [...naivePath(m - k, d.slice(k)), naiveRoot(d.slice(0, k))];
}
/** RFC 6962 §2.1.2. */
function naiveProof(m: number, d: readonly Uint8Array[], whole = true): Uint8Array[] {
  if (m === d.length) return whole ? [] : [naiveRoot(d)];
  const k = splitPoint(d.length);
  return m <= k
    ? [...naiveProof(m, d.slice(0, k), whole), naiveRoot(d.slice(k))]
    : [...naiveProof(m - k, d.slice(k), false), naiveRoot(d.slice(0, k))];
}

const readerOf = (size: number) =>
  readFromTiles(layOutLog(Array.from({ length: size }, (_, i) => entryAt(i))).fetchTile, size);
const flip = (bytes: Uint8Array, bit: number) => bytes.map((b, i) => (i === bit >> 3 ? b ^ (1 << (bit & 7)) : b));

describe("tree", () => {
  it("has the roots of RFC 6962 for all sizes to 300 and around tile edges", () => {
    expect(emptyRoot).toEqual(sha256(new Uint8Array()));
    for (const n of [...Array(301).keys(), 511, 512, 513, 1024, 1025])
      expect(treeRoot(leaves.slice(0, n))).toEqual(naiveRoot(leaves.slice(0, n)));
  });

  it("proves every leaf of sizes 1 to 300, as RFC 6962, and as another implementation reads it", async () => {
    for (let size = 1; size <= 300; size++) {
      const read = readerOf(size);
      const root = naiveRoot(leaves.slice(0, size));
      const step = size < 40 ? 1 : 13;
      for (let index = size % step; index < size; index += step) {
        const proof = await proveInclusion(index, size, read);
        const leaf = leaves[index] as Uint8Array;
        expect(checkInclusion({ index, size, leaf, proof, root })).toEqual({ status: "ok" });
        if (size < 70) expect(proof).toEqual(naivePath(index, leaves.slice(0, size)));
        verifyMerkleInclusion(
          {
            canonicalizedBody: Buffer.from(entryAt(index)),
            inclusionProof: { logIndex: `${index}`, hashes: proof.map((p) => Buffer.from(p)) },
          },
          { logSize: `${size}`, logHash: Buffer.from(root) },
        );
      }
    }
  });

  it("reads a proof from tiles of two levels", async () => {
    const size = 1100;
    const read = readerOf(size);
    const root = treeRoot(leaves);
    for (const index of [0, 255, 256, 767, 768, 1023, 1024, 1099]) {
      const proof = await proveInclusion(index, size, read);
      expect(proof).toEqual(naivePath(index, leaves));
      expect(checkInclusion({ index, size, leaf: leaves[index] as Uint8Array, proof, root }).status).toBe("ok");
    }
  });

  it("refuses a changed inclusion proof", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), fc.nat(), async (size, i, j, bit) => {
        const index = i % size;
        const proof = await proveInclusion(index, size, readerOf(size));
        const claim = { index, size, leaf: leaves[index] as Uint8Array, proof, root: treeRoot(leaves.slice(0, size)) };
        const refused = (change: Partial<typeof claim>) =>
          expect(checkInclusion({ ...claim, ...change }).status).toBe("failed");
        refused({ leaf: flip(claim.leaf, bit % 256) });
        refused({ root: flip(claim.root, bit % 256) });
        refused({ proof: [...proof, claim.root] });
        refused({ index: size });
        refused({ index: -1 });
        refused({ index: index + 0.5 });
        if (j % size !== index) refused({ index: j % size });
        if (proof.length === 0) return;
        const at = j % proof.length;
        refused({ proof: proof.map((p, k) => (k === at ? flip(p, bit % 256) : p)) });
        refused({ proof: proof.filter((_, k) => k !== at) });
        refused({ proof: proof.map((p, k) => (k === at ? p.subarray(1) : p)) });
        // Another size that asks for another shape.
        refused({ size: size * 2 + 1 });
      }),
      { numRuns: 60 },
    );
  });

  it("never takes an inner node for a leaf", async () => {
    const size = 8;
    const root = treeRoot(leaves.slice(0, size));
    const [a, b] = leaves as [Uint8Array, Uint8Array];
    const [, ...above] = await proveInclusion(0, size, readerOf(size));
    const forged = new Uint8Array(64);
    forged.set(a);
    forged.set(b, 32);
    for (const claimed of [4, 8])
      expect(checkInclusion({ index: 0, size: claimed, leaf: hashLeaf(forged), proof: above, root }).status).toBe(
        "failed",
      );
    // The node's own hash passes only as what it is: a node, for which no entry has a preimage.
    expect(equalBytes(hashLeaf(forged), hashNode(a, b))).toBe(false);
  });

  it("proves consistency for all pairs to 70 and for random pairs", async () => {
    const check = async (old: number, size: number) => {
      const proof = await proveConsistency(old, size, readerOf(size));
      const claim = {
        old,
        size,
        proof,
        oldRoot: treeRoot(leaves.slice(0, old)),
        root: treeRoot(leaves.slice(0, size)),
      };
      expect(checkConsistency(claim)).toEqual({ status: "ok" });
      if (size < 70 && old > 0) expect(proof).toEqual(naiveProof(old, leaves.slice(0, size)));
      return claim;
    };
    for (let size = 0; size <= 70; size++) for (let old = 0; old <= size; old++) await check(old, size);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1100 }),
        fc.nat(),
        fc.nat(),
        fc.nat({ max: 255 }),
        async (size, o, j, bit) => {
          const old = 1 + (o % size);
          const claim = await check(old, size);
          const refused = (change: Partial<typeof claim>) =>
            expect(checkConsistency({ ...claim, ...change }).status).toBe("failed");
          refused({ oldRoot: flip(claim.oldRoot, bit) });
          refused({ root: flip(claim.root, bit) });
          refused({ proof: [...claim.proof, claim.root] });
          refused({ old: size + 1 });
          if (claim.proof.length === 0) return;
          const at = j % claim.proof.length;
          refused({ proof: claim.proof.map((p, k) => (k === at ? flip(p, bit) : p)) });
          refused({ proof: claim.proof.filter((_, k) => k !== at) });
        },
      ),
      { numRuns: 60 },
    );
  });
});
