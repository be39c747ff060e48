import { type Hex, toBase64Url, toHex } from "./bytes.ts";
import {
  elementLeaves,
  type Field,
  type FieldValue,
  fieldLeaf,
  fieldSalt,
  fields,
  plain,
  type Roots,
  rootsOf,
} from "./field.ts";
import type { Opening } from "./receipt.ts";

/** What is committed under one field: nothing, one value, or a list of values. */
export type Content = Uint8Array | readonly Uint8Array[] | undefined;

/** Contents of the sixteen fields; what is missing is committed as absent. */
export type Contents = { readonly [F in Field]?: Content };

/** A commitment: its leaves, its roots and an opening of every field and element. */
export type Commitment = {
  readonly roots: Roots;
  readonly leaves: readonly Hex[];
  /** An opening of each field, lists followed by their elements, in the order of the leaves. */
  readonly openings: readonly Opening[];
};

const isList = (content: Content): content is readonly Uint8Array[] => Array.isArray(content);

/**
 * Commits to a run: the salted-field Merkle commitment of spec/receipt.md §3.
 *
 * @param contents Values of the fields.
 * @param secretOf The 32-byte secret that salts a field: the receipt's, or the owner's for what a deployment injects (A8).
 */
export function commit(contents: Contents, secretOf: (field: Field) => Uint8Array): Commitment {
  const leaves: Uint8Array[] = [];
  const openings: Opening[] = [];
  for (const field of fields) {
    const secret = secretOf(field);
    const content = contents[field];
    const salt = fieldSalt(secret, field);
    let value: FieldValue = { kind: "absent" };
    if (isList(content)) {
      const elements = elementLeaves(field, secret, content);
      value = { kind: "list", leaves: elements };
      openings.push({ path: field, salt: toHex(salt), value: { list: elements.map(toHex) } });
      content.forEach((bytes, i) => {
        const path = `${field}/${i}`;
        openings.push({ path, salt: toHex(fieldSalt(secret, path)), value: { bytes: toBase64Url(bytes) } });
      });
    } else if (content) {
      value = plain(content);
      openings.push({ path: field, salt: toHex(salt), value: { bytes: toBase64Url(content) } });
    } else openings.push({ path: field, salt: toHex(salt), value: "absent" });
    leaves.push(fieldLeaf(field, salt, value));
  }
  return { roots: rootsOf(leaves), leaves: leaves.map(toHex), openings };
}
