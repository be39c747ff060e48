import { CountersignError, equalBytes, sha256 } from "@countersign/core";
import { type Check, failed, ok } from "./check.ts";
import { foldNodes, hashNode, type Node, perfectNodes, type Range, type Sha256, splitPoint } from "./tree.ts";

/** Reads perfect subtrees' hashes, in the order asked for. */
export type ReadNodes = (nodes: readonly Node[]) => Promise<readonly Uint8Array[]>;

/** The ranges whose roots are the inclusion proof of a leaf, from its sibling to the root's child (RFC 6962 §2.1.1). */
export function inclusionRanges(index: number, size: number): readonly Range[] {
  const ranges: Range[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + splitPoint(to - from);
    if (index < middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  return ranges.toReversed();
}

/** Roots of ranges, read as perfect subtrees in one go. */
export async function readRanges(ranges: readonly Range[], read: ReadNodes, hash: Sha256): Promise<Uint8Array[]> {
  const nodes = ranges.map(perfectNodes);
  const hashes = await read(nodes.flat());
  let at = 0;
  return nodes.map((part) => {
    at += part.length;
    return foldNodes(hashes.slice(at - part.length, at), hash);
  });
}

/**
 * Builds the inclusion proof of the leaf `index` in the tree of `size` leaves.
 *
 * @throws CountersignError PROOF_INVALID when the tree has no such leaf.
 */
export async function proveInclusion(
  index: number,
  size: number,
  read: ReadNodes,
  hash: Sha256 = sha256,
): Promise<Uint8Array[]> {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size)
    throw new CountersignError("PROOF_INVALID", { message: `A log of ${size} entries has no entry ${index}.` });
  return readRanges(inclusionRanges(index, size), read, hash);
}

/**
 * The root that an inclusion proof leads to, or undefined when it cannot be one for this index and size.
 *
 * RFC 9162 §2.1.3.2. The length is fixed by index and size, so a path for one position never passes for another.
 */
export function rootOfInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  node: (left: Uint8Array, right: Uint8Array) => Uint8Array = hashNode,
): Uint8Array | undefined {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return undefined;
  if (leaf.length !== 32) return undefined;
  let at = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of proof) {
    if (sibling.length !== 32 || last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      root = node(sibling, root);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = node(root, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? root : undefined;
}

/** Checks that the tree of `size` leaves under `root` has the leaf hash `leaf` at `index`. */
export function checkInclusion(claim: {
  readonly index: number;
  readonly size: number;
  readonly leaf: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
  readonly hash?: Sha256;
}): Check {
  const hash = claim.hash ?? sha256;
  const root = rootOfInclusion(claim.index, claim.size, claim.leaf, claim.proof, (l, r) => hashNode(l, r, hash));
  if (root === undefined)
    return failed("PROOF_INVALID", "The path does not have the shape that this index and size ask for.");
  return equalBytes(root, claim.root) ? ok : failed("PROOF_INVALID", "The path leads to another root.");
}
