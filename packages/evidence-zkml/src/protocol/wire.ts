import { CountersignError, concat } from "@countersign/core";
import type { Circuit } from "../circuit/compile.ts";
import { P } from "../field.ts";
import { bytesOf } from "./statement.ts";
import { saltWords } from "./tree.ts";

/** A proof's parts, in the order of its bytes (spec/zkml.md §6.2). */
export type ProofParts = {
  /** F1, M (hidden weights), F2, F3. */
  readonly roots: readonly Uint8Array[];
  readonly lookupMessages: readonly (readonly number[])[];
  readonly productMessages: readonly (readonly number[])[];
  readonly combination: Uint32Array;
  readonly proximity: Uint32Array;
  readonly linear: Uint32Array;
  readonly product: Uint32Array;
  /** F0 (hidden input), F1, F2, F3, weights, M: salts and rows of the opened columns, row after row. */
  readonly columns: readonly Uint32Array[];
  readonly paths: readonly Uint8Array[];
};

/** A parsed proof; the paths' lengths follow from columns that are not drawn yet, so they stay one string. */
export type Parsed = Omit<ProofParts, "paths"> & { readonly path: Uint8Array };

export const joinProof = (p: ProofParts): Uint8Array =>
  concat(
    ...p.roots,
    bytesOf(Uint32Array.from(p.lookupMessages.flat())),
    bytesOf(Uint32Array.from(p.productMessages.flat())),
    ...[p.combination, p.proximity, p.linear, p.product, ...p.columns].map(bytesOf),
    ...p.paths,
  );

/** Rows of each opened matrix, salts included, with the number of columns that are opened of it. */
export function openedSizes(circuit: Circuit): readonly { readonly rows: number; readonly queries: number }[] {
  const { witness: f, weight: w } = circuit;
  const [input, first, second, third] = f.rows;
  const hidden = circuit.weights === "hidden";
  return [
    ...(input > 0 ? [input] : []).map((rows) => ({ rows: rows + saltWords, queries: f.queries })),
    ...[first + 12, second, third].map((rows) => ({ rows: rows + saltWords, queries: f.queries })),
    ...(hidden ? [w.rows, 4] : []).map((rows) => ({ rows: rows + saltWords, queries: w.queries })),
  ];
}

const malformed = (message: string): CountersignError => new CountersignError("ZK_PROOF_MALFORMED", { message });

/** Reads words and bytes from their one encoding. */
function makeReader(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (n: number): number => {
    if (at + n > bytes.length) throw malformed("The proof ends before its last part.");
    at += n;
    return at - n;
  };
  /** `free` words at the start are salts: any 32 bits. All others are below p. */
  const words = (n: number, free = 0): Uint32Array => {
    const from = take(4 * n);
    const out = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const w = view.getUint32(from + 4 * i, true);
      if (i >= free && w >= P) throw malformed("A word of the proof is not an element of the field.");
      out[i] = w;
    }
    return out;
  };
  return { words, bytes: (n: number) => bytes.slice(take(n), at), rest: () => bytes.slice(at) };
}

/** Words of each message of the two sumchecks. */
export type MessageSizes = { readonly lookups: readonly number[]; readonly products: readonly number[] };
const messagesOf = ({ variables: v }: Circuit): MessageSizes => ({
  lookups: Array.from({ length: v.slots }, () => 12),
  products: Array.from({ length: v.inputs + v.layers }, () => 8),
});

/** Reads a proof; every length but the paths' is the circuit's. @throws ZK_PROOF_MALFORMED */
export function parseProof(circuit: Circuit, bytes: Uint8Array, sizes = messagesOf(circuit)): Parsed {
  const read = makeReader(bytes);
  const { witness: f, weight: w } = circuit;
  const hidden = circuit.weights === "hidden";
  const roots = Array.from({ length: hidden ? 4 : 3 }, () => read.bytes(32));
  const messages = (of: readonly number[]) => of.map((size) => [...read.words(size)]);
  return {
    roots,
    lookupMessages: messages(sizes.lookups),
    productMessages: messages(sizes.products),
    combination: read.words(hidden ? 4 * w.degree : 0),
    proximity: read.words(4 * f.proximity),
    linear: read.words(4 * f.linear),
    product: read.words(4 * f.product),
    columns: openedSizes(circuit).map(({ rows, queries }) => read.words(rows * queries, saltWords * queries)),
    path: read.rest(),
  };
}
