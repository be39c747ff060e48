import { type Circuit, inputsOf, mostOutputs, shiftOf, vars, widths } from "./circuit.ts";
import type { Claim } from "./claims.ts";
import {
  add,
  type Ext,
  embed,
  eqAt,
  eqTable,
  invertExt,
  isZero,
  multiply,
  negate,
  powers,
  scale,
  sub,
  timesX,
  ZERO,
} from "./field.ts";
import { demand } from "./refusal.ts";

/** What the constraints need of a proof: challenges, final forms of both sumchecks, and public values. */
export type Bound = {
  readonly alpha: Ext;
  readonly beta: Ext;
  readonly tau: readonly Ext[];
  readonly gamma: Ext;
  readonly sigma: readonly Ext[];
  readonly first: Claim;
  readonly r: readonly Ext[];
  readonly rho: Ext;
  readonly s: readonly Ext[];
  readonly product: Claim;
  readonly lambda: Ext;
  readonly input: readonly number[] | undefined;
  readonly output: readonly number[];
  /** U(s) where the verifier holds the weights; otherwise χ and its combination's value at (r_lo, s_lo). */
  readonly weights: { readonly opened: Ext } | { readonly chi: Ext; readonly combined: Ext };
};

/** `rows[row][i]`: what the linear test multiplies value i of a row by; `target`: what the sum must be. */
export type Linear = { readonly rows: readonly Ext[][]; readonly target: Ext };

const LO = 0;
const HI = 1;
const L = 2;
const HIGH = 3;
const Z0 = 4;
const ZP = 5;
const Y = 6;

/** The table of §5 in order: (tag, a, b, c). */
const table = (circuit: Circuit): readonly (readonly [number, number, number, number])[] => {
  const rows: [number, number, number, number][] = [];
  for (let v = 0; v < 256; v++) rows.push([0, v, 0, 0]);
  for (let v = 0; v < 128; v++) rows.push([7, v, 0, 0]);
  for (let v = -256; v < 256; v++) rows.push([9, v, v === 0 ? 1 : 0, v > 0 ? 1 : 0]);
  if (circuit.hiddenInput) for (let v = -128; v < 128; v++) rows.push([10, v, 0, 0]);
  for (const w of widths(circuit.shape)) for (let v = 0; v < 2 ** w; v++) rows.push([16 + w, v, 0, 0]);
  return rows;
};

/** All constraints of §6.1, number k with weight λ^(k+1), as one vector over the rows and one target. */
export const constraints = (circuit: Circuit, b: Bound): Linear => {
  const { shape } = circuit;
  const { H, N, blocks, K, T, TB, PB, R0, R1, R2, R } = circuit.witness;
  const rows: Ext[][] = Array.from({ length: R }, () => Array.from({ length: H }, () => ZERO));
  let target: Ext = ZERO;
  const put = (row: number, i: number, coefficient: Ext): void => {
    const list = rows[row] as Ext[];
    list[i] = add(list[i] as Ext, coefficient);
  };
  /** Slot i of a column that begins at a row, or of plane q of a column of E. */
  const slot = (firstRow: number, i: number, coefficient: Ext): void =>
    put(firstRow + Math.floor(i / H), i % H, coefficient);
  const f0 = (i: number, c: Ext): void => slot(Math.floor(i / N) * blocks, i % N, c);
  const f1 = (column: number, i: number, c: Ext): void => slot(R0 + column * blocks, i, c);
  const multiplicity = (i: number, c: Ext): void => slot(R0 + 7 * blocks, i, c);
  const overPlanes = (firstRow: number, step: number, i: number, c: Ext): void => {
    for (let q = 0; q < 4; q++) slot(firstRow + q * step, i, timesX(c, q));
  };
  const pad = (i: number, c: Ext): void => overPlanes(R0 + 7 * blocks + TB, PB, i, c);
  const inverse = (column: number, i: number, c: Ext): void => overPlanes(R0 + R1 + 4 * column * blocks, blocks, i, c);
  const f3 = (which: 0 | 1 | 2, i: number, c: Ext): void => overPlanes(R0 + R1 + R2 + 4 * which, 1, i, c);
  const along = (eq: readonly Ext[], place: (i: number, c: Ext) => void, factor: Ext): void => {
    for (const [i, e] of eq.entries()) place(i, multiply(factor, e));
  };

  const weight = powers(b.lambda, 2 * K + 8).slice(1);
  const w = (k: number): Ext => weight[k] as Ext;
  const demandSum = (k: number, side: Ext): void => {
    target = add(target, multiply(w(k), side));
  };
  const eqSigma = eqTable(b.sigma);
  const [, beta1, beta2, beta3] = powers(b.beta, 4) as readonly [Ext, Ext, Ext, Ext];
  const gammas = powers(b.gamma, K + 1);

  // 0: the sum of the inverses is the sum over the table.
  for (let c = 0; c < K; c++) for (let i = 0; i < N; i++) inverse(c, i, w(0));
  const entries = table(circuit);
  demand(entries.length === T, "table size");
  for (const [i, [tag, x, y, z]] of entries.entries()) {
    const value = add(add(embed(tag), scale(beta1, BigInt(x))), add(scale(beta2, BigInt(y)), scale(beta3, BigInt(z))));
    const difference = sub(b.alpha, value);
    demand(!isZero(difference), "alpha is a table value");
    multiplicity(i, negate(multiply(w(0), invertExt(difference))));
  }

  // 1 … K+1: the first factors.
  for (let c = 0; c < K; c++) {
    f3(0, 1 + c, w(1 + c));
    along(eqSigma, (i, e) => inverse(c, i, e), negate(w(1 + c)));
  }
  f3(0, K + 1, w(K + 1));
  along(eqSigma, (i, e) => f1(Z0, i, e), negate(w(K + 1)));

  // K+2 … 2K+2: the second factors. Tags of hi depend on the slot's public shift.
  const shifts = shape.layers.slice(0, -1).flatMap((l) => Array.from({ length: l.outputs }, (_, i) => shiftOf(l, i)));
  let hiTag: Ext = ZERO;
  for (let i = 0; i < N; i++) hiTag = add(hiTag, scale(eqSigma[i] as Ext, BigInt(16 + (shifts[i] ?? 8) - 8)));
  for (let c = 0; c < K; c++) {
    const k = K + 2 + c;
    f3(1, 1 + c, w(k));
    const first = multiply(w(k), beta1);
    const column = [LO, HI, L, HIGH][c];
    if (column === undefined) along(eqSigma, (i, e) => f0((c - 4) * N + i, e), first);
    else along(eqSigma, (i, e) => f1(column, i, e), first);
    if (column === HIGH) {
      along(eqSigma, (i, e) => f1(Z0, i, e), multiply(w(k), beta2));
      along(eqSigma, (i, e) => f1(ZP, i, e), multiply(w(k), beta3));
    }
    demandSum(k, sub(b.alpha, [embed(0), hiTag, embed(7), embed(9)][c] ?? embed(10)));
  }
  f3(1, K + 1, w(2 * K + 2));
  along(eqSigma, (i, e) => f1(L, i, e), negate(w(2 * K + 2)));

  // 2K+3: the end of the first sumcheck.
  const atTau = eqAt(b.tau, b.sigma);
  const end = multiply(w(2 * K + 3), atTau);
  let known: Ext = ZERO;
  for (let c = 0; c < K; c++) {
    f3(2, 1 + c, multiply(end, gammas[c] as Ext));
    known = add(known, gammas[c] as Ext);
  }
  const last = multiply(end, gammas[K] as Ext);
  along(eqSigma, (i, e) => f1(Y, i, e), last);
  f3(2, K + 1, negate(last));
  along(eqSigma, (i, e) => f1(ZP, i, e), scale(last, -127n));
  for (const [i, c] of b.first.pads.entries()) pad(i, negate(multiply(w(2 * K + 3), c)));
  demandSum(2 * K + 3, add(multiply(atTau, known), b.first.value));

  // 2K+4: the weights at (r, s).
  if ("opened" in b.weights) {
    f3(0, 0, w(2 * K + 4));
    demandSum(2 * K + 4, b.weights.opened);
  } else {
    f3(0, 0, multiply(w(2 * K + 4), b.weights.chi));
    f3(0, K + 2, w(2 * K + 4));
    demandSum(2 * K + 4, b.weights.combined);
  }

  // 2K+5: the inputs of all layers at s.
  const eqLayer = eqTable(b.s.slice(0, vars(shape.layers.length)));
  const eqColumn = eqTable(b.s.slice(vars(shape.layers.length)));
  f3(1, 0, w(2 * K + 5));
  let offset = 0;
  let publicInputs: Ext = ZERO;
  for (const [l, layer] of shape.layers.entries()) {
    const n = inputsOf(shape, l);
    const at = (j: number): Ext => multiply(eqLayer[l] as Ext, eqColumn[j] as Ext);
    for (let j = 0; j < n; j++) {
      if (l > 0) f1(Y, offset + j, negate(multiply(w(2 * K + 5), at(j))));
      else if (circuit.hiddenInput) f0(j, negate(multiply(w(2 * K + 5), at(j))));
      else publicInputs = add(publicInputs, scale(at(j), BigInt(b.input?.[j] ?? 0)));
    }
    if (l > 0) offset += n;
    for (let e = 0; e < shape.biasDigits; e++) publicInputs = add(publicInputs, scale(at(n + e), 128n ** BigInt(e)));
    demand(layer.kind === "dense", "shape");
  }
  demandSum(2 * K + 5, publicInputs);

  // 2K+6: the end of the product sumcheck.
  const k = 2 * K + 6;
  const eqR = eqTable(b.r);
  const rhos = powers(b.rho, shape.layers.length);
  f3(2, 0, w(k));
  for (const [i, c] of b.product.pads.entries()) pad(b.first.pads.length + i, negate(multiply(w(k), c)));
  const start = b.product.start;
  const hidden = negate(multiply(w(k), start));
  let publicClaim: Ext = ZERO;
  offset = 0;
  for (const [l, layer] of shape.layers.entries()) {
    const isLast = l === shape.layers.length - 1;
    for (let i = 0; i < layer.outputs; i++) {
      const at = multiply(rhos[l] as Ext, eqR[i] as Ext);
      if (isLast) {
        publicClaim = add(publicClaim, scale(at, BigInt(b.output[i] as number)));
        continue;
      }
      const shift = 2n ** BigInt(shiftOf(layer, i));
      const c = multiply(hidden, at);
      f1(LO, offset + i, c);
      f1(HI, offset + i, scale(c, 256n));
      f1(HIGH, offset + i, scale(c, shift * 128n));
      f1(L, offset + i, scale(c, shift));
      publicClaim = sub(publicClaim, scale(at, shift / 2n));
    }
    if (!isLast) offset += layer.outputs;
  }
  demandSum(k, add(b.product.value, multiply(start, publicClaim)));
  demand(eqR.length >= mostOutputs(shape), "shape");
  return { rows, target };
};
