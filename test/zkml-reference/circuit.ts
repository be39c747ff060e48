import { P } from "./field.ts";
import { demand } from "./refusal.ts";
import { joined, littleEndian, taggedHash, words } from "./transcript.ts";

export type Layer = { readonly kind: "dense"; readonly outputs: number; readonly shift: readonly number[] };
export type Shape = { readonly inputs: number; readonly biasDigits: number; readonly layers: readonly Layer[] };
export type Options = {
  readonly weights: "open" | "hidden";
  readonly budget?: number;
  readonly input?: "public" | "hidden";
  readonly level: string;
};
export type WeightPlan = {
  g: number;
  Wd: number;
  C: number;
  RW: number;
  tW: number;
  kW: number;
  nW: number;
  QW: number;
};
export type WitnessPlan = {
  H: number;
  N: number;
  blocks: number;
  c0: number;
  K: number;
  T: number;
  TB: number;
  pads: number;
  PB: number;
  R0: number;
  R1: number;
  R2: number;
  R: number;
  t: number;
  t0: number;
  most: number;
  nF: number;
  QF: number;
};
export type Circuit = {
  readonly shape: Shape;
  readonly hiddenWeights: boolean;
  readonly hiddenInput: boolean;
  readonly budget: number;
  readonly weights: WeightPlan;
  readonly witness: WitnessPlan;
  readonly digest: Uint8Array;
};

export const vars = (n: number): number => {
  let v = 1;
  while (2 ** v < n) v++;
  return v;
};
export const up = (n: number, k: number): number => Math.ceil(n / k) * k;

export const inputsOf = (shape: Shape, l: number): number =>
  l === 0 ? shape.inputs : (shape.layers[l - 1] as Layer).outputs;
export const shiftOf = (layer: Layer, i: number): number =>
  (layer.shift.length === 1 ? layer.shift[0] : layer.shift[i]) ?? 0;
export const mostOutputs = (shape: Shape): number => Math.max(...shape.layers.map((l) => l.outputs));
/** Widths of the remainder's upper part that occur, with 0 for unused slots. */
export const widths = (shape: Shape): readonly number[] =>
  [...new Set([0, ...shape.layers.slice(0, -1).flatMap((l) => l.shift.map((s) => s - 8))])].sort((a, b) => a - b);

/** B(n) of §2. */
export const bound = (shape: Shape, n: number): bigint => {
  let digits = 0n;
  for (let e = 0n; e < BigInt(shape.biasDigits); e++) digits += 128n ** e;
  return 16384n * BigInt(n) + 128n * digits;
};

const checkShape = (shape: Shape): void => {
  const size = (n: number): boolean => Number.isInteger(n) && n >= 1 && n <= 65536;
  demand(size(shape.inputs) && shape.layers.every((l) => size(l.outputs)), "shape");
  demand(shape.layers.length >= 1 && shape.layers.length <= 64, "shape");
  demand(shape.biasDigits === 3 || shape.biasDigits === 4, "shape");
  for (const [l, layer] of shape.layers.entries()) {
    const last = l === shape.layers.length - 1;
    demand(last ? layer.shift.length === 0 : [1, layer.outputs].includes(layer.shift.length), "shape");
    const b = bound(shape, inputsOf(shape, l));
    demand(2n * b < P, "bound of the shape");
    for (const s of layer.shift) {
      demand(Number.isInteger(s) && s >= 8 && s <= 15, "shape");
      demand(b + 2n ** BigInt(s + 15) + 2n ** BigInt(s - 1) < P, "bound of the shape");
    }
  }
};

const enough = (q: number, n: number, d: number, bits: number): boolean =>
  (BigInt(n + d) ** BigInt(q)) << BigInt(bits) <= BigInt(2 * n) ** BigInt(q);

type Size = { extra: number; deg: number };
const plan = (n: number, bits: number, size: (q: number) => Size): (Size & { q: number }) | undefined => {
  for (let q = bits; q <= n; q++) {
    const { extra, deg } = size(q);
    if (2 * deg > n) return undefined;
    if (enough(q, n, deg, bits)) return { q, extra, deg };
  }
  return undefined;
};
const path = (q: number, n: number): number => 32 * q * Math.max(1, vars(n) - vars(q));

const planWeights = (shape: Shape, hidden: boolean, b: number, bits: number): WeightPlan => {
  const Wd = up(Math.max(...shape.layers.map((_, l) => inputsOf(shape, l))) + shape.biasDigits, 4);
  let best: (WeightPlan & { cost: bigint }) | undefined;
  // Costs are scaled by 512, the largest denominator, so that they stay whole.
  const offer = (p: WeightPlan, cost: bigint): void => {
    if (!best || cost < best.cost) best = { ...p, cost };
  };
  for (let log = 0; log <= Math.min(vars(mostOutputs(shape)), 8); log++) {
    const g = 2 ** log;
    const C = g * Wd;
    const RW = shape.layers.reduce((n, l) => n + up(Math.ceil(l.outputs / g), 4), 0);
    if (RW * C > 2 ** 27) continue;
    if (!hidden) {
      offer({ g, Wd, C, RW, tW: 0, kW: 0, nW: 0, QW: 0 }, 512n * BigInt(C + 64 * RW));
      continue;
    }
    for (let nW = 1024; nW <= 2 ** 18 && RW * nW <= 2 ** 28; nW *= 2) {
      const found = plan(nW, bits, (q) => {
        const extra = up(C + b * q + 4, 4) - C;
        return { extra, deg: C + extra };
      });
      if (!found || 4 * found.deg > nW) continue;
      const { q, extra, deg } = found;
      const cost = 512n * BigInt(16 * deg + 4 * q * (RW + 12) + 2 * path(q, nW) + nW / 2) + BigInt(RW) * BigInt(nW);
      offer({ g, Wd, C, RW, tW: extra, kW: deg, nW, QW: q }, cost);
    }
  }
  demand(best !== undefined, "no parameters for the weights");
  const { cost: _, ...chosen } = best as WeightPlan & { cost: bigint };
  return chosen;
};

const planWitness = (shape: Shape, hiddenInput: boolean, Wd: number, bits: number): WitnessPlan => {
  const A = shape.layers.slice(0, -1).reduce((n, l) => n + l.outputs, 0);
  const T = 256 + 128 + 512 + (hiddenInput ? 256 : 0) + widths(shape).reduce((n, w) => n + 2 ** w, 0);
  let best: (WitnessPlan & { cost: number }) | undefined;
  for (const H of [256, 512, 1024, 2048]) {
    const N = Math.max(H, 2 ** vars(A));
    demand(N <= 2 ** 18, "witness too large");
    const blocks = N / H;
    const c0 = hiddenInput ? Math.ceil(shape.inputs / N) : 0;
    const K = 4 + c0;
    if (K + 3 > H) continue;
    const TB = Math.ceil(T / H);
    const pads = 3 * vars(N) + 2 * (vars(Wd) + vars(shape.layers.length));
    const PB = Math.ceil(pads / H);
    const [R0, R1, R2] = [c0 * blocks, 7 * blocks + TB + 4 * PB, 4 * K * blocks];
    const R = R0 + R1 + R2 + 12;
    for (let nF = 4 * H; nF <= 2 ** 16; nF *= 2) {
      const sizes = (q: number) => ({ t: up(q + 4, 4), t0: c0 > 0 ? up(2 * (q + 4), 4) : 0 });
      const found = plan(nF, bits, (q) => ({ extra: sizes(q).t, deg: 2 * (H + Math.max(sizes(q).t, sizes(q).t0)) }));
      if (!found || 4 * found.deg > nF) continue;
      const q = found.q;
      const { t, t0 } = sizes(q);
      const most = Math.max(t, t0);
      const opened = 4 * q * (R + 12 + (c0 > 0 ? 16 : 12));
      const cost = opened + 16 * (H + most + 2 * H + most + 2 * (H + t)) + 3 * path(q, nF) + (R * nF) / 8;
      if (best && cost >= best.cost) continue;
      best = { H, N, blocks, c0, K, T, TB, pads, PB, R0, R1, R2, R, t, t0, most, nF, QF: q, cost };
    }
  }
  demand(best !== undefined, "no parameters for the witness");
  const { cost: _, ...chosen } = best as WitnessPlan & { cost: number };
  return chosen;
};

const UNIT = 1n << 200n;
/** a/b in units of 2^−200, rounded up. */
const over = (a: bigint, b: bigint): bigint => (a * UNIT + b - 1n) / b;
const queries = (n: number, d: number, q: number): bigint =>
  over(BigInt(n + d) ** BigInt(q), BigInt(2 * n) ** BigInt(q));

/** The sum of §7.5 for a registration is at most 2^−100. */
export const registrationHolds = (circuit: Circuit, n: number, va: number, R: number): boolean => {
  const { weights: w, witness: f } = circuit;
  const counts = [
    2 * vars(R + 1) * f.nF,
    (7 * n + 6) * f.nF,
    f.nF,
    w.RW * w.C + 256,
    (3 * n * (n + 1)) / 2 + 3 * n,
    7 * n + 8,
    2 * (va + 1) * w.nW,
  ];
  const algebra = over(BigInt(counts.reduce((a, b) => a + b, 0)), P ** 4n);
  return algebra + queries(f.nF, 2 * (f.H + f.most), f.QF) + queries(w.nW, w.kW, w.QW) <= UNIT >> 100n;
};

/** The sums of §8 in units of 2^−200, each term rounded up. */
const errors = (shape: Shape, hidden: boolean, w: WeightPlan, f: WitnessPlan): readonly bigint[] => {
  const E = P ** 4n;
  const layers = shape.layers.length;
  const most = vars(mostOutputs(shape));
  const { K, N, T, nF } = f;
  const counts = [
    2 * vars(f.R + 1) * nF,
    (2 * K + 8) * nF,
    nF,
    3 * (K * N + T),
    3 * vars(N) + vars(N) + K,
    2 * (vars(layers) + vars(w.Wd)) + most + layers,
    2 * K + 9,
  ];
  const near = 2 * (most - Math.log2(w.g) + vars(layers) + 1) * w.nW + 2;
  let proof = over(BigInt(counts.reduce((a, b) => a + b, 0)), E) + queries(nF, 2 * (f.H + f.most), f.QF);
  if (!hidden) return [proof];
  proof += over(BigInt(near), E) + queries(w.nW, w.kW, w.QW);
  // §8 prints no table for links: both matrices once, and the tensor of the difference (§7.4).
  const link = 2n * (over(BigInt(near), E) + queries(w.nW, w.kW, w.QW)) + over(BigInt(most + vars(layers) + layers), E);
  return [proof, link];
};

const digestOf = (shape: Shape, options: Options, w: WeightPlan, f: WitnessPlan): Uint8Array => {
  const list = (...values: readonly number[]): Uint8Array =>
    joined(littleEndian(BigInt(values.length), 4), words(values));
  const head = `countersign-zkml-1 proven-100 ${options.weights} ${options.input ?? "public"}\n`;
  return taggedHash(
    "countersign/zkml-circuit/v1",
    joined(
      new TextEncoder().encode(head),
      list(options.budget ?? 0, shape.inputs, shape.biasDigits, shape.layers.length),
      ...shape.layers.flatMap((l) => [list(l.outputs), list(...l.shift)]),
      list(w.g, w.Wd, w.tW, w.nW, w.QW),
      list(f.H, f.N, f.c0, f.t, f.t0, f.nF, f.QF),
    ),
  );
};

/** §4: everything that a verifier must compute itself from shape, level, modes and budget. */
export const compile = (shape: Shape, options: Options): Circuit => {
  checkShape(shape);
  const hiddenWeights = options.weights === "hidden";
  const hiddenInput = options.input === "hidden";
  demand(options.level === "proven-100", "level");
  const budget = options.budget ?? 0;
  demand(hiddenWeights ? Number.isInteger(budget) && budget >= 1 : budget === 0, "budget");
  for (let bits = 102; bits <= 113; bits++) {
    const weights = planWeights(shape, hiddenWeights, budget, bits);
    const witness = planWitness(shape, hiddenInput, weights.Wd, bits);
    if (errors(shape, hiddenWeights, weights, witness).some((e) => e > UNIT >> 100n)) continue;
    const digest = digestOf(shape, options, weights, witness);
    return { shape, hiddenWeights, hiddenInput, budget, weights, witness, digest };
  }
  demand(false, "no parameters for the level");
  throw new Error("unreachable");
};
