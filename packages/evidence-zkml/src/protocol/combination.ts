import type { Circuit } from "../circuit/compile.ts";
import { type Ext, type Field, shiftUp, zero } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { firstRows } from "./witness.ts";

/** An extension vector over the slots of a column: one basis of H values for each of its blocks. */
export type Vector = readonly number[];

/**
 * The linear test's vector A and its target. Each row of A is a sum of few bases with coefficients, so that the bases
 * are interpolated once however many rows use them.
 */
export type Combination = {
  /** Planes of H words each, Montgomery form. */
  readonly bases: readonly number[];
  /** Coefficients by row, then by basis. */
  readonly rows: readonly ReadonlyMap<number, Ext>[];
  readonly target: Ext;
};

/** Collects what the constraints say. Slots of products and pads are gathered apart, since each is one basis. */
export type Builder = {
  readonly vector: (table: number, length: number) => Vector;
  readonly ones: () => Vector;
  /** coef·⟨vector, column⟩ for a base-field column that starts at a row. */
  readonly column: (firstRow: number, vector: Vector, coef: Ext) => void;
  /** coef·⟨vector, column⟩ for a column of E whose plane q starts at `rowOf(q)`. */
  readonly planes: (rowOf: (plane: number) => number, vector: Vector, coef: Ext) => void;
  /** coef·(value at a slot of the product matrices A, B or C). */
  readonly slot: (matrix: 0 | 1 | 2, slot: number, coef: Ext) => void;
  readonly pad: (pad: number, coef: Ext) => void;
  readonly public: (value: Ext) => void;
  readonly finish: () => Combination;
};

export function makeBuilder(k: Kernels, f: Field, circuit: Circuit): Builder {
  const { row, slots, allRows, padRows } = circuit.witness;
  const at = firstRows(circuit);
  const bases: number[] = [];
  const rows = Array.from({ length: allRows }, () => new Map<number, Ext>());
  const slotTables = [0, 1, 2].map(() => k.zeros(16 * row));
  const padTable = k.zeros(16 * row * padRows);
  let target = zero;
  let ones: Vector | undefined;
  const addTo = (table: number, i: number, coef: Ext): void => {
    k.u32(table + 16 * i, 4).set(f.add(f.get(table, i), coef));
  };
  const vector = (table: number, length: number): Vector => {
    const out: number[] = [];
    for (let from = 0; from < length; from += row) {
      const basis = k.zeros(16 * row);
      k.toPlanes(table + 16 * from, Math.min(row, length - from), basis, row, 0);
      out.push(bases.push(basis) - 1);
    }
    return out;
  };
  const add = (r: number, basis: number, coef: Ext): void => {
    const of = rows[r] as Map<number, Ext>;
    const known = of.get(basis);
    of.set(basis, known ? f.add(known, coef) : coef);
  };
  const column = (firstRow: number, v: Vector, coef: Ext): void =>
    v.forEach((basis, b) => {
      add(firstRow + b, basis, coef);
    });
  const planes = (rowOf: (plane: number) => number, v: Vector, coef: Ext): void => {
    for (let q = 0; q < 4; q++) column(rowOf(q), v, shiftUp(coef, q));
  };
  return {
    vector,
    ones: () => {
      if (!ones) {
        const basis = k.zeros(16 * row);
        k.u32(basis, row).fill(k.toM(1));
        const i = bases.push(basis) - 1;
        ones = Array.from({ length: slots / row }, () => i);
      }
      return ones;
    },
    column,
    planes,
    slot: (matrix, slot, coef) => addTo(slotTables[matrix] as number, slot, coef),
    pad: (pad, coef) => addTo(padTable, pad, coef),
    public: (value) => {
      target = f.add(target, value);
    },
    finish: () => {
      const one: Ext = [k.toM(1), 0, 0, 0];
      slotTables.forEach((table, m) => {
        planes((q) => at.products + 4 * m + q, vector(table, row), one);
      });
      planes((q) => at.pads + q * padRows, vector(padTable, row * padRows), one);
      return { bases, rows, target };
    },
  };
}
