import { CountersignError, concat, equalBytes, sha256, toHex, uint, utf8 } from "@countersign/core";
import { inclusionRanges } from "./inclusion.ts";
import { perfectNodes, type Sha256 } from "./tree.ts";

/** Whether leaves are keys alone or keys with a value; bound into the root. */
export type SetKind = "set" | "map";

/** One leaf and its way to the top: what shows that `key` (with `value`) stands at `index`. */
export type SetLeaf = {
  readonly index: number;
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
  readonly path: readonly Uint8Array[];
};

/** Why a key is in a set, or why it is not: its leaf, or the leaves beside the place where it would stand. */
export type SetProof =
  | { readonly kind: "member"; readonly size: number; readonly leaf: SetLeaf }
  | { readonly kind: "absent"; readonly size: number; readonly before?: SetLeaf; readonly after?: SetLeaf };

/** A Merkle tree over sorted, unique 32-byte keys (spec/log.md §8). */
export type SortedSet = {
  readonly kind: SetKind;
  readonly size: number;
  /** 32 bytes; binds kind and size. */
  readonly root: Uint8Array;
  /** Proof that `key` is a member, or that it is absent. */
  readonly prove: (key: Uint8Array) => SetProof;
};

// The prefix of core's taggedHash, so that a preimage starts with a length byte ≥ 2 and never with the log's 0x00 or 0x01.
const prefix = (tag: string): Uint8Array => concat(uint(tag.length, 1), utf8(tag));
const part = (bytes: Uint8Array): Uint8Array => concat(uint(bytes.length, 8), bytes);
const leafPrefix = prefix("countersign/set-leaf/v1");
const nodePrefix = prefix("countersign/set-node/v1");
const rootPrefix = prefix("countersign/set-root/v1");

export const hashSetLeaf = (key: Uint8Array, value: Uint8Array | undefined, hash: Sha256): Uint8Array =>
  hash(value === undefined ? concat(leafPrefix, part(key)) : concat(leafPrefix, part(key), part(value)));
export const hashSetNode = (left: Uint8Array, right: Uint8Array, hash: Sha256): Uint8Array =>
  hash(concat(nodePrefix, part(left), part(right)));
export const hashSetRoot = (kind: SetKind, size: number, top: Uint8Array | undefined, hash: Sha256): Uint8Array => {
  const head = concat(rootPrefix, part(Uint8Array.of(kind === "set" ? 0 : 1)), part(uint(size, 8)));
  return hash(top === undefined ? head : concat(head, part(top)));
};

/** Order of keys: as byte strings, first byte first. Negative, zero or positive. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Builds the tree over keys, or over keys with values; any order in, sorted order inside.
 *
 * @throws CountersignError SNAPSHOT_INVALID for a key or value that is not 32 bytes, or a key that is there twice.
 */
export function buildSortedSet(
  content: { readonly keys: Iterable<Uint8Array> } | { readonly entries: Iterable<readonly [Uint8Array, Uint8Array]> },
  hash: Sha256 = sha256,
): SortedSet {
  const kind: SetKind = "keys" in content ? "set" : "map";
  const leaves: { readonly key: Uint8Array; readonly value?: Uint8Array }[] =
    "keys" in content
      ? Array.from(content.keys, (key) => ({ key }))
      : Array.from(content.entries, ([key, value]) => ({ key, value }));
  leaves.sort((a, b) => compareKeys(a.key, b.key));
  for (const [i, { key, value }] of leaves.entries()) {
    const before = leaves[i - 1];
    if (key.length !== 32 || (value !== undefined && value.length !== 32))
      throw new CountersignError("SNAPSHOT_INVALID", { message: "A set's keys and values have 32 bytes each." });
    if (before && equalBytes(before.key, key))
      throw new CountersignError("SNAPSHOT_INVALID", { message: `The key ${toHex(key)} is in the set twice.` });
  }
  // levels[l][i] is the perfect subtree of 2^l leaves at i; a ragged edge has no node of its own.
  const levels = [leaves.map(({ key, value }) => hashSetLeaf(key, value, hash))];
  for (let below = levels[0] as Uint8Array[]; below.length > 1; ) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < below.length; i += 2)
      above.push(hashSetNode(below[i] as Uint8Array, below[i + 1] as Uint8Array, hash));
    levels.push(above);
    below = above;
  }
  const size = leaves.length;
  const nodeAt = (level: number, index: number) => levels[level]?.[index] as Uint8Array;
  const fold = (from: number, to: number): Uint8Array =>
    perfectNodes({ from, to })
      .map(({ level, index }) => nodeAt(level, index))
      .reduceRight((right, left) => hashSetNode(left, right, hash));
  const pathOf = (index: number): Uint8Array[] => inclusionRanges(index, size).map(({ from, to }) => fold(from, to));
  const leafAt = (index: number): SetLeaf | undefined => {
    const leaf = leaves[index];
    return leaf && { index, ...leaf, path: pathOf(index) };
  };
  return {
    kind,
    size,
    root: hashSetRoot(kind, size, size === 0 ? undefined : fold(0, size), hash),
    prove(key) {
      let low = 0;
      for (let high = size; low < high; ) {
        const middle = (low + high) >>> 1;
        if (compareKeys((leaves[middle] as SetLeaf).key, key) < 0) low = middle + 1;
        else high = middle;
      }
      const here = leafAt(low);
      if (here && equalBytes(here.key, key)) return { kind: "member", size, leaf: here };
      const before = leafAt(low - 1);
      return { kind: "absent", size, ...(before && { before }), ...(here && { after: here }) };
    },
  };
}
