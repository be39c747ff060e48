import { type Circuit, tags, upperTags } from "../circuit/compile.ts";
import { type Ext, type Field, one, zero } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { inputsOf } from "../model.ts";
import { eqTable, invertAll, powers } from "./constraints.ts";
import { canonical, constantsOf, type Witness } from "./witness.ts";

/** alpha − f_c and its inverse for every lookup column. */
export type LookupTables = { readonly values: readonly number[]; readonly inverses: readonly number[] };

export function lookupTables(
  k: Kernels,
  f: Field,
  circuit: Circuit,
  { columns, input }: Witness,
  alpha: Ext,
  beta: Ext,
): LookupTables {
  const { slots, lookups } = circuit.witness;
  const beta2 = f.mul(beta, beta);
  const minus = (coef: Ext) => k.put(f.neg(coef));
  const base = (values: ArrayLike<number>, from = 0): number => {
    const at = k.alloc(4 * slots);
    const view = k.u32(at, slots);
    for (let i = 0; i < slots; i++) view[i] = canonical(values[from + i] ?? 0);
    k.toMv(at, slots);
    return at;
  };
  const values = Array.from({ length: lookups }, (_, c) => {
    const out = k.alloc(16 * slots);
    const tag = [tags.lo, 0, tags.l, tags.h][c] ?? tags.input;
    k.efill(out, slots, k.put(f.sub(alpha, f.int(tag))));
    if (c === 1) k.eaxpyBase(base(upperTags(circuit)), slots, minus(one), out);
    const column = [columns.lo, columns.hi, columns.l, columns.h][c];
    k.eaxpyBase(column ? base(column) : base(input, (c - 4) * slots), slots, minus(beta), out);
    if (c === 3) {
      k.eaxpyBase(base(columns.z0), slots, minus(beta2), out);
      k.eaxpyBase(base(columns.zp), slots, minus(f.mul(beta2, beta)), out);
    }
    return out;
  });
  const inverses = values.map((v) => {
    const out = invertAll(k, f, v, slots);
    if (out === undefined) throw new RangeError("A challenge met a value of the witness; prove again.");
    return out;
  });
  return { values, inverses };
}

/** The first sumcheck's tables; each is folded in place, round after round. */
export function sumLookups(
  k: Kernels,
  f: Field,
  circuit: Circuit,
  { columns }: Witness,
  tables: LookupTables,
  { tau, gamma }: { readonly tau: readonly Ext[]; readonly gamma: Ext },
) {
  const { slots, lookups } = circuit.witness;
  const gammas = powers(f, gamma, lookups + 1);
  const last = gammas[lookups] as Ext;
  const scaled = (from: number, by: Ext): number => {
    const out = k.alloc(16 * slots);
    k.escale(from, slots, k.put(by), out);
    return out;
  };
  const column = (values: Int32Array, by: Ext, to = k.zeros(16 * slots)): number => {
    const at = k.put(Uint32Array.from(values, canonical));
    k.toMv(at, slots);
    k.eaxpyBase(at, slots, k.put(by), to);
    return to;
  };
  const y = column(columns.zp, f.neg(f.mul(last, f.int(127))), column(columns.y, last));
  const cells = [
    eqTable(k, tau),
    ...tables.values.flatMap((v, c) => [scaled(tables.inverses[c] as number, one), scaled(v, gammas[c] as Ext)]),
    y,
    column(columns.z0, last),
    column(columns.l, one),
  ];
  const pointers = k.put(cells);
  const constant = k.put(f.neg(gammas.slice(0, lookups).reduce((a, b) => f.add(a, b), zero)));
  let half = slots / 2;
  const inverse = gammas.map((g) => f.inv(g));
  return {
    round: (): Ext[] => {
      const out = k.alloc(48);
      k.zeroRound(pointers, lookups, half, constant, out);
      return [0, 1, 2].map((i) => f.get(out, i));
    },
    fold: (r: Ext): void => {
      const at = k.put(r);
      for (const cell of cells) k.efold(cell, half, at);
      half /= 2;
    },
    /** Pairs whose products the third commitment holds: inverse and looked-up value of each column, z0 and l. */
    values: (): [Ext, Ext][] => [
      ...Array.from({ length: lookups }, (_, c): [Ext, Ext] => [
        f.get(cells[1 + 2 * c] as number),
        f.mul(f.get(cells[2 + 2 * c] as number), inverse[c] as Ext),
      ]),
      [f.mul(f.get(cells.at(-2) as number), inverse[lookups] as Ext), f.get(cells.at(-1) as number)],
    ],
  };
}

/** Inputs of all layers with the constants that carry the bias, at (layer, input). */
export function layInputs(k: Kernels, circuit: Circuit, { input, columns }: Witness): number {
  const width = 2 ** circuit.variables.inputs;
  const words = 2 ** circuit.variables.layers * width;
  const base = k.zeros(4 * words);
  const view = k.u32(base, words);
  circuit.shape.layers.forEach((_, l) => {
    const n = inputsOf(circuit.shape, l);
    const from = l === 0 ? 0 : (circuit.witness.offsets[l - 1] as number);
    const values: Int8Array | Int32Array = l === 0 ? input : columns.y;
    for (let j = 0; j < n; j++) view[l * width + j] = canonical(values[from + j] as number);
    constantsOf(circuit).forEach((value, d) => {
      view[l * width + n + d] = value;
    });
  });
  k.toMv(base, words);
  const out = k.zeros(16 * words);
  k.eaxpyBase(base, words, k.put(one), out);
  return out;
}
