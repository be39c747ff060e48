import { CountersignError, equalBytes, sha256 } from "@countersign/core";
import { type Check, failed, ok } from "./check.ts";
import { type ReadNodes, readRanges } from "./inclusion.ts";
import { hashNode, type Range, type Sha256, splitPoint } from "./tree.ts";

/** The ranges whose roots are the consistency proof from `old` to `size` leaves (RFC 6962 §2.1.2). */
export function consistencyRanges(old: number, size: number): readonly Range[] {
  const ranges: Range[] = [];
  let from = 0;
  let to = size;
  while (old !== to) {
    const middle = from + splitPoint(to - from);
    if (old <= middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  // When the old tree is a perfect subtree of the new one, the verifier holds its root already.
  if (from > 0) ranges.push({ from, to });
  return ranges.toReversed();
}

/**
 * Builds the proof that the tree of `old` leaves is a prefix of the one of `size` leaves; empty for 0 and for equal sizes.
 *
 * @throws CountersignError PROOF_INVALID when `old` is larger than `size`.
 */
export async function proveConsistency(
  old: number,
  size: number,
  read: ReadNodes,
  hash: Sha256 = sha256,
): Promise<Uint8Array[]> {
  if (!Number.isSafeInteger(old) || !Number.isSafeInteger(size) || old < 0 || old > size)
    throw new CountersignError("PROOF_INVALID", { message: `A log of ${size} entries has no prefix of ${old}.` });
  return old === 0 ? [] : readRanges(consistencyRanges(old, size), read, hash);
}

/** Both roots that a consistency proof leads to, or undefined when it cannot be one for these sizes. */
function rootsOfConsistency(
  old: number,
  size: number,
  proof: readonly Uint8Array[],
  hash: Sha256,
): { readonly first: Uint8Array; readonly second: Uint8Array } | undefined {
  // RFC 9162 §2.1.4.2, with the old root put in front by the caller where the RFC puts it.
  const [seed, ...path] = proof;
  if (seed === undefined || proof.some((part) => part.length !== 32)) return undefined;
  let at = old - 1;
  let last = size - 1;
  while (at % 2 === 1) {
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  let first = seed;
  let second = seed;
  for (const part of path) {
    if (last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      first = hashNode(part, first, hash);
      second = hashNode(part, second, hash);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      second = hashNode(second, part, hash);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? { first, second } : undefined;
}

const isPowerOfTwo = (n: number): boolean => n === 1 || splitPoint(n) * 2 === n;

/** A claim that one tree is a prefix of another. */
export type ConsistencyClaim = {
  readonly old: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly hash?: Sha256;
};

/** Checks that the tree of `old` leaves under `oldRoot` is a prefix of the tree of `size` leaves under `root`. */
export function checkConsistency(claim: ConsistencyClaim): Check {
  const { old, size, proof } = claim;
  const no = (reason: string): Check => failed("PROOF_INVALID", reason);
  if (!Number.isSafeInteger(old) || !Number.isSafeInteger(size) || old < 0) return no("A size is not one.");
  if (old > size) return no("The old tree is larger than the new one.");
  if (old === 0 || old === size) {
    // Nothing is proved by a path here, so a path that is there would go unread.
    if (proof.length > 0) return no("The path must be empty for these sizes.");
    return old === 0 || equalBytes(claim.oldRoot, claim.root) ? ok : no("One size has two roots.");
  }
  const roots = rootsOfConsistency(
    old,
    size,
    isPowerOfTwo(old) ? [claim.oldRoot, ...proof] : proof,
    claim.hash ?? sha256,
  );
  if (roots === undefined) return no("The path does not have the shape that these sizes ask for.");
  if (!equalBytes(roots.first, claim.oldRoot)) return no("The path leads to another old root.");
  if (!equalBytes(roots.second, claim.root)) return no("The path leads to another new root.");
  return ok;
}
