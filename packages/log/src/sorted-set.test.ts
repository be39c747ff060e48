import { equalBytes, sha256, taggedHash, uint } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildSortedSet, compareKeys, type SetLeaf, type SetProof } from "./sorted-set.ts";
import { checkSetProof, decodeSetProof, encodeSetProof } from "./sorted-set-proof.ts";

const key = (n: number) => sha256(uint(n, 4));
const keys = (n: number) => Array.from({ length: n }, (_, i) => key(i));
const setOf = (n: number) => buildSortedSet({ keys: keys(n) });
const sorted = (n: number) => keys(n).toSorted(compareKeys);

describe("sorted set", () => {
  it("is what spec/log.md says, by hand for three keys", () => {
    const [a, b, c] = sorted(3).map((k) => taggedHash("countersign/set-leaf/v1", k)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const node = (l: Uint8Array, r: Uint8Array) => taggedHash("countersign/set-node/v1", l, r);
    const root = taggedHash("countersign/set-root/v1", Uint8Array.of(0), uint(3, 8), node(node(a, b), c));
    expect(setOf(3).root).toEqual(root);
    expect(setOf(0).root).toEqual(taggedHash("countersign/set-root/v1", Uint8Array.of(0), uint(0, 8)));
  });

  it("shows for every key of sizes 0 to 40 whether it is in", () => {
    for (let n = 0; n <= 40; n++) {
      const set = setOf(n);
      for (let i = 0; i < 45; i++) {
        const proof = set.prove(key(i));
        expect(decodeSetProof(encodeSetProof(proof))).toEqual(proof);
        expect(checkSetProof({ root: set.root, kind: "set", key: key(i), proof })).toEqual({
          status: i < n ? "member" : "absent",
        });
      }
    }
  });

  it("carries values in a map, and they cannot be exchanged", () => {
    const map = buildSortedSet({ entries: keys(9).map((k, i) => [k, key(100 + i)] as const) });
    const proof = map.prove(key(4));
    const claim = { root: map.root, kind: "map" as const, key: key(4) };
    expect(checkSetProof({ ...claim, proof })).toEqual({ status: "member", value: key(104) });
    if (proof.kind !== "member") throw new Error("unreachable");
    const { value: _, ...bare } = proof.leaf;
    expect(checkSetProof({ ...claim, proof: { ...proof, leaf: { ...bare, value: key(105) } } }).status).toBe("failed");
    expect(checkSetProof({ ...claim, proof: { ...proof, leaf: bare } }).status).toBe("failed");
    expect(checkSetProof({ ...claim, kind: "set", proof }).status).toBe("failed");
    expect(buildSortedSet({ keys: [] }).root).not.toEqual(buildSortedSet({ entries: [] }).root);
  });

  it("refuses doubles and wrong widths", () => {
    expect(() => buildSortedSet({ keys: [key(1), key(1)] })).toThrow(/SNAPSHOT_INVALID/);
    expect(() => buildSortedSet({ keys: [new Uint8Array(31)] })).toThrow(/SNAPSHOT_INVALID/);
    expect(() => buildSortedSet({ entries: [[key(1), new Uint8Array(31)]] })).toThrow(/SNAPSHOT_INVALID/);
  });

  it("never shows a member to be absent, whatever leaves are combined", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.nat(), fc.nat(), fc.nat(), fc.nat(), (n, m, i, j, s) => {
        const set = setOf(n);
        const all = sorted(n);
        const member = all[m % n] as Uint8Array;
        const leaf = (k: number): SetLeaf => {
          const proof = set.prove(all[k % n] as Uint8Array);
          if (proof.kind !== "member") throw new Error("unreachable");
          return proof.leaf;
        };
        const before = leaf(i);
        const after = leaf(j);
        const size = s % (n + 2);
        const attempts: SetProof[] = [
          { kind: "absent", size: 0 },
          { kind: "absent", size },
          { kind: "absent", size: n },
          { kind: "absent", size: n, before },
          { kind: "absent", size: n, after },
          { kind: "absent", size: n, before, after },
          { kind: "absent", size, before, after },
          { kind: "absent", size: before.index + 1, before },
          { kind: "absent", size: n, before: { ...before, index: n - 1 } },
          { kind: "absent", size: n, after: { ...after, index: 0 } },
          { kind: "absent", size: n, before, after: { ...after, index: before.index + 1 } },
          { kind: "absent", size: n, before: { ...before, index: after.index - 1 }, after },
        ];
        for (const proof of attempts) {
          const found = checkSetProof({ root: set.root, kind: "set", key: member, proof });
          expect(found.status).toBe("failed");
        }
      }),
      { numRuns: 200 },
    );
  });

  it("never shows an absent key to be a member, nor lives through a changed byte", () => {
    const set = setOf(13);
    fc.assert(
      fc.property(fc.nat({ max: 40 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (i, at, change) => {
        const proof = set.prove(key(i));
        const bytes = encodeSetProof(proof);
        const changed = bytes.slice();
        changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ change;
        let read: SetProof;
        try {
          read = decodeSetProof(changed);
        } catch {
          return;
        }
        expect(checkSetProof({ root: set.root, kind: "set", key: key(i), proof: read }).status).toBe("failed");
      }),
      { numRuns: 500 },
    );
  });

  it("has no node in common with a log tree", () => {
    // A log's preimages start with 0x00 or 0x01, a set's with the length of its tag.
    const set = setOf(2);
    expect(equalBytes(set.root, setOf(3).root)).toBe(false);
    expect("countersign/set-leaf/v1".length).toBeGreaterThan(1);
    expect(() => decodeSetProof(Uint8Array.of(1, 0))).toThrow(/PROOF_INVALID/);
  });
});
