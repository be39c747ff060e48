import { concat, fromHex, type Hex, toHex, uint, utf8 } from "./bytes.ts";
import { hmacSha256, sha256 } from "./hash.ts";

/** The sixteen committed fields, in the order of their leaves (spec/receipt.md §3). A new field is a new suite. */
export const fields = [
  "rawRequest",
  "forwarded",
  "modelInput",
  "system",
  "messages",
  "tools",
  "params",
  "clientNonce",
  "policy",
  "offer",
  "payment",
  "promptVersion",
  "model",
  "profile",
  "output",
  "result",
] as const;

/** A field's name. */
export type Field = (typeof fields)[number];

/** A field's typed value (A9): nothing, plain bytes, or a list whose elements are leaves of their own. */
export type FieldValue =
  | { readonly kind: "absent" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "list"; readonly leaves: readonly Uint8Array[] };

export const absent: FieldValue = { kind: "absent" };
/** A plain value. */
export const plain = (bytes: Uint8Array): FieldValue => ({ kind: "bytes", bytes });

const tag = utf8("countersign/field/v1");
const head = concat(new Uint8Array([0]), tag);

/** Salt of a path under a secret: `HMAC-SHA-256(secret, path)`. */
export function fieldSalt(secret: Uint8Array, path: string): Uint8Array {
  return hmacSha256(secret, utf8(path));
}

function presence(value: FieldValue): Uint8Array {
  if (value.kind === "absent") return new Uint8Array([0]);
  if (value.kind === "bytes") return concat(new Uint8Array([1]), uint(value.bytes.length, 4), value.bytes);
  return concat(new Uint8Array([2]), uint(value.leaves.length, 8), listRoot(value.leaves));
}

/** Leaf hash: `SHA-256(0x00 ‖ tag ‖ u8 len(path) ‖ path ‖ salt ‖ presence)`. */
export function fieldLeaf(path: string, salt: Uint8Array, value: FieldValue): Uint8Array {
  const name = utf8(path);
  return sha256(concat(head, uint(name.length, 1), name, salt, presence(value)));
}

/** Inner node: `SHA-256(0x01 ‖ left ‖ right)`. */
export function fieldNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concat(new Uint8Array([1]), left, right));
}

/** Root of a list's leaves: RFC 6962's shape; the empty list has `SHA-256("")`. The count is bound by the leaf above. */
export function listRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0] as Uint8Array;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return fieldNode(listRoot(leaves.slice(0, split)), listRoot(leaves.slice(split)));
}

/** The roots over sixteen leaves that others bind to. */
export type Roots = { readonly receiptRoot: Hex; readonly requestRoot: Hex; readonly outputRoot: Hex };

/** Roots of the sixteen leaves: `requestRoot` over 0–7, `outputRoot` over 14–15. @throws RangeError */
export function rootsOf(leaves: readonly Uint8Array[]): Roots {
  if (leaves.length !== fields.length) throw new RangeError(`A statement has ${fields.length} leaves.`);
  const requestRoot = listRoot(leaves.slice(0, 8));
  const outputRoot = listRoot(leaves.slice(14));
  const root = fieldNode(
    requestRoot,
    fieldNode(listRoot(leaves.slice(8, 12)), fieldNode(listRoot(leaves.slice(12, 14)), outputRoot)),
  );
  return { receiptRoot: toHex(root), requestRoot: toHex(requestRoot), outputRoot: toHex(outputRoot) };
}

/** Siblings of leaf `index`, from the leaf to the root: what a contract needs to check one field. */
export function fieldPath(leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  const path: Uint8Array[] = [];
  let level = [...leaves];
  for (let i = index; level.length > 1; i >>= 1) {
    path.push(level[i ^ 1] as Uint8Array);
    level = level.flatMap((left, j) => (j % 2 === 0 ? [fieldNode(left, level[j + 1] as Uint8Array)] : []));
  }
  return path;
}

/** Leaves of a list field's elements under one secret: paths `messages/0`, `messages/1`, … */
export function elementLeaves(field: Field, secret: Uint8Array, elements: readonly Uint8Array[]): Uint8Array[] {
  return elements.map((bytes, i) => fieldLeaf(`${field}/${i}`, fieldSalt(secret, `${field}/${i}`), plain(bytes)));
}

/** Bytes of a hex leaf list. */
export const fromHexList = (list: readonly Hex[]): Uint8Array[] => list.map(fromHex);
