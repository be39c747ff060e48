import { checkModel, type LayerShape, type LayerWeights, type QuantModel } from "../model.ts";
import type { Ranges } from "./calibration.ts";
import { invalid } from "./fault.ts";
import type { Chain, FloatLayer } from "./folding.ts";
import type { Grid } from "./ir.ts";
import { clamp, roundHalfEven } from "./rounding.ts";
import type { InputRule } from "./scales.ts";

/** Whether a layer has one shift, or each output its own. Shifts are public, and those of single outputs tell more. */
export type Shifts = "layer" | "channel";

/** An integer model and the steps of its scales: a real number is scale · integer. */
export type Quantised = {
  readonly model: QuantModel;
  readonly input: InputRule;
  /** Scales of the hidden activations. */
  readonly hiddenScales: readonly number[];
  readonly outputScale: number;
  readonly notes: readonly string[];
};

const shiftMost = 15;
const shiftLeast = 8;
/** |bias| that four base-128 digits hold for certain; three hold 2^20 (spec/zkml.md §2). */
const biasMost = 2 ** 27 - 2 ** 21;
const biasOfThree = 2 ** 20;

const largest = (values: ArrayLike<number>, from = 0, to = values.length): number => {
  let most = 0;
  for (let i = from; i < to; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
};

/** Weights of one output in steps of `scale`. */
function round(layer: FloatLayer, output: number, scale: number, into: Int8Array): void {
  const n = layer.inputs;
  for (let at = output * n; at < output * n + n; at++)
    into[at] = clamp(roundHalfEven((layer.weights[at] as number) / scale), -127, 127);
}

/** Lowest and highest accumulator of an output over all int8 inputs; activations are never negative. */
function span(weights: Int8Array, bias: number, output: number, n: number, first: boolean): readonly [number, number] {
  let [low, high] = [bias, bias];
  for (let at = output * n; at < output * n + n; at++) {
    const w = weights[at] as number;
    low += w < 0 ? 127 * w : first ? -128 * w : 0;
    high += w > 0 ? 127 * w : first ? -128 * w : 0;
  }
  return [low, high];
}

/** Whether each accumulator in between can be decomposed at this shift: −256 ≤ h < 256 (spec/zkml.md §2). */
function inRange([low, high]: readonly [number, number], shift: number): boolean {
  const half = 2 ** (shift - 1);
  const edge = 2 ** (shift + 15);
  return low + half >= -edge && high + half < edge;
}

/** The largest shift whose weight scale, 2^−shift · unit, still holds the largest weight in int8. */
function shiftFor(most: number, unit: number): number {
  let shift = shiftMost;
  while (shift > shiftLeast && most * 2 ** shift > 127 * (1 + 1e-12) * unit) shift--;
  return shift;
}

type Hidden = { readonly shape: LayerShape; readonly weights: LayerWeights };

/** Rounds one hidden layer: shifts so that all weights fit, raised until no int8 input can leave the provable range. */
function quantiseHidden(layer: FloatLayer, x: number, y: number, shifts: Shifts, first: boolean): Hidden {
  const { inputs: n, outputs: m } = layer;
  const unit = y / x;
  const weights = new Int8Array(m * n);
  const bias = new Int32Array(m);
  const fits = (i: number, shift: number): boolean => {
    round(layer, i, unit / 2 ** shift, weights);
    const b = roundHalfEven(((layer.bias[i] as number) / y) * 2 ** shift);
    if (Math.abs(b) > biasMost) return invalid(`The bias of output ${i} is too large beside its layer's activations.`);
    bias[i] = b;
    return inRange(span(weights, b, i, n, first), shift);
  };
  /** One shift for the outputs from `from` to before `to`. */
  const settle = (from: number, to: number): number => {
    let shift = shiftFor(largest(layer.weights, from * n, to * n), unit);
    // A bias that is large beside the activations leaves fewer bits for the fraction.
    while (shift > shiftLeast && (largest(layer.bias, from, to) / y) * 2 ** shift > biasMost) shift--;
    for (let i = from; i < to; i++)
      if (!fits(i, shift)) {
        if (++shift > shiftMost)
          return invalid(`Some input takes output ${i} out of the provable range at every shift.`);
        i = from - 1;
      }
    return shift;
  };
  const shift = shifts === "layer" ? [settle(0, m)] : Array.from({ length: m }, (_, i) => settle(i, i + 1));
  return { shape: { kind: "dense", outputs: m, shift }, weights: { weights, bias } };
}

function quantiseLast(layer: FloatLayer, x: number): Hidden & { readonly scale: number } {
  const { inputs: n, outputs: m } = layer;
  let scale = largest(layer.weights) / 127;
  // A bias beyond four digits makes the steps of the weights coarser.
  scale = Math.max(scale, largest(layer.bias) / (x * biasMost));
  if (!(scale > 2 ** -500)) return invalid("The last layer holds nothing but zeros.");
  const weights = new Int8Array(m * n);
  for (let i = 0; i < m; i++) round(layer, i, scale, weights);
  const bias = Int32Array.from(layer.bias, (b) => roundHalfEven(b / (scale * x)));
  return { shape: { kind: "dense", outputs: m, shift: [] }, weights: { weights, bias }, scale: scale * x };
}

/** The largest value that an output of a layer can have before its activation, over all int8 inputs. */
function highestOf(layer: FloatLayer, x: number, first: boolean): number {
  const { inputs: n, outputs: m, weights, bias } = layer;
  let highest = 0;
  for (let i = 0; i < m; i++) {
    let sum = bias[i] as number;
    for (let at = i * n; at < i * n + n; at++) {
      const w = weights[at] as number;
      sum += w > 0 ? 127 * x * w : first ? -128 * x * w : 0;
    }
    highest = Math.max(highest, sum);
  }
  return highest;
}

/**
 * The scale of a hidden layer's activations: the quantised model's own, or by range; never so fine that shift 8 is too
 * much for its weights.
 *
 * @throws ZK_MODEL_INVALID when a Clip would then let through what it cuts
 */
function activationScale(layer: FloatLayer, x: number, range: number, l: number, notes: string[]): number {
  const wanted = Math.min(layer.top ?? range, layer.ceiling) / 127;
  const least = (largest(layer.weights) * x * 2 ** shiftLeast) / 127;
  if (wanted >= least && wanted > 0) return wanted;
  const scale = least > 0 ? least : 1;
  if (127 * scale > layer.ceiling * (1 + 1e-9) && highestOf(layer, x, l === 0) > layer.ceiling)
    return invalid(
      `The Clip behind linear layer ${l} cuts at ${layer.ceiling}, lower than its integer form can.`,
      "With a shift of 8 bits or more the scale must hold twice what one input alone contributes.",
      "Use Relu there, or a higher limit.",
    );
  notes.push(`the steps of layer ${l}'s activations made coarser, so that its weights fit`);
  return scale;
}

/** A quantised model cuts its input where its grid ends, for example at zero. */
function inputRule(scale: number, grid: Grid | undefined): InputRule {
  const bound = (end: number) => clamp(roundHalfEven((end * (grid as Grid).scale) / scale), -128, 127);
  if (grid === undefined) return { scale: String(scale), least: -128, most: 127 };
  return { scale: String(scale), least: bound(grid.low), most: bound(grid.high) };
}

/**
 * Rounds a folded model to integers: int8 weights in steps that make each requantisation a shift
 * (weight scale · input scale / output scale = 2^−shift, zkml-prover.md §6).
 *
 * The result never throws ZK_ACCUMULATOR_RANGE, whatever the int8 input.
 *
 * @throws ZK_MODEL_INVALID
 */
export function quantise(chain: Chain, ranges: Ranges, shifts: Shifts): Quantised {
  const notes: string[] = [];
  let x = ranges.input / 127;
  const input = inputRule(x, chain.inputGrid);
  const made: Hidden[] = [];
  const hiddenScales: number[] = [];
  chain.layers.slice(0, -1).forEach((layer, l) => {
    const y = activationScale(layer, x, ranges.hidden[l] as number, l, notes);
    made.push(quantiseHidden(layer, x, y, shifts, l === 0));
    hiddenScales.push(y);
    x = y;
  });
  const last = quantiseLast(chain.layers.at(-1) as FloatLayer, x);
  made.push(last);
  const biasDigits = made.every((l) => largest(l.weights.bias) < biasOfThree) ? 3 : 4;
  const shape = {
    inputs: (chain.layers[0] as FloatLayer).inputs,
    layers: made.map((l) => l.shape),
    biasDigits,
  } as const;
  const model: QuantModel = { shape, layers: made.map((l) => l.weights) };
  checkModel(model);
  return { model, input, hiddenScales, outputScale: last.scale, notes };
}
