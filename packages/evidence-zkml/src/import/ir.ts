/** `outputs × inputs` weights row after row, and a bias each: y = W x + b. */
export type Dense = {
  readonly kind: "dense";
  readonly inputs: number;
  readonly outputs: number;
  readonly weights: Float64Array;
  readonly bias: Float64Array;
};

/** y = scale · x + offset, element by element. */
export type Affine = { readonly kind: "affine"; readonly scale: Float64Array; readonly offset: Float64Array };

/** max(0, x), and at most `ceiling`. */
export type Rectify = { readonly kind: "rectify"; readonly ceiling: number };

/** A pair of QuantizeLinear and DequantizeLinear: scale · k for the nearest whole k (ties to even) from `low` to `high`. */
export type Grid = { readonly kind: "grid"; readonly scale: number; readonly low: number; readonly high: number };

/** What is done with the logits outside the proof, by whoever reads them. */
export type After = {
  readonly kind: "after";
  readonly operator: "Softmax" | "LogSoftmax" | "Sigmoid" | "ArgMax" | "QuantizeLinear";
};

/**
 * What the importer knows of a model: each step takes the value before it.
 *
 * Convolutions, pooling and residual additions get kinds here, and a step then says whose values it takes.
 */
export type Step = Dense | Affine | Rectify | Grid | After;

/** A model in the importer's own words: a flat input of `size` numbers and the steps. */
export type Plan = {
  readonly input: { readonly name: string; readonly dims: readonly number[]; readonly size: number };
  readonly output: { readonly name: string; readonly size: number };
  readonly opset: number;
  readonly steps: readonly Step[];
};
