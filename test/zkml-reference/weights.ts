import { type Circuit, inputsOf, type Shape, vars } from "./circuit.ts";
import {
  add,
  type Ext,
  eqTable,
  evaluate,
  multiply,
  power,
  powers,
  reverse,
  rootOfUnity,
  scale,
  timesX,
  ZERO,
} from "./field.ts";
import { type Opened, same } from "./reading.ts";
import { demand } from "./refusal.ts";
import { joined, taggedHash, words } from "./transcript.ts";

export type OpenLayer = { readonly weights: Int8Array; readonly bias: readonly number[] };

/** Digest of weights that the verifier holds (§4.3). */
export const weightsDigest = (model: readonly OpenLayer[]): Uint8Array =>
  taggedHash(
    "countersign/zkml-weights/v1",
    ...model.flatMap((l) => [Uint8Array.from(l.weights), joined(words(l.bias))]),
  );

/** Digits of §2; a bias that d digits cannot hold is refused, or the proof would be about another one. */
export const biasDigits = (bias: number, d: number): readonly number[] => {
  const digits: number[] = [];
  let rest = bias;
  for (let e = 0; e < d - 1; e++) {
    const digit = ((((rest + 64) % 128) + 128) % 128) - 64;
    digits.push(digit);
    rest = (rest - digit) / 128;
  }
  demand(rest >= -128 && rest <= 127, "bias does not fit its digits");
  return [...digits, rest];
};

/** U(s) of §6.1 step 5, neuron by neuron. */
export const openWeights = (
  shape: Shape,
  model: readonly OpenLayer[],
  r: readonly Ext[],
  rho: Ext,
  s: readonly Ext[],
): Ext => {
  const eqLayer = eqTable(s.slice(0, vars(shape.layers.length)));
  const eqColumn = eqTable(s.slice(vars(shape.layers.length)));
  const eqR = eqTable(r);
  const rhos = powers(rho, shape.layers.length);
  let total: Ext = ZERO;
  demand(model.length === shape.layers.length, "model");
  for (const [l, layer] of shape.layers.entries()) {
    const n = inputsOf(shape, l);
    const { weights, bias } = model[l] as OpenLayer;
    demand(weights.length === n * layer.outputs && bias.length === layer.outputs, "model");
    const factor = multiply(rhos[l] as Ext, eqLayer[l] as Ext);
    for (let i = 0; i < layer.outputs; i++) {
      const row = [...weights.slice(i * n, (i + 1) * n), ...biasDigits(bias[i] as number, shape.biasDigits)];
      let sum: Ext = ZERO;
      for (const [j, value] of row.entries()) sum = add(sum, scale(eqColumn[j] as Ext, BigInt(value)));
      total = add(total, multiply(multiply(factor, eqR[i] as Ext), sum));
    }
  }
  return total;
};

/** a_(l,ih) = ρ^l eq(s_hi, l) eq(r_hi, ih), one for each row of the matrix; 0 for ih past the table. */
export const rowFactors = (circuit: Circuit, r: readonly Ext[], rho: Ext, sHi: readonly Ext[]): readonly Ext[] => {
  const { g } = circuit.weights;
  const eqR = eqTable(r.slice(0, r.length - Math.log2(g)));
  const eqLayer = eqTable(sHi);
  const rhos = powers(rho, circuit.shape.layers.length);
  return circuit.shape.layers.flatMap((layer, l) => {
    const rows = Math.ceil(Math.ceil(layer.outputs / g) / 4) * 4;
    const factor = multiply(rhos[l] as Ext, eqLayer[l] as Ext);
    return Array.from({ length: rows }, (_, ih) => multiply(factor, eqR[ih] ?? ZERO));
  });
};

/** ⟨uc, eq(r_lo) ⊗ eq(s_lo)⟩ over the first C coefficients. */
export const combinedAt = (circuit: Circuit, uc: readonly Ext[], r: readonly Ext[], sLo: readonly Ext[]): Ext => {
  const { g, Wd } = circuit.weights;
  const eqR = eqTable(r.slice(r.length - Math.log2(g)));
  const eqColumn = eqTable(sLo);
  let sum: Ext = ZERO;
  for (let il = 0; il < g; il++)
    for (let j = 0; j < Wd; j++)
      sum = add(sum, multiply(multiply(eqR[il] as Ext, eqColumn[j] as Ext), uc[il * Wd + j] as Ext));
  return sum;
};

/** Check 8 of §6.3: the combination is the one of the opened columns, plus the mask. */
export const checkCombination = (
  circuit: Circuit,
  columns: readonly number[],
  uc: readonly Ext[],
  chi: Ext,
  factors: readonly Ext[],
  opened: Opened,
  mask: Opened,
  name: string,
): void => {
  const { nW } = circuit.weights;
  const w = rootOfUnity(nW);
  for (const [k, column] of columns.entries()) {
    const x = power(w, BigInt(reverse(column, Math.log2(nW))));
    let sum: Ext = ZERO;
    for (const [row, a] of factors.entries()) sum = add(sum, scale(a, opened.rows[row]?.[k] as bigint));
    let side = multiply(chi, sum);
    for (let q = 0; q < 4; q++) side = add(side, timesX([mask.rows[q]?.[k] as bigint, 0n, 0n, 0n], q));
    same(evaluate(uc, x), side, name);
  }
};
