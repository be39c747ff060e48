import type { Kernels } from "../kernels/kernels.ts";
import { plantTree, saltWords, type Tree } from "./tree.ts";

/** Committed codewords: rows of salts first, then `rows` codewords of `length` words, in the kernels' memory. */
export type Matrix = { readonly at: number; readonly rows: number; readonly length: number };

/** Room for a matrix, with its salts. */
export function makeMatrix(k: Kernels, rows: number, length: number, salts: Uint32Array): Matrix {
  const at = k.alloc(4 * length * (rows + saltWords));
  k.u32(at, saltWords * length).set(salts);
  return { at, rows, length };
}

/** Address of a codeword. */
export const rowAt = (m: Matrix, row: number): number => m.at + 4 * m.length * (saltWords + row);

export const plant = (k: Kernels, m: Matrix): Tree => plantTree(k, m.at, m.rows + saltWords, m.length);

/** The chosen columns, salts included, row after row. */
export function columnsOf(k: Kernels, m: Matrix, columns: readonly number[]): Uint32Array {
  return k.scope(() => {
    const rows = m.rows + saltWords;
    const out = k.alloc(4 * rows * columns.length);
    k.gather(m.at, rows, m.length, k.put(columns), columns.length, out, columns.length);
    return k.u32(out, rows * columns.length).slice();
  });
}
