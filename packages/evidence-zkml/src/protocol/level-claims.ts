import type { Circuit } from "../circuit/compile.ts";
import { type Ext, type Field, one, same, zero } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { type Combination, makeBuilder } from "./combination.ts";
import { eqTable, invertAll, powers } from "./constraints.ts";
import type { Form } from "./form.ts";
import { type Levels, tableSize, tableValue } from "./levels.ts";
import type { Rules } from "./statement.ts";
import type { Checker } from "./verify.ts";
import { firstRows } from "./witness.ts";

/** All constraints of a registration with their weights. */
export function constrain(
  checker: Pick<Checker, "circuit" | "k" | "f">,
  { levels, p, q }: Levels,
  { alpha, chi, value }: { readonly alpha: Ext; readonly chi: Ext; readonly value: Ext },
  lambda: Ext,
  keeps: NonNullable<Rules["keeps"]> = () => true,
): Combination {
  const { circuit, k, f } = checker;
  const build = makeBuilder(k, f, circuit);
  const root = 3 * levels.length;
  const weights = powers(f, lambda, 7 * levels.length + 6);
  let number = 0;
  const next = (name: string): Ext => {
    const w = weights[++number] as Ext;
    return keeps(name) ? w : zero;
  };
  const equalForm = (matrix: 0 | 1, slot: number, form: Form): void => {
    const w = next(`factor ${matrix} ${slot}`);
    build.slot(matrix, slot, w);
    subtract(w, form);
  };
  /** The left side minus the form's hidden part, the public part to the right. */
  const subtract = (w: Ext, form: Form): void => {
    build.public(f.mul(w, form.public));
    form.pads.forEach((coef, i) => {
      if (!same(coef, zero)) build.pad(i, f.neg(f.mul(w, coef)));
    });
  };
  levels.forEach(({ mu, eq, claim, values: [p0, p1, q0, q1] }, level) => {
    const at = 3 * level;
    equalForm(0, at, p0);
    equalForm(1, at, q1);
    equalForm(0, at + 1, p1);
    equalForm(1, at + 1, q0);
    equalForm(0, at + 2, q0);
    equalForm(1, at + 2, q1);
    if (level === 0) return;
    const w = next(`claim ${level}`);
    const e = f.mul(w, eq);
    build.slot(2, at, e);
    build.slot(2, at + 1, e);
    build.slot(2, at + 2, f.mul(e, mu));
    subtract(w, claim);
  });
  // The root's fraction is the table's: Q·S = P.
  const denominator = next("denominator");
  build.slot(0, root, denominator);
  build.slot(2, 2, f.neg(denominator));
  const numerator = next("numerator");
  build.slot(2, root, numerator);
  build.slot(2, 0, f.neg(numerator));
  build.slot(2, 1, f.neg(numerator));
  const sum = next("sum");
  build.slot(1, root, sum);
  const inverses = tableInverses(k, f, alpha);
  if (inverses !== undefined) build.column(firstRows(circuit).table, build.vector(inverses, tableSize), f.neg(sum));
  // Leaves: numerators are one, denominators alpha − w.
  const numerators = next("numerators");
  build.public(f.mul(numerators, f.sub(one, p.public)));
  p.pads.forEach((coef, i) => {
    if (!same(coef, zero)) build.pad(i, f.mul(numerators, coef));
  });
  const opened = next("opened");
  build.slot(0, root + 1, opened);
  build.public(f.mul(opened, f.add(f.sub(value, f.mul(chi, alpha)), f.mul(chi, q.public))));
  q.pads.forEach((coef, i) => {
    if (!same(coef, zero)) build.pad(i, f.neg(f.mul(f.mul(opened, chi), coef)));
  });
  return build.finish();
}

export function tableInverses(k: Kernels, f: Field, alpha: Ext): number | undefined {
  const values = k.alloc(16 * tableSize);
  for (let i = 0; i < tableSize; i++) k.u32(values + 16 * i, 4).set(f.sub(alpha, f.int(tableValue(i))));
  return invertAll(k, f, values, tableSize);
}

/** ⟨v, eq(z_columns)⟩ over the first coefficients of four planes. */
export function valueAt(k: Kernels, f: Field, circuit: Circuit, planes: Uint32Array, columns: readonly Ext[]): Ext {
  return k.scope(() => {
    const n = circuit.weight.columns;
    const values = k.alloc(16 * n);
    k.fromPlanes(k.put(planes), circuit.weight.degree, n, values);
    const out = k.alloc(16);
    k.edot(values, eqTable(k, columns), n, out);
    return f.get(out);
  });
}

/** chi·eq(z_rows, row) of every row. */
export function coefsAt(k: Kernels, circuit: Circuit, rows: readonly Ext[], chi: Ext): number {
  const out = k.alloc(16 * circuit.weight.rows);
  k.scope(() => k.escale(eqTable(k, rows), circuit.weight.rows, k.put(chi), out));
  return out;
}
