import type { Ext } from "../field.ts";
import { type Matrix, makeMatrix, plant, rowAt } from "./matrix.ts";
import type { Moves } from "./moves.ts";
import type { Committed, Prepared } from "./prover.ts";
import type { Secrets } from "./secrets.ts";
import type { LookupTables } from "./tables.ts";
import type { Tree } from "./tree.ts";
import { canonical, columnNames, type Witness } from "./witness.ts";

/** A commitment in the making. */
export type Planted = { readonly matrix: Matrix; readonly tree: Tree };

/** F1: columns, multiplicities, pads, and the masks of the three tests. */
export function commitFirst(prepared: Prepared, witness: Witness, secrets: Secrets, moves: Moves): Planted {
  const f = prepared.circuit.witness;
  const values = new Uint32Array((7 * f.blocks + f.tableRows) * f.row);
  columnNames.forEach((name, c) => {
    const column = witness.columns[name];
    for (let i = 0; i < f.slots; i++) values[c * f.slots + i] = canonical(column[i] as number);
  });
  values.set(witness.multiplicities, 7 * f.slots);
  return commitValues(prepared, values, secrets, moves);
}

/** A first commitment: rows of values, the pads, and the masks of the three tests. */
export function commitValues(
  { circuit, k, codes }: Prepared,
  known: Uint32Array,
  secrets: Secrets,
  moves: Moves,
): Planted {
  const f = circuit.witness;
  const rows = f.rows[1] as number;
  const matrix = makeMatrix(k, rows + 12, f.length, secrets.salts.first);
  k.scope(() => {
    const values = k.zeros(4 * rows * f.row);
    const view = k.u32(values, rows * f.row);
    view.set(known);
    for (let q = 0; q < 4; q++)
      view.set(secrets.pads.subarray(q * f.pads, (q + 1) * f.pads), known.length + q * f.padRows * f.row);
    codes.encodeRows({ values, rows, random: secrets.first, extra: f.extra, to: rowAt(matrix, 0) });
  });
  const masks = [
    [secrets.proximity, f.proximity],
    [secrets.linear, f.linear],
    [secrets.product, f.product],
  ] as const;
  masks.forEach(([mask, size], m) => {
    for (let q = 0; q < 4; q++) {
      const at = rowAt(matrix, rows + 4 * m + q);
      k.u32(at, size).set(mask.subarray(q * size, (q + 1) * size));
      codes.evaluate(at, size, f.length);
    }
  });
  moves.touch?.("first", matrix);
  return { matrix, tree: plant(k, matrix) };
}

/** M: the mask of the weights' combination, in the weight code. */
export function commitMask({ circuit, k, codes }: Committed, secrets: Secrets, moves: Moves): Planted {
  const { degree, length } = circuit.weight;
  const matrix = makeMatrix(k, 4, length, secrets.salts.mask);
  for (let q = 0; q < 4; q++) {
    const at = rowAt(matrix, q);
    k.u32(at, degree).set(secrets.weights.subarray(q * degree, (q + 1) * degree));
    codes.encodeWeights(at, degree);
  }
  moves.touch?.("mask", matrix);
  return { matrix, tree: plant(k, matrix) };
}

/** F2: the inverses of the lookups. */
export function commitSecond(
  { circuit, k, codes }: Prepared,
  { inverses }: LookupTables,
  secrets: Secrets,
  moves: Moves,
): Planted {
  const f = circuit.witness;
  const rows = f.rows[2] as number;
  const matrix = makeMatrix(k, rows, f.length, secrets.salts.second);
  k.scope(() => {
    const values = k.zeros(4 * rows * f.row);
    inverses.forEach((table, c) => {
      k.toPlanes(moves.inverse?.(c, table) ?? table, f.slots, values + 16 * f.slots * c, f.slots, 1);
    });
    codes.encodeRows({ values, rows, random: secrets.second, extra: f.extra, to: rowAt(matrix, 0) });
  });
  moves.touch?.("second", matrix);
  return { matrix, tree: plant(k, matrix) };
}

/** F3: the factors and products of the two sumchecks' last claims, and the weight mask's value. */
export function commitThird(
  { circuit, k, f, codes }: Prepared,
  pairs: readonly [Ext, Ext][],
  mu: Ext,
  secrets: Secrets,
  moves: Moves,
): Planted {
  const { row, length, extra } = circuit.witness;
  const matrix = makeMatrix(k, 12, length, secrets.salts.third);
  const values = k.zeros(48 * row);
  const view = k.u32(values, 12 * row);
  const set = (m: number, slot: number, x: Ext) =>
    f.words(x).forEach((w, q) => {
      view[(4 * m + q) * row + slot] = w;
    });
  pairs.forEach(([a, b], i) => {
    const cells = moves.slot?.(i, a, b, f.mul(a, b)) ?? [a, b, f.mul(a, b)];
    cells.forEach((x, m) => {
      set(m, i, x);
    });
  });
  set(0, pairs.length, mu);
  codes.encodeRows({ values, rows: 12, random: secrets.third, extra, to: rowAt(matrix, 0) });
  moves.touch?.("third", matrix);
  return { matrix, tree: plant(k, matrix) };
}
