import { type Ext, P } from "../field.ts";
import { type Combination, makeBuilder } from "./combination.ts";
import { type Constraint, eqTable, makeTerms, powers, type Run } from "./constraints.ts";
import { type Matrix, rowAt } from "./matrix.ts";
import type { Moves } from "./moves.ts";
import type { Prepared } from "./prover.ts";
import type { Secrets } from "./secrets.ts";

/** Challenges of the three tests. */
export type TestPoint = { readonly lambda: Ext; readonly kappa: readonly Ext[]; readonly nu: Ext };
/** The three test polynomials, four planes of canonical coefficients each. */
export type TestPolynomials = {
  readonly proximity: Uint32Array;
  readonly linear: Uint32Array;
  readonly product: Uint32Array;
};

/** All constraints with their weights: number k has lambda^(k+1), since the mask has 1. */
export function combineConstraints(
  { k, f, circuit }: Pick<Prepared, "k" | "f" | "circuit">,
  run: Run,
  lambda: Ext,
  constraints: readonly Constraint[],
) {
  const build = makeBuilder(k, f, circuit);
  const terms = makeTerms(k, f, circuit, run, build);
  const weights = powers(f, lambda, constraints.length + 1);
  constraints.forEach((constraint, i) => {
    constraint.add(terms, weights[i + 1] as Ext);
  });
  return build.finish();
}

/** Computes proximity, linear and product polynomial on the first entries of the codewords (spec/zkml.md §6, step 7). */
export function proveTests(
  prepared: Pick<Prepared, "circuit" | "k" | "f" | "codes">,
  { kappa, nu }: Omit<TestPoint, "lambda">,
  combination: Combination,
  parts: {
    readonly rowOf: (row: number) => number;
    readonly third: Matrix;
    readonly secrets: Secrets;
    readonly change?: Moves["tests"] | undefined;
  },
): TestPolynomials {
  const { circuit, k, codes } = prepared;
  const { allRows, domain, row } = circuit.witness;
  const weights = eqTable(k, kappa);
  const proximity = k.zeros(16 * domain);
  const sums = combination.bases.map(() => k.zeros(16 * domain));
  for (let r = 0; r < allRows; r++) {
    const at = parts.rowOf(r);
    k.axpyPlanes(at, domain, weights + 16 * r, proximity);
    combination.rows[r]?.forEach((coef, basis) => {
      k.scope(() => k.axpyPlanes(at, domain, k.put(coef), sums[basis] as number));
    });
  }
  const linear = k.zeros(16 * domain);
  const values = k.alloc(16 * domain);
  combination.bases.forEach((basis, i) => {
    for (let q = 0; q < 4; q++) {
      const plane = values + 4 * domain * q;
      k.u32(plane, row).set(k.u32(basis + 4 * row * q, row));
      codes.interpolate(plane);
      codes.evaluate(plane, row, domain);
    }
    k.mulAccPlanes(values, sums[i] as number, domain, linear);
  });
  const product = multiply(prepared, parts.third, nu);
  const take = (at: number, count: number, mask: Uint32Array): Uint32Array => {
    const out = new Uint32Array(4 * count);
    for (let q = 0; q < 4; q++) {
      codes.recover(at + 4 * domain * q);
      const plane = k.u32(at + 4 * domain * q, count);
      for (let i = 0; i < count; i++) out[q * count + i] = ((plane[i] as number) + (mask[q * count + i] as number)) % P;
    }
    return out;
  };
  const f = circuit.witness;
  const honest = {
    proximity: take(proximity, f.proximity, parts.secrets.proximity),
    linear: take(linear, f.linear, parts.secrets.linear),
    product: take(product, f.product, parts.secrets.product),
  };
  return parts.change?.(honest, combination) ?? honest;
}

/** nu·(p_A·p_B − p_C) on the test domain: with nu drawn late, no mask can carry a product that is off (R1). */
function multiply({ circuit, k, f }: Pick<Prepared, "circuit" | "k" | "f">, third: Matrix, nu: Ext): number {
  const { domain } = circuit.witness;
  const [a, b, c] = [0, 1, 2].map((m) => {
    const at = k.alloc(16 * domain);
    for (let q = 0; q < 4; q++) k.u32(at + 4 * domain * q, domain).set(k.u32(rowAt(third, 4 * m + q), domain));
    return at;
  }) as [number, number, number];
  k.toMv(a, 4 * domain);
  const difference = k.zeros(16 * domain);
  k.mulAccPlanes(a, b, domain, difference);
  const constant = (x: Ext): number => {
    const at = k.alloc(16 * domain);
    x.forEach((w, q) => {
      k.u32(at + 4 * domain * q, domain).fill(w);
    });
    return at;
  };
  k.mulAccPlanes(constant(f.int(-1)), c, domain, difference);
  const out = k.zeros(16 * domain);
  k.mulAccPlanes(constant(nu), difference, domain, out);
  return out;
}
