import {
  add,
  type Ext,
  eqTable,
  evaluate,
  invert,
  mod,
  multiply,
  P,
  power,
  reverse,
  rootOfUnity,
  scale,
  sub,
  timesX,
  ZERO,
} from "./field.ts";
import { same } from "./reading.ts";

type Rows = readonly (readonly bigint[])[];
type Sent = {
  readonly kappa: readonly Ext[];
  readonly nu: Ext;
  /** What the linear test multiplies value j of each row by, and what the sum must be. */
  readonly A: readonly (readonly Ext[])[];
  readonly target: Ext;
  readonly proximity: readonly Ext[];
  readonly linear: readonly Ext[];
  readonly products: readonly Ext[];
};

/** Checks 3 to 7 of §6.3. `rows` ends with the twelve of F3; `masks` are the twelve of F1. */
export const checkWitness = (
  { H, nF }: { readonly H: number; readonly nF: number },
  columns: readonly number[],
  rows: Rows,
  masks: Rows,
  { kappa, nu, A, target, proximity, linear, products }: Sent,
): void => {
  let sum: Ext = ZERO;
  for (let i = 0; i < linear.length; i += H) sum = add(sum, linear[i] as Ext);
  same(scale(sum, BigInt(H)), target, "3: linear target");

  for (let i = 0; i < H; i++) {
    let value: Ext = ZERO;
    for (let j = i; j < products.length; j += H) value = add(value, products[j] as Ext);
    same(value, ZERO, "4: products vanish");
  }

  const factors = rows.slice(rows.length - 12);
  const eqKappa = eqTable(kappa);
  const wF = rootOfUnity(nF);
  const wH = rootOfUnity(H);
  for (const [k, column] of columns.entries()) {
    const x = (3n * power(wF, BigInt(reverse(column, Math.log2(nF))))) % P;
    const ofE = (list: Rows, at: number): Ext => {
      let value: Ext = ZERO;
      for (let q = 0; q < 4; q++) value = add(value, timesX([list[at + q]?.[k] as bigint, 0n, 0n, 0n], q));
      return value;
    };
    let near = ofE(masks, 0);
    for (const [row, list] of rows.entries()) near = add(near, scale(eqKappa[row] as Ext, list[k] as bigint));
    same(near, evaluate(proximity, x), "5: proximity");

    // Lagrange basis of the subgroup of order H at x: (x^H − 1)/H · w^j/(x − w^j).
    const vanishing = (mod(power(x, BigInt(H)) - 1n) * invert(BigInt(H))) % P;
    let combined = ofE(masks, 4);
    let at = 1n;
    for (let j = 0; j < H; j++) {
      const basis = (((vanishing * at) % P) * invert(x - at)) % P;
      const c: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
      for (const [row, list] of rows.entries()) {
        const a = A[row]?.[j] as Ext;
        if (a === ZERO) continue;
        const p = list[k] as bigint;
        c[0] += a[0] * p;
        c[1] += a[1] * p;
        c[2] += a[2] * p;
        c[3] += a[3] * p;
      }
      combined = add(combined, scale([c[0] % P, c[1] % P, c[2] % P, c[3] % P], basis));
      at = (at * wH) % P;
    }
    same(combined, evaluate(linear, x), "6: linear");

    const wrong = sub(multiply(ofE(factors, 0), ofE(factors, 4)), ofE(factors, 8));
    same(add(multiply(nu, wrong), ofE(masks, 8)), evaluate(products, x), "7: products");
  }
};
