import { canonicalBytes, sha256Hex } from "@countersign/core";
import { inputsOf, type LayerShape } from "../model.ts";
import type { Ranging } from "./calibration.ts";
import type { Chain } from "./folding.ts";
import type { Plan } from "./ir.ts";
import type { Measure } from "./measure.ts";
import type { Quantised, Shifts } from "./quantisation.ts";
import type { InputRule } from "./scales.ts";

/** What an import did and how well, as public data: safe integers and strings alone, so that it has canonical bytes. */
export type ImportReport = {
  readonly v: 1;
  readonly kind: "countersign-zk-import";
  /** The ONNX file; its digest is null when weights stay hidden, since whoever guesses a small model could confirm it. */
  readonly source: { readonly sha256: string | null; readonly bytes: number; readonly opset: number };
  readonly weights: "open" | "hidden";
  readonly quantisation: {
    /** "min-max" or "percentile SHARE". */
    readonly ranging: string;
    readonly shifts: Shifts;
    readonly biasDigits: 3 | 4;
  };
  readonly input: {
    readonly name: string;
    readonly dims: readonly number[];
    readonly size: number;
    readonly rule: "q = clamp(round-half-even(x / scale), least, most)";
  } & InputRule;
  readonly output: {
    readonly name: string;
    readonly size: number;
    readonly scale: string;
    readonly rule: "y = scale * q";
    /** Operators of the file that stand after the logits: not proven; whoever reads the logits applies them. */
    readonly after: readonly string[];
  };
  readonly parameters: number;
  readonly layers: readonly {
    readonly inputs: number;
    readonly outputs: number;
    /** Least and largest shift; both 0 at the last layer. */
    readonly shift: readonly [number, number];
    /** Real value of one step of the activations; null at the last layer and when weights stay hidden. */
    readonly scale: string | null;
  }[];
  readonly folded: readonly string[];
  readonly calibration: Measure;
  /** On samples that calibration did not see, when there were any. */
  readonly evaluation: Measure | null;
};

const counted = (notes: readonly string[]): readonly string[] =>
  [...new Set(notes)].map((note) => {
    const times = notes.filter((n) => n === note).length;
    return times === 1 ? note : `${note} (${times} times)`;
  });

/** Everything that a report is written from. */
export type Findings = {
  readonly bytes: Uint8Array;
  readonly plan: Plan;
  readonly chain: Chain;
  readonly quantised: Quantised;
  readonly weights: "open" | "hidden";
  readonly ranging: Ranging;
  readonly shifts: Shifts;
  readonly calibration: Measure;
  readonly evaluation: Measure | null;
};

/** Writes the report of an import. */
export function writeReport(found: Findings): ImportReport {
  const { plan, chain, quantised, ranging } = found;
  const { shape, layers } = quantised.model;
  const open = found.weights === "open";
  return {
    v: 1,
    kind: "countersign-zk-import",
    source: { sha256: open ? sha256Hex(found.bytes) : null, bytes: found.bytes.length, opset: plan.opset },
    weights: found.weights,
    quantisation: {
      ranging: ranging.method === "min-max" ? "min-max" : `percentile ${ranging.share}`,
      shifts: found.shifts,
      biasDigits: shape.biasDigits,
    },
    input: {
      ...plan.input,
      ...quantised.input,
      rule: "q = clamp(round-half-even(x / scale), least, most)",
    },
    output: {
      ...plan.output,
      size: shape.layers.at(-1)?.outputs ?? 0,
      scale: String(quantised.outputScale),
      rule: "y = scale * q",
      after: chain.after,
    },
    parameters: layers.reduce((sum, l) => sum + l.weights.length + l.bias.length, 0),
    layers: shape.layers.map((layer: LayerShape, l) => ({
      inputs: inputsOf(shape, l),
      outputs: layer.outputs,
      shift: layer.shift.length === 0 ? [0, 0] : [Math.min(...layer.shift), Math.max(...layer.shift)],
      scale: open && l < quantised.hiddenScales.length ? String(quantised.hiddenScales[l]) : null,
    })),
    folded: counted([...chain.folded, ...quantised.notes]),
    calibration: found.calibration,
    evaluation: found.evaluation,
  };
}

/** SHA-256 over the report's canonical bytes, as it stands in a model's identity. */
export const digestReport = (report: ImportReport): string => sha256Hex(canonicalBytes(report));
