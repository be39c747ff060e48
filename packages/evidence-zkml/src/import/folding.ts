import { invalid, tooLarge, unsupported } from "./fault.ts";
import type { Affine, After, Dense, Grid, Plan, Step } from "./ir.ts";
import { limits } from "./limits.ts";

/** A linear layer with what follows it. */
export type FloatLayer = {
  readonly inputs: number;
  readonly outputs: number;
  readonly weights: Float64Array;
  readonly bias: Float64Array;
  /** Whether a ReLU follows, and the most that it lets through. */
  readonly rectified: boolean;
  readonly ceiling: number;
  /** The largest value of the grid that a quantised model puts its activations on. */
  readonly top: number | undefined;
};

/** A model folded to linear layers, each but the last rectified. */
export type Chain = {
  readonly layers: readonly FloatLayer[];
  /** The grid that the model itself puts its input on. */
  readonly inputGrid: Grid | undefined;
  readonly after: readonly After["operator"][];
  /** Grids that have no place in the integer model: what they cut must be next to nothing, which the import checks. */
  readonly left: ReadonlySet<Step>;
  /** What was folded or left out, in words. */
  readonly folded: readonly string[];
};

type Open = { -readonly [K in keyof FloatLayer]: FloatLayer[K] } & { grid?: Grid | undefined };

/** W diag(scale), and b + W offset: what stood before a linear layer becomes part of it. */
function absorb(dense: Dense, before: Affine): Dense {
  const { inputs: n, outputs: m } = dense;
  const weights = new Float64Array(m * n);
  const bias = dense.bias.slice();
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      const w = dense.weights[i * n + j] as number;
      weights[i * n + j] = w * (before.scale[j] as number);
      bias[i] = (bias[i] as number) + w * (before.offset[j] as number);
    }
  return { ...dense, weights, bias };
}

/** One linear layer for two with nothing between. @throws ZK_IMPORT_TOO_LARGE when that is too much work */
function compose(first: FloatLayer, second: Dense, work: { done: number }): Dense {
  const { inputs: n } = first;
  const { inputs: k, outputs: m } = second;
  work.done += m * k * n;
  if (work.done > limits.foldWork || m * n > limits.elements)
    return tooLarge("Two linear layers without an activation between are too large to become one.");
  const weights = new Float64Array(m * n);
  const bias = second.bias.slice();
  for (let i = 0; i < m; i++)
    for (let h = 0; h < k; h++) {
      const w = second.weights[i * k + h] as number;
      if (w === 0) continue;
      bias[i] = (bias[i] as number) + w * (first.bias[h] as number);
      for (let j = 0; j < n; j++)
        weights[i * n + j] = (weights[i * n + j] as number) + w * (first.weights[h * n + j] as number);
    }
  return { kind: "dense", inputs: n, outputs: m, weights, bias };
}

/**
 * Folds a plan to linear layers and their activations: constants that scale or shift go into the weights, linear
 * layers without an activation between become one, and a quantised model's grids give ranges. A grid that begins at
 * zero is a ReLU, as quantisers write it.
 *
 * @throws ZK_OPERATOR_UNSUPPORTED, ZK_MODEL_INVALID, ZK_IMPORT_TOO_LARGE
 */
export function fold(plan: Plan): Chain {
  const layers: Open[] = [];
  const notes: string[] = [];
  const left = new Set<Step>();
  const work = { done: 0 };
  let inputGrid: Grid | undefined;
  let before: Affine | undefined;
  const leave = (grid: Grid | undefined): void => {
    if (grid === undefined) return;
    left.add(grid);
    notes.push("a grid that no activation follows left out");
  };
  const steps = plan.steps.slice(0, lengthOf(plan));
  for (const step of steps) {
    const layer = layers.at(-1);
    const open = layer && !layer.rectified ? layer : undefined;
    if (step.kind === "dense" || step.kind === "affine") {
      leave(open?.grid);
      if (open) open.grid = undefined;
    }
    if (step.kind === "dense") {
      let dense = before ? absorb(step, before) : step;
      if (open) {
        notes.push("two linear layers made one");
        dense = compose(open, dense, work);
        layers.pop();
      }
      before = undefined;
      const { inputs, outputs, weights, bias } = dense;
      const ceiling = Number.POSITIVE_INFINITY;
      layers.push({ inputs, outputs, weights, bias, rectified: false, ceiling, top: undefined });
    } else if (step.kind === "affine") {
      notes.push(`constants ${open ? "after" : "before"} a linear layer taken into its weights`);
      if (open) scaleRows(open, step);
      else before = before ? chainAffine(before, step) : step;
    } else if (step.kind === "rectify") {
      if (layer === undefined || before) return unsupported("Relu", "It stands before a linear layer, not behind one.");
      layer.ceiling = Math.min(layer.ceiling, step.ceiling);
      rectify(layer, layer.grid);
    } else if (step.kind === "grid") {
      if (before || (layer === undefined && inputGrid)) leave(step);
      else if (layer === undefined) inputGrid = step;
      else if (layer.rectified || step.low === 0) rectify(layer, step);
      else {
        leave(layer.grid);
        layer.grid = step;
      }
    }
  }
  const last = plan.steps.slice(steps.length).map((s) => (s.kind === "after" ? s.operator : "QuantizeLinear"));
  if (before) return unsupported("Add or Mul after the last activation", "The output must be a linear layer's.");
  checkLayers(layers);
  return { layers, inputGrid, after: last, left, folded: notes };
}

/** Number of steps up to the logits: what stands behind them is not proven. */
export const lengthOf = ({ steps }: Plan): number =>
  steps.findLastIndex((step) => step.kind !== "after" && step.kind !== "grid") + 1;

function rectify(layer: Open, grid: Grid | undefined): void {
  layer.rectified = true;
  layer.grid = undefined;
  if (grid) layer.top = Math.min(layer.top ?? Number.POSITIVE_INFINITY, grid.high * grid.scale);
}

function scaleRows(layer: Open, { scale, offset }: Affine): void {
  const n = layer.inputs;
  layer.weights = layer.weights.map((w, at) => w * (scale[Math.floor(at / n)] as number));
  layer.bias = layer.bias.map((b, i) => b * (scale[i] as number) + (offset[i] as number));
}

const chainAffine = (first: Affine, second: Affine): Affine => ({
  kind: "affine",
  scale: first.scale.map((s, i) => s * (second.scale[i] as number)),
  offset: first.offset.map((o, i) => o * (second.scale[i] as number) + (second.offset[i] as number)),
});

function checkLayers(layers: readonly FloatLayer[]): void {
  const final = layers.at(-1);
  if (final === undefined) invalid("The model has no linear layer.");
  // The circuit gives the last accumulators as they are: a ReLU there would need them rounded first.
  if (final?.rectified) unsupported("Relu as the output", "The output must be a linear layer's.");
  for (const layer of layers)
    for (const values of [layer.weights, layer.bias])
      if (!values.every(Number.isFinite)) invalid("A weight is no finite number after folding.");
}
