import { type Chain, type FloatLayer, lengthOf } from "./folding.ts";
import type { Plan, Step } from "./ir.ts";
import { clamp, roundHalfEven } from "./rounding.ts";

/** W x + b in double precision. */
export function multiply(
  { inputs, outputs, weights, bias }: Pick<FloatLayer, "inputs" | "outputs" | "weights" | "bias">,
  x: ArrayLike<number>,
): Float64Array {
  const out = bias.slice();
  for (let i = 0, at = 0; i < outputs; i++) {
    let sum = 0;
    for (let j = 0; j < inputs; j++, at++) sum += (weights[at] as number) * (x[j] as number);
    out[i] = (out[i] as number) + sum;
  }
  return out;
}

function take(step: Step, x: Float64Array): Float64Array {
  switch (step.kind) {
    case "dense":
      return multiply(step, x);
    case "affine":
      return x.map((v, i) => v * (step.scale[i] as number) + (step.offset[i] as number));
    case "rectify":
      return x.map((v) => clamp(v, 0, step.ceiling));
    case "grid":
      return x.map((v) => step.scale * clamp(roundHalfEven(Math.fround(v / step.scale)), step.low, step.high));
    case "after":
      return x;
  }
}

/**
 * Evaluates the model as its file says it, in double precision, grids of a quantised model included, up to the
 * logits: what stands after them is not done.
 */
export function evaluate(plan: Plan, input: ArrayLike<number>): Float64Array {
  return plan.steps.slice(0, lengthOf(plan)).reduce<Float64Array>((x, step) => take(step, x), Float64Array.from(input));
}

/** The rectified values of each hidden layer of a folded model. */
export function activationsOf(chain: Chain, input: ArrayLike<number>): readonly Float64Array[] {
  const out: Float64Array[] = [];
  let x: ArrayLike<number> = input;
  for (const layer of chain.layers.slice(0, -1)) {
    const y = multiply(layer, x).map((v) => clamp(v, 0, layer.ceiling));
    out.push(y);
    x = y;
  }
  return out;
}

/** The share of values that the given grids cut at their ends. */
export function cutShare(plan: Plan, grids: ReadonlySet<Step>, inputs: readonly ArrayLike<number>[]): number {
  let [cut, all] = [0, 0];
  for (const input of inputs)
    plan.steps.slice(0, lengthOf(plan)).reduce<Float64Array>((x, step) => {
      if (step.kind === "grid" && grids.has(step))
        for (const v of x) {
          all++;
          if (v > (step.high + 0.5) * step.scale || v < (step.low - 0.5) * step.scale) cut++;
        }
      return take(step, x);
    }, Float64Array.from(input));
  return all === 0 ? 0 : cut / all;
}
