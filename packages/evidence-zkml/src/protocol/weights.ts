import type { Circuit } from "../circuit/compile.ts";
import { type Ext, type Field, P } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { eqTable, powers } from "./constraints.ts";
import type { Committed, Prepared } from "./prover.ts";

/** The one pass over the weights: each layer's combined row, and U over (layer, input). */
export type Pass = { readonly rows: readonly number[]; readonly combined: number };

const highOf = (circuit: Circuit, r: readonly Ext[]): readonly Ext[] =>
  r.slice(0, r.length - Math.log2(circuit.weight.group));
const lowOf = (circuit: Circuit, r: readonly Ext[]): readonly Ext[] =>
  r.slice(r.length - Math.log2(circuit.weight.group));

/** Combines `rows` rows of int8 weights at `matrix` with `count` Montgomery coefficients at `coefs`; m-form elements. */
function combineRows(k: Kernels, matrix: number, rows: number, columns: number, coefs: number, count: number): number {
  const out = k.alloc(16 * columns);
  k.scope(() => {
    const e = k.zeros(16 * rows);
    k.u8(e, 16 * count).set(k.u8(coefs, 16 * count));
    k.fromMv(e, 4 * count);
    const sums = k.zeros(32 * columns);
    k.combineI8(matrix, rows, columns, e, sums);
    k.reduceI64(sums, 4 * columns, out);
  });
  k.toMv(out, 4 * columns);
  return out;
}

/** P_l = Σ eq(r_hi, ih)·W_l[ih]; U(l, j) = rho^l·Σ eq(r_lo, il)·P_l(il, j). */
export function passWeights({ circuit, k, f, matrix }: Prepared, r: readonly Ext[], rho: Ext): Pass {
  const { group, width, columns, rowsOf, firstRowOf } = circuit.weight;
  const inputs = 2 ** circuit.variables.inputs;
  const high = eqTable(k, highOf(circuit, r));
  const highCount = 2 ** highOf(circuit, r).length;
  const low = eqTable(k, lowOf(circuit, r));
  const combined = k.zeros(16 * 2 ** circuit.variables.layers * inputs);
  const rhos = powers(f, rho, rowsOf.length);
  const rows = rowsOf.map((count, l) => {
    const out = combineRows(
      k,
      matrix + (firstRowOf[l] as number) * columns,
      count,
      columns,
      high,
      Math.min(count, highCount),
    );
    const u = combined + 16 * l * inputs;
    for (let i = 0; i < group; i++)
      k.scope(() => k.eaxpy(out + 16 * i * width, width, k.put(f.mul(rhos[l] as Ext, f.get(low, i))), u));
    return out;
  });
  return { rows, combined };
}

/** Point of the weights' opening. */
export type Opening = { readonly r: readonly Ext[]; readonly rho: Ext; readonly s: readonly Ext[]; readonly chi: Ext };

/** chi·rho^l·eq(s_hi, l) of every layer. */
function layerCoefs(k: Kernels, f: Field, circuit: Circuit, { s, rho, chi }: Opening): readonly Ext[] {
  const table = eqTable(k, s.slice(0, circuit.variables.layers));
  const rhos = powers(f, rho, circuit.shape.layers.length);
  return rhos.map((p, l) => f.mul(chi, f.mul(p, f.get(table, l))));
}

/** Coefficient of every row of the weight matrix in the combination, m-form elements; rows past the last variable get none. */
export function rowCoefs(k: Kernels, f: Field, circuit: Circuit, opening: Opening): number {
  const { rowsOf, firstRowOf, rows } = circuit.weight;
  const out = k.zeros(16 * rows);
  const point = highOf(circuit, opening.r);
  const high = eqTable(k, point);
  layerCoefs(k, f, circuit, opening).forEach((coef, l) => {
    const count = Math.min(rowsOf[l] as number, 2 ** point.length);
    k.scope(() => k.escale(high, count, k.put(coef), out + 16 * (firstRowOf[l] as number)));
  });
  return out;
}

/** uc = Σ coef·row + mask: `degree` coefficients in four planes of canonical words. */
export function combineWeights(c: Committed, pass: Pass, opening: Opening, mask: Uint32Array): Uint32Array {
  const { circuit, k, f } = c;
  const { columns } = circuit.weight;
  return k.scope(() => {
    const message = k.zeros(16 * columns);
    layerCoefs(k, f, circuit, opening).forEach((coef, l) => {
      k.eaxpy(pass.rows[l] as number, columns, k.put(coef), message);
    });
    return addTails(c, message, rowCoefs(k, f, circuit, opening), mask);
  });
}

/** The same for any coefficients of the rows, m-form elements at `coefs`. */
export function combineAnyRows(c: Committed, coefs: number, mask: Uint32Array): Uint32Array {
  const { rows, columns } = c.circuit.weight;
  return c.k.scope(() => addTails(c, combineRows(c.k, c.matrix, rows, columns, coefs, rows), coefs, mask));
}

/** Message and combined tails plus the mask, canonical planes. */
function addTails({ circuit, k, tails }: Committed, message: number, coefs: number, mask: Uint32Array): Uint32Array {
  const { columns, extra, degree, rows } = circuit.weight;
  const padded = Math.ceil(extra / 4) * 4;
  const tail = k.zeros(16 * padded);
  const row = k.zeros(4 * padded);
  for (let r = 0; r < rows; r++) {
    k.u32(row, extra).set(tails.subarray(r * extra, (r + 1) * extra));
    k.axpyPlanes(row, padded, coefs + 16 * r, tail);
  }
  k.fromMv(message, 4 * columns);
  const out = new Uint32Array(4 * degree);
  const m = k.u32(message, 4 * columns);
  const t = k.u32(tail, 4 * padded);
  for (let q = 0; q < 4; q++) {
    for (let j = 0; j < columns; j++)
      out[q * degree + j] = ((m[4 * j + q] as number) + (mask[q * degree + j] as number)) % P;
    for (let j = 0; j < extra; j++)
      out[q * degree + columns + j] = ((t[q * padded + j] as number) + (mask[q * degree + columns + j] as number)) % P;
  }
  return out;
}

/** ⟨v, eq(r_lo) ⊗ eq(s_lo)⟩ over the first `columns` coefficients of four planes of `degree` words. */
export function weightValue(
  k: Kernels,
  f: Field,
  circuit: Circuit,
  planes: Uint32Array,
  degree: number,
  r: readonly Ext[],
  s: readonly Ext[],
): Ext {
  return k.scope(() => {
    const { columns } = circuit.weight;
    const values = k.alloc(16 * columns);
    k.fromPlanes(k.put(planes), degree, columns, values);
    return dotPoint(k, f, circuit, values, r, s);
  });
}

function dotPoint(k: Kernels, f: Field, circuit: Circuit, values: number, r: readonly Ext[], s: readonly Ext[]): Ext {
  const { group, width, columns } = circuit.weight;
  const low = eqTable(k, lowOf(circuit, r));
  const inputs = eqTable(k, s.slice(circuit.variables.layers));
  const point = k.alloc(16 * columns);
  for (let i = 0; i < group; i++) k.escale(inputs, width, low + 16 * i, point + 16 * i * width);
  const out = k.alloc(16);
  k.edot(values, point, columns, out);
  return f.get(out);
}

/** U(s) from the weights themselves: what a checker of open weights computes. */
export function evaluateWeights(
  k: Kernels,
  f: Field,
  circuit: Circuit,
  layout: Int8Array,
  opening: Omit<Opening, "chi">,
): Ext {
  return k.scope(() => {
    const { rows, columns } = circuit.weight;
    const matrix = k.alloc(layout.length);
    k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer, layout.byteOffset, layout.length));
    const coefs = rowCoefs(k, f, circuit, { ...opening, chi: f.int(1) });
    return dotPoint(k, f, circuit, combineRows(k, matrix, rows, columns, coefs, rows), opening.r, opening.s);
  });
}
