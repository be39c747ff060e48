import { type Ext, equal, P } from "./field.ts";
import { demand } from "./refusal.ts";
import { leaf, openingOrder, rootOf, type Transcript } from "./transcript.ts";

/** Reads a proof from its first byte to its last, refusing words that are not canonical. */
export type Reader = {
  readonly root: () => Uint8Array;
  readonly bytes: (length: number) => Uint8Array;
  readonly words: (count: number, canonical: boolean) => bigint[];
  readonly end: () => void;
};

export const newReader = (proof: Uint8Array): Reader => {
  let at = 0;
  const bytes = (length: number): Uint8Array => {
    demand(at + length <= proof.length, "bytes: too short");
    at += length;
    return proof.slice(at - length, at);
  };
  const list = (count: number, canonical: boolean): bigint[] => {
    const raw = bytes(4 * count);
    const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
    return Array.from({ length: count }, (_, i) => {
      const word = BigInt(view.getUint32(4 * i, true));
      demand(!canonical || word < P, "bytes: word not below p");
      return word;
    });
  };
  const end = (): void => demand(at === proof.length, "bytes: too long");
  return { root: () => bytes(32), bytes, words: list, end };
};

/** Elements sent one after the other, or as planes: all words of c_0, then of c_1, … */
export const elements = (list: readonly bigint[]): readonly Ext[] =>
  Array.from({ length: list.length / 4 }, (_, i) => list.slice(4 * i, 4 * i + 4) as unknown as Ext);
export const planes = (list: readonly bigint[]): readonly Ext[] => {
  const n = list.length / 4;
  return Array.from({ length: n }, (_, i) => [0, 1, 2, 3].map((q) => list[q * n + i]) as unknown as Ext);
};

export const toBytes = (list: readonly bigint[]): Uint8Array => {
  const out = new Uint8Array(4 * list.length);
  const view = new DataView(out.buffer);
  for (const [i, w] of list.entries()) view.setUint32(4 * i, Number(w), true);
  return out;
};

/** The columns of one matrix: `rows[row][k]` is the word of the k-th opened column, salts left out. */
export type Opened = { readonly rows: readonly (readonly bigint[])[]; readonly leaves: readonly Uint8Array[] };

export const readColumns = (reader: Reader, rowCount: number, columns: readonly number[]): Opened => {
  const all: bigint[][] = [];
  for (let row = 0; row < rowCount + 4; row++) all.push(reader.words(columns.length, row >= 4));
  const leaves = columns.map((_, k) => leaf(all.map((row) => row[k] as bigint)));
  return { rows: all.slice(4), leaves };
};

/** Reads the multi-opening of one matrix and compares the root it leads to. */
export const checkPath = (
  reader: Reader,
  n: number,
  columns: readonly number[],
  opened: Opened,
  root: Uint8Array,
  name: string,
): void => {
  const hashes = openingOrder(n, columns).map(() => reader.bytes(32));
  const found = rootOf(n, columns, opened.leaves, hashes);
  demand(found.every((b, i) => b === root[i]) && root.length === 32, `path of ${name}`);
};

export const same = (a: Ext, b: Ext, check: string): void => demand(equal(a, b), check);

/** `count` elements in the order in which they are drawn. */
export const draw = (transcript: Transcript, count: number): readonly Ext[] =>
  Array.from({ length: count }, () => transcript.element());
