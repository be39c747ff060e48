import { type Ext, one } from "../field.ts";
import { sizes } from "./levels.ts";
import type { Committed } from "./prover.ts";
import { canonical } from "./witness.ts";

/** The tree of fractions over all words, in the kernels' memory: (1, alpha − w) at the leaves. */
export function plantFractions(c: Committed, alpha: Ext, strays: readonly Stray[]): Fractions {
  const { circuit, k, f, matrix } = c;
  const { rows, columns } = circuit.weight;
  const size = sizes(circuit);
  const width = 2 ** size.columns;
  const leaves = 2 ** size.levels;
  const words = k.zeros(4 * leaves);
  for (let r = 0; r < rows; r++) k.widenI8(matrix + r * columns, columns, words + 4 * width * r);
  for (const { row, column, add, shown } of strays)
    if (shown) {
      const cell = k.u32(words + 4 * (width * row + column), 1);
      cell[0] = canonical((cell[0] as number) + add);
    }
  k.toMv(words, leaves);
  let p = k.alloc(16 * leaves);
  let q = k.alloc(16 * leaves);
  k.efill(p, leaves, k.put(one));
  k.efill(q, leaves, k.put(alpha));
  k.eaxpyBase(words, leaves, k.put(f.neg(one)), q);
  for (const { row, column, numerator } of strays) k.u32(p + 16 * (width * row + column), 4).set(f.int(numerator));
  const levels = [{ p, q }];
  for (let half = leaves / 2; half >= 1; half /= 2) {
    const next = { p: k.alloc(16 * half), q: k.alloc(16 * half) };
    k.fractionLevel(p, q, half, next.p, next.q);
    levels.unshift(next);
    ({ p, q } = next);
  }
  return levels;
}

/** A committed word that is no int8, and what a dishonest prover shows of it. */
export type Stray = {
  readonly row: number;
  readonly column: number;
  readonly add: number;
  /** Whether the leaf has it, and the leaf's numerator. */
  readonly shown: boolean;
  readonly numerator: number;
};
export type Fractions = { readonly p: number; readonly q: number }[];
