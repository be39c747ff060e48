import type { QuantModel } from "../model.ts";
import { type Calibration, calibrate, checkCalibration, type Ranging } from "./calibration.ts";
import { cutShare } from "./evaluation.ts";
import { invalid } from "./fault.ts";
import { type Chain, fold } from "./folding.ts";
import { readOnnx } from "./graph.ts";
import type { Plan } from "./ir.ts";
import { lower } from "./lowering.ts";
import { type Measure, measure } from "./measure.ts";
import { type Quantised, quantise, type Shifts } from "./quantisation.ts";
import { digestReport, type ImportReport, writeReport } from "./report.ts";

/** Choices of an import; each has a default that is stated here. */
export type ImportOptions = {
  /** How ranges are read off the calibration set; "min-max" by default. A quantised model's own grids go before it. */
  readonly ranging?: Ranging;
  /** One shift a layer or one an output; "auto", the default for open weights, takes single ones where they err a tenth less. */
  readonly shifts?: Shifts | "auto";
  /** Hidden weights: one shift a layer unless said, no digest of the file and no inner scales in the report. Default "open". */
  readonly weights?: "open" | "hidden";
  /** Samples that calibration does not see, measured beside it. */
  readonly evaluation?: Calibration;
};

/** An integer model, what was measured on the way, and the digest that stands in the model's identity. */
export type Imported = { readonly model: QuantModel; readonly report: ImportReport; readonly reportDigest: string };

const publicPart = ({ meanError: _, ...rest }: Measure & { readonly meanError: number }): Measure => rest;

function choose(plan: Plan, chain: Chain, calibration: Calibration, ranging: Ranging, wanted: Shifts | "auto") {
  const ranges = calibrate(chain, calibration, ranging);
  const attempt = (shifts: Shifts): { quantised: Quantised; found: ReturnType<typeof measure>; shifts: Shifts } => {
    const quantised = quantise(chain, ranges, shifts);
    return { quantised, found: measure(plan, quantised, calibration), shifts };
  };
  if (wanted !== "auto") return attempt(wanted);
  const whole = attempt("layer");
  if (chain.layers.length === 1) return whole;
  const single = attempt("channel");
  return single.found.meanError < 0.9 * whole.found.meanError ? single : whole;
}

/**
 * Imports an ONNX model: reads the file, folds it to linear layers with ReLU between, rounds it to the integer
 * function that is proven, and measures that against the float model.
 *
 * Softmax, LogSoftmax, Sigmoid and ArgMax are taken at the end only, are named in the report and stay outside the
 * proof, whose output are the logits. Every other operator that has no circuit is refused by its name.
 *
 * @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE, ZK_IMPORT_EXTERNAL, ZK_OPSET_UNSUPPORTED, ZK_OPERATOR_UNSUPPORTED,
 *   ZK_MODEL_INVALID, ZK_CALIBRATION_INVALID
 * @example importOnnx(bytes, { samples, labels }, { ranging: { method: "percentile", share: 0.9999 } }).report.calibration
 */
export function importOnnx(bytes: Uint8Array, calibration: Calibration, options: ImportOptions = {}): Imported {
  const { ranging = { method: "min-max" }, weights = "open", evaluation } = options;
  const plan = lower(readOnnx(bytes));
  const chain = fold(plan);
  const outputs = chain.layers.at(-1)?.outputs ?? 0;
  checkCalibration(calibration, plan.input.size, outputs);
  if (evaluation) checkCalibration(evaluation, plan.input.size, outputs);
  const cut = cutShare(plan, chain.left, calibration.samples);
  if (cut > 0.001)
    return invalid(
      `Grids between linear layers cut ${(100 * cut).toFixed(1)} % of the values that they are given.`,
      "Without a ReLU behind them they have no place in the integer model, and they are no mere rounding.",
      "Quantise the model with ranges from more data, or import the float model.",
    );
  const wanted = options.shifts ?? (weights === "open" ? "auto" : "layer");
  const { quantised, found, shifts } = choose(plan, chain, calibration, ranging, wanted);
  const report = writeReport({
    bytes,
    plan,
    chain,
    quantised,
    weights,
    ranging,
    shifts,
    calibration: publicPart(found),
    evaluation: evaluation ? publicPart(measure(plan, quantised, evaluation)) : null,
  });
  return { model: quantised.model, report, reportDigest: digestReport(report) };
}
