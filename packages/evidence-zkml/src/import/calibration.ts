import { activationsOf } from "./evaluation.ts";
import { uncalibrated } from "./fault.ts";
import type { Chain } from "./folding.ts";
import { limits } from "./limits.ts";

/** Inputs as the float model takes them, flat, and, where known, the right output of each. */
export type Calibration = {
  readonly samples: readonly Float32Array[];
  /** Index of the right output; for a model of one output 1 for a positive logit and 0 for another. */
  readonly labels?: readonly number[] | undefined;
};

/** How ranges are read off the samples: the largest value, or the one that this share of all values does not pass. */
export type Ranging = { readonly method: "min-max" } | { readonly method: "percentile"; readonly share: number };

/** Largest magnitude of the input and of each hidden layer's activations. */
export type Ranges = { readonly input: number; readonly hidden: readonly number[] };

/** Refuses samples that do not fit the model. @throws ZK_CALIBRATION_INVALID */
export function checkCalibration({ samples, labels }: Calibration, size: number, outputs: number): void {
  if (!Array.isArray(samples) || samples.length === 0) uncalibrated("The calibration set is empty.");
  if (samples.length * size > limits.calibrationValues) uncalibrated("The calibration set is too large.");
  samples.forEach((sample, i) => {
    if (!(sample instanceof Float32Array) || sample.length !== size)
      uncalibrated(`Sample ${i} is no list of ${size} float32 numbers.`);
    for (const x of sample) if (!Number.isFinite(x)) uncalibrated(`Sample ${i} holds ${x}.`);
  });
  if (labels === undefined) return;
  if (labels.length !== samples.length)
    uncalibrated(`There are ${labels.length} labels for ${samples.length} samples.`);
  for (const label of labels)
    if (!Number.isInteger(label) || label < 0 || label >= Math.max(outputs, 2))
      uncalibrated(`There is no output ${label}.`);
}

/** Collects magnitudes; past 2^22 of them every second, fourth, … is kept, so that the choice depends on order alone. */
class Gathering {
  largest = 0;
  #values: number[] = [];
  #step = 1;
  #seen = 0;

  add(values: ArrayLike<number>, keep: boolean): void {
    for (let i = 0; i < values.length; i++) {
      const x = Math.abs(values[i] as number);
      if (x > this.largest) this.largest = x;
      if (!keep || this.#seen++ % this.#step !== 0) continue;
      this.#values.push(x);
      if (this.#values.length < 2 ** 22) continue;
      this.#values = this.#values.filter((_, at) => at % 2 === 0);
      this.#step *= 2;
    }
  }

  /** The least value that `share` of all do not pass. */
  at(share: number): number {
    const sorted = Float64Array.from(this.#values).sort();
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
  }
}

/** Reads ranges off the calibration samples. @throws ZK_CALIBRATION_INVALID when every input is zero */
export function calibrate(chain: Chain, { samples }: Calibration, ranging: Ranging): Ranges {
  const keep = ranging.method === "percentile";
  if (keep && !(ranging.share > 0 && ranging.share <= 1)) return uncalibrated("A percentile lies above 0 and up to 1.");
  const input = new Gathering();
  const hidden = chain.layers.slice(0, -1).map(() => new Gathering());
  for (const sample of samples) {
    input.add(sample, keep);
    activationsOf(chain, sample).forEach((values, l) => {
      hidden[l]?.add(values, keep);
    });
  }
  // A percentile of mostly zeros can be zero, and says nothing then.
  const range = (g: Gathering) => (keep ? g.at(ranging.share) || g.largest : g.largest);
  const { inputGrid: own } = chain;
  const top = own ? Math.max(own.high, (-own.low * 127) / 128) * own.scale : range(input);
  const ranges = { input: top, hidden: hidden.map(range) };
  if (!(ranges.input > 2 ** -100)) return uncalibrated("Every input of the calibration set is zero.");
  return ranges;
}
