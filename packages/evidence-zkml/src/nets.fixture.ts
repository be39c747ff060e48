import { inputsOf, type ModelShape, type QuantModel } from "./model.ts";

/** Whole numbers from a seed, so that a failure can be run again. */
export function makeDice(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 88172645) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

export const denseShape = (
  dims: readonly number[],
  shifts: number | readonly number[] = 10,
  biasDigits: 3 | 4 = 3,
): ModelShape => ({
  inputs: dims[0] as number,
  biasDigits,
  layers: dims.slice(1).map((outputs, l) => ({
    kind: "dense",
    outputs,
    shift: l === dims.length - 2 ? [] : [typeof shifts === "number" ? shifts : (shifts[l] as number)],
  })),
});

/** A model with random weights of at most `most`. */
export function randomModel(shape: ModelShape, seed = 1, most = 60): QuantModel {
  const dice = makeDice(seed);
  return {
    shape,
    layers: shape.layers.map((layer, l) => ({
      weights: Int8Array.from({ length: layer.outputs * inputsOf(shape, l) }, () => dice(2 * most + 1) - most),
      bias: Int32Array.from({ length: layer.outputs }, () => dice(20_001) - 10_000),
    })),
  };
}

export const randomInput = (length: number, seed = 1): Int8Array => {
  const dice = makeDice(seed + 1000);
  return Int8Array.from({ length }, () => dice(256) - 128);
};
