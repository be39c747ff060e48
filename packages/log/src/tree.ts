import { concat, sha256 } from "@countersign/core";

/** SHA-256 as an argument, so that servers bring a native one. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

const leafTag = Uint8Array.of(0x00);
const nodeTag = Uint8Array.of(0x01);

/** Root of the tree without leaves: the hash of nothing (RFC 6962 §2.1). */
export const emptyRoot: Uint8Array = sha256(new Uint8Array(0));

/** Hash of an entry: SHA-256(0x00 ‖ entry) (RFC 6962 §2.1). */
export function hashLeaf(entry: Uint8Array, hash: Sha256 = sha256): Uint8Array {
  return hash(concat(leafTag, entry));
}

/** Hash of two 32-byte children: SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1). The tags keep a node from being a leaf. */
export function hashNode(left: Uint8Array, right: Uint8Array, hash: Sha256 = sha256): Uint8Array {
  const bytes = new Uint8Array(65);
  bytes[0] = nodeTag[0] as number;
  bytes.set(left, 1);
  bytes.set(right, 33);
  return hash(bytes);
}

/** A perfect subtree: the leaves `index · 2^level` up to `(index + 1) · 2^level`. */
export type Node = { readonly level: number; readonly index: number };

/** A range of leaves, `from` inclusive, `to` exclusive. */
export type Range = { readonly from: number; readonly to: number };

/** The largest power of two smaller than `n`; where RFC 6962 splits a tree of `n > 1` leaves. */
export function splitPoint(n: number): number {
  let k = 1;
  // Sizes go up to 2^53 − 1, past what the 32-bit operators of the language hold: multiplication, not shifts.
  while (k * 2 < n) k *= 2;
  return k;
}

/** The perfect subtrees of a range that is itself a subtree of an RFC 6962 tree, left to right. */
export function perfectNodes({ from, to }: Range): readonly Node[] {
  const nodes: Node[] = [];
  for (let at = from; at < to; ) {
    let width = 1;
    let level = 0;
    while (width * 2 <= to - at) {
      width *= 2;
      level += 1;
    }
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

/** Root over perfect subtrees of falling size, left to right; `emptyRoot` for none. */
export function foldNodes(hashes: readonly Uint8Array[], hash: Sha256 = sha256): Uint8Array {
  const [last, ...rest] = hashes.toReversed();
  if (last === undefined) return emptyRoot;
  return rest.reduce((right, left) => hashNode(left, right, hash), last);
}

/** The growing edge of a tree: what is needed to append and to know the root, 32 bytes a level. */
export class Frontier {
  size = 0;
  /** `nodes[level]` is there exactly when the bit `level` of `size` is set. */
  readonly nodes: (Uint8Array | undefined)[] = [];
  readonly hash: Sha256;

  constructor(hash: Sha256 = sha256) {
    this.hash = hash;
  }

  /**
   * Appends one leaf hash.
   *
   * `onNode` sees every perfect subtree that this completes, from the leaf upward; a tile writer listens at each 8th level.
   */
  push(leaf: Uint8Array, onNode?: (level: number, node: Uint8Array) => void): void {
    let node = leaf;
    let level = 0;
    onNode?.(0, node);
    for (let left = this.nodes[level]; left !== undefined; left = this.nodes[level]) {
      node = hashNode(left, node, this.hash);
      this.nodes[level] = undefined;
      level += 1;
      onNode?.(level, node);
    }
    this.nodes[level] = node;
    this.size += 1;
  }

  root(): Uint8Array {
    return foldNodes(this.nodes.filter((node) => node !== undefined).toReversed(), this.hash);
  }
}

/** Root of a list of leaf hashes (RFC 6962 §2.1). */
export function treeRoot(leaves: Iterable<Uint8Array>, hash: Sha256 = sha256): Uint8Array {
  const frontier = new Frontier(hash);
  for (const leaf of leaves) frontier.push(leaf);
  return frontier.root();
}
