import { CountersignError, concat, equalBytes, sha256, uint } from "@countersign/core";
import { type Failure, failed } from "./check.ts";
import { rootOfInclusion } from "./inclusion.ts";
import {
  compareKeys,
  hashSetLeaf,
  hashSetNode,
  hashSetRoot,
  type SetKind,
  type SetLeaf,
  type SetProof,
} from "./sorted-set.ts";
import type { Sha256 } from "./tree.ts";

/** What a set proof shows about a key, or why it shows nothing. */
export type SetCheck =
  | { readonly status: "member"; readonly value?: Uint8Array }
  | { readonly status: "absent" }
  | Failure;

const no = (reason: string): Failure => failed("PROOF_INVALID", reason);

/**
 * Checks what a proof shows about `key` in the sorted set under `root`.
 *
 * Absence is two leaves that stand side by side around the place of the key, or the edge of the set (spec/log.md §8).
 */
export function checkSetProof(claim: {
  readonly root: Uint8Array;
  readonly kind: SetKind;
  readonly key: Uint8Array;
  readonly proof: SetProof;
  readonly hash?: Sha256;
}): SetCheck {
  const { key, proof, kind } = claim;
  const hash = claim.hash ?? sha256;
  if (key.length !== 32) return no("A key has 32 bytes.");
  if (!Number.isSafeInteger(proof.size) || proof.size < 0) return no("The set's size is not one.");
  const holds = (leaf: SetLeaf): boolean => {
    if (leaf.key.length !== 32) return false;
    if (kind === "map" ? leaf.value?.length !== 32 : leaf.value !== undefined) return false;
    const top = rootOfInclusion(leaf.index, proof.size, hashSetLeaf(leaf.key, leaf.value, hash), leaf.path, (l, r) =>
      hashSetNode(l, r, hash),
    );
    return top !== undefined && equalBytes(hashSetRoot(kind, proof.size, top, hash), claim.root);
  };
  if (proof.kind === "member") {
    const { leaf } = proof;
    if (!equalBytes(leaf.key, key)) return no("The proof is about another key.");
    if (!holds(leaf)) return no("The leaf is not in the set.");
    return { status: "member", ...(leaf.value && { value: leaf.value }) };
  }
  const { before, after, size } = proof;
  if (size === 0) {
    if (before || after) return no("An empty set has no leaves.");
    return equalBytes(hashSetRoot(kind, 0, undefined, hash), claim.root)
      ? { status: "absent" }
      : no("The set is not empty.");
  }
  if (before === undefined && after === undefined) return no("The proof shows no leaf.");
  // Without a neighbour on one side the other must be the set's edge; size is bound into the root, so "last" is provable.
  if (before === undefined ? after?.index !== 0 : before.index + 1 !== (after?.index ?? size))
    return no("The leaves do not stand side by side.");
  if (before && (compareKeys(before.key, key) >= 0 || !holds(before))) return no("The leaf before does not hold.");
  if (after && (compareKeys(key, after.key) >= 0 || !holds(after))) return no("The leaf after does not hold.");
  return { status: "absent" };
}

const version = 1;
const encodeLeaf = ({ index, key, value, path }: SetLeaf): Uint8Array =>
  concat(
    uint(index, 8),
    key,
    value === undefined ? Uint8Array.of(0) : concat(Uint8Array.of(1), value),
    uint(path.length, 1),
    ...path,
  );

/** The proof in bytes: one encoding per proof (spec/log.md §8.3). */
export function encodeSetProof(proof: SetProof): Uint8Array {
  const head = (form: number) => concat(Uint8Array.of(version, form), uint(proof.size, 8));
  if (proof.kind === "member") return concat(head(0), encodeLeaf(proof.leaf));
  const { before, after } = proof;
  const form = 1 + (before ? 1 : 0) + (after ? 2 : 0);
  return concat(head(form), ...(before ? [encodeLeaf(before)] : []), ...(after ? [encodeLeaf(after)] : []));
}

/** Reads a proof back; checks nothing but its form. @throws CountersignError PROOF_INVALID */
export function decodeSetProof(bytes: Uint8Array): SetProof {
  let at = 0;
  const take = (n: number): Uint8Array => {
    if (at + n > bytes.length) throw malformed("ends early");
    at += n;
    return bytes.subarray(at - n, at);
  };
  const byte = (limit: number): number => {
    const value = take(1)[0] as number;
    if (value > limit) throw malformed("has an unknown form");
    return value;
  };
  const number = (): number => {
    const value = Number(take(8).reduce((n, b) => n * 256n + BigInt(b), 0n));
    if (!Number.isSafeInteger(value)) throw malformed("has a number past 2^53 − 1");
    return value;
  };
  const readLeaf = (): SetLeaf => {
    const index = number();
    const key = take(32);
    const value = byte(1) === 1 ? take(32) : undefined;
    const path = Array.from({ length: byte(63) }, () => take(32));
    return { index, key, ...(value && { value }), path };
  };
  if (byte(255) !== version) throw malformed("is of another version");
  const form = byte(4);
  const size = number();
  let proof: SetProof;
  if (form === 0) proof = { kind: "member", size, leaf: readLeaf() };
  else {
    const before = (form - 1) & 1 ? readLeaf() : undefined;
    const after = (form - 1) & 2 ? readLeaf() : undefined;
    proof = { kind: "absent", size, ...(before && { before }), ...(after && { after }) };
  }
  if (at !== bytes.length) throw malformed("has bytes after its end");
  return proof;
}

const malformed = (what: string) => new CountersignError("PROOF_INVALID", { message: `The set proof ${what}.` });
