import { CountersignError } from "@countersign/core";
import { clamp, roundHalfEven } from "./rounding.ts";

/** How floats become the integers that a model takes; an import's report has one as `input`. */
export type InputRule = {
  /** Real value of one step, a decimal that gives back the same double. */
  readonly scale: string;
  readonly least: number;
  readonly most: number;
};

/**
 * Brings a float input to the integers that the model takes: round(x / scale), cut to `least` and `most`, computed in
 * double precision, ties to even.
 *
 * @throws ZK_INPUT_INVALID for NaN and infinities
 */
export function encodeInput({ scale, least, most }: InputRule, input: Float32Array): Int8Array {
  const step = Number(scale);
  const out = new Int8Array(input.length);
  for (let i = 0; i < input.length; i++) {
    const x = input[i] as number;
    if (!Number.isFinite(x)) throw new CountersignError("ZK_INPUT_INVALID", { message: `The input holds ${x}.` });
    out[i] = clamp(roundHalfEven(x / step), least, most);
  }
  return out;
}

/** The real numbers that integer outputs stand for: scale · q; an import's report has the scale as `output`. */
export const decodeOutput = ({ scale }: { readonly scale: string }, output: Int32Array): Float64Array =>
  Float64Array.from(output, (q) => q * Number(scale));
