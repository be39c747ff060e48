import { type QuantModel, run } from "../model.ts";
import type { Calibration } from "./calibration.ts";
import { evaluate } from "./evaluation.ts";
import type { Plan } from "./ir.ts";
import { encodeInput, type InputRule } from "./scales.ts";

/** What a set of samples says about the integer model beside the float model. Counts are of samples unless said. */
export type Measure = {
  readonly samples: number;
  /** Samples whose decision is the labelled one, before and after; null without labels. */
  readonly correct: { readonly before: number; readonly after: number } | null;
  /** Samples on which both models decide the same: largest output (the first of equals), or the sign of a single one. */
  readonly agreeing: number;
  /** Largest and mean |scale · integer output − float output|, decimals. */
  readonly error: { readonly largest: string; readonly mean: string };
  /** Inputs that were cut to int8, and activations at 127 for each hidden layer, in single numbers. */
  readonly saturated: { readonly inputs: number; readonly hidden: readonly number[] };
};

/** The index of the largest output, the first of equals; for one output whether it is positive. */
export function decide(outputs: ArrayLike<number>): number {
  if (outputs.length === 1) return (outputs[0] as number) > 0 ? 1 : 0;
  let best = 0;
  for (let i = 1; i < outputs.length; i++) if ((outputs[i] as number) > (outputs[best] as number)) best = i;
  return best;
}

const decimal = (x: number): string => (x === 0 ? "0" : x.toPrecision(6));

/** Runs both models on each sample and compares them. */
export function measure(
  plan: Plan,
  quantised: { readonly model: QuantModel; readonly input: InputRule; readonly outputScale: number },
  { samples, labels }: Calibration,
): Measure & { readonly meanError: number } {
  const { model, input: rule, outputScale } = quantised;
  const step = Number(rule.scale);
  const saturated = { inputs: 0, hidden: model.layers.slice(1).map(() => 0) };
  let [agreeing, before, after, largest, sum, count] = [0, 0, 0, 0, 0, 0];
  samples.forEach((sample, at) => {
    const float = evaluate(plan, sample);
    const input = encodeInput(rule, sample);
    for (const x of sample) if (x > (rule.most + 0.5) * step || x < (rule.least - 0.5) * step) saturated.inputs++;
    const { inputs, output } = run(model, input);
    inputs.slice(1).forEach((values, l) => {
      for (const v of values) if (v === 127) saturated.hidden[l] = (saturated.hidden[l] as number) + 1;
    });
    const [a, b] = [decide(float), decide(output)];
    if (a === b) agreeing++;
    if (labels?.[at] === a) before++;
    if (labels?.[at] === b) after++;
    for (let i = 0; i < output.length; i++) {
      const error = Math.abs((output[i] as number) * outputScale - (float[i] as number));
      largest = Math.max(largest, error);
      sum += error;
      count++;
    }
  });
  const meanError = sum / count;
  return {
    samples: samples.length,
    correct: labels ? { before, after } : null,
    agreeing,
    error: { largest: decimal(largest), mean: decimal(meanError) },
    saturated,
    meanError,
  };
}
