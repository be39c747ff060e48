import { CountersignError } from "@countersign/core";

/** Largest number of inputs of a layer; with it every accumulator bound fits into the field (spec/zkml.md §2). */
const widest = 65_536;
const mostLayers = 64;

/** Shape of a fully connected layer; `shift` has one entry for all outputs or one each, and is empty at the last layer. */
export type DenseShape = {
  readonly kind: "dense";
  readonly outputs: number;
  /** Bits that the accumulator is shifted right by before the activation, 8 to 15. */
  readonly shift: readonly number[];
};

/** Kinds of layers. Convolution, pooling and residual addition get rows here when the circuit can prove them. */
export type LayerShape = DenseShape;

/** What is public about an integer network. */
export type ModelShape = {
  readonly inputs: number;
  readonly layers: readonly LayerShape[];
  /** Base-128 digits of a bias: three hold |b| < 2^20, four |b| < 2^27. */
  readonly biasDigits: 3 | 4;
};

/** Weights of a layer: `outputs × inputs` int8 row after row, and one bias for each output. */
export type LayerWeights = { readonly weights: Int8Array; readonly bias: Int32Array };

/** An integer network. */
export type QuantModel = { readonly shape: ModelShape; readonly layers: readonly LayerWeights[] };

/** What a run leaves: the inputs of each layer (the first is the model's), each layer's accumulators, the last of them the output. */
export type Trace = {
  readonly inputs: readonly Int8Array[];
  readonly accumulators: readonly Int32Array[];
  readonly output: Int32Array;
};

const refuse = (message: string, why?: string): never => {
  throw new CountersignError("ZK_MODEL_INVALID", { message, why });
};

const isCount = (n: unknown, most: number): n is number =>
  typeof n === "number" && Number.isSafeInteger(n) && n >= 1 && n <= most;

/** Number of inputs of layer `l`. */
export const inputsOf = (shape: ModelShape, l: number): number =>
  l === 0 ? shape.inputs : (shape.layers[l - 1] as LayerShape).outputs;

/** The shift of one output of a hidden layer. */
export const shiftOf = (layer: LayerShape, output: number): number =>
  (layer.shift.length === 1 ? layer.shift[0] : layer.shift[output]) as number;

/**
 * Largest |accumulator| of a layer with `inputs` inputs over all int8 weights, digits and inputs (spec/zkml.md §2).
 * It comes from the public shape alone, since a checker does not see hidden weights.
 */
export const boundOf = (inputs: number, biasDigits: 3 | 4): number =>
  16_384 * inputs + 128 * (biasDigits === 3 ? 16_513 : 2_113_665);

/** Refuses a shape that no circuit is built for. @throws ZK_MODEL_INVALID, ZK_OPERATOR_UNSUPPORTED */
export function checkShape(shape: ModelShape): void {
  if (typeof shape !== "object" || shape === null) refuse("The model's shape is not an object.");
  if (!isCount(shape.inputs, widest)) refuse(`A model has 1 to ${widest} inputs.`);
  if (shape.biasDigits !== 3 && shape.biasDigits !== 4) refuse("A bias has three or four digits.");
  if (!Array.isArray(shape.layers) || !isCount(shape.layers.length, mostLayers))
    refuse(`A model has 1 to ${mostLayers} layers.`);
  shape.layers.forEach((layer, l) => {
    if (layer?.kind !== "dense")
      throw new CountersignError("ZK_OPERATOR_UNSUPPORTED", {
        message: `There is no circuit for the operator ${JSON.stringify(String(layer?.kind))}.`,
      });
    if (!isCount(layer.outputs, widest)) refuse(`A layer has 1 to ${widest} outputs.`);
    const last = l === shape.layers.length - 1;
    if (
      !Array.isArray(layer.shift) ||
      (last ? layer.shift.length !== 0 : ![1, layer.outputs].includes(layer.shift.length))
    )
      refuse("A hidden layer has one shift for all outputs or one each; the last layer has none.");
    for (const s of layer.shift)
      if (!Number.isInteger(s) || s < 8 || s > 15) refuse("A shift is a whole number from 8 to 15.");
  });
}

/** Whether two shapes are the same, field by field. */
export const sameShape = (a: ModelShape, b: ModelShape): boolean =>
  a.inputs === b.inputs &&
  a.biasDigits === b.biasDigits &&
  a.layers.length === b.layers.length &&
  a.layers.every((layer, l) => {
    const other = b.layers[l] as LayerShape;
    return (
      layer.kind === other.kind &&
      layer.outputs === other.outputs &&
      layer.shift.length === other.shift.length &&
      layer.shift.every((s, i) => s === other.shift[i])
    );
  });

/** Refuses weights that do not fit the shape, or whose accumulators could leave 30 bits for some input. @throws ZK_MODEL_INVALID */
export function checkModel(model: QuantModel): void {
  checkShape(model.shape);
  const { shape, layers } = model;
  if (layers.length !== shape.layers.length) refuse("The model has another number of layers than its shape.");
  layers.forEach(({ weights, bias }, l) => {
    const n = inputsOf(shape, l);
    const m = (shape.layers[l] as LayerShape).outputs;
    if (!(weights instanceof Int8Array) || weights.length !== n * m) refuse(`Layer ${l} needs ${n * m} int8 weights.`);
    if (!(bias instanceof Int32Array) || bias.length !== m) refuse(`Layer ${l} needs ${m} int32 biases.`);
    for (let i = 0; i < m; i++) {
      let sum = 0;
      for (let j = i * n; j < i * n + n; j++) sum += Math.abs(weights[j] as number);
      if (128 * sum + Math.abs(bias[i] as number) >= 2 ** 30)
        refuse(`Output ${i} of layer ${l} could leave 30 bits.`, "Some int8 input would overflow the accumulator.");
      digitsOf(bias[i] as number, shape.biasDigits);
    }
  });
}

/** Balanced base-128 digits of a bias, lowest first; all fit into int8. @throws ZK_MODEL_INVALID when the top digit does not */
export function digitsOf(bias: number, count: 3 | 4): readonly number[] {
  const digits: number[] = [];
  let rest = bias;
  for (let d = 0; d < count - 1; d++) {
    const digit = ((rest + 64) & 127) - 64;
    digits.push(digit);
    rest = (rest - digit) / 128;
  }
  if (rest < -128 || rest > 127) refuse(`A bias of ${bias} does not fit into ${count} digits.`);
  return [...digits, rest];
}

/** One hidden output: accumulator and shift to z = h·128 + l, remainder and activation (spec/zkml.md §2). */
export function requantise(acc: number, shift: number): { z: number; h: number; l: number; rem: number; y: number } {
  const u = acc + 2 ** (shift - 1);
  const z = Math.floor(u / 2 ** shift);
  const h = Math.floor(z / 128);
  const l = z - 128 * h;
  return { z, h, l, rem: u - z * 2 ** shift, y: h < 0 ? 0 : h > 0 ? 127 : l };
}

/**
 * Runs the integer network: the one function that node, prover and tests share (spec/zkml.md §2).
 * @throws ZK_INPUT_INVALID on another length, ZK_ACCUMULATOR_RANGE when an accumulator leaves what the circuit can prove
 */
export function run(model: QuantModel, input: Int8Array): Trace {
  const { shape } = model;
  if (!(input instanceof Int8Array) || input.length !== shape.inputs)
    throw new CountersignError("ZK_INPUT_INVALID", { message: `The model takes ${shape.inputs} int8 inputs.` });
  const inputs: Int8Array[] = [input];
  const accumulators: Int32Array[] = [];
  shape.layers.forEach((layer, l) => {
    const acc = multiply(model.layers[l] as LayerWeights, inputs[l] as Int8Array);
    accumulators.push(acc);
    if (l < shape.layers.length - 1) inputs.push(activate(layer, acc));
  });
  return { inputs, accumulators, output: accumulators.at(-1) as Int32Array };
}

function multiply({ weights, bias }: LayerWeights, x: Int8Array): Int32Array {
  const n = x.length;
  const acc = new Int32Array(bias);
  for (let i = 0, p = 0; i < acc.length; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++, p++) sum = (sum + (weights[p] as number) * (x[j] as number)) | 0;
    acc[i] = (acc[i] as number) + sum;
  }
  return acc;
}

function activate(layer: LayerShape, acc: Int32Array): Int8Array {
  const y = new Int8Array(acc.length);
  for (let i = 0; i < acc.length; i++) {
    const shift = shiftOf(layer, i);
    const { h, y: value } = requantise(acc[i] as number, shift);
    if (h < -256 || h > 255)
      throw new CountersignError("ZK_ACCUMULATOR_RANGE", {
        message: `Accumulator ${acc[i]} at shift ${shift} is outside what the circuit can prove.`,
      });
    y[i] = value;
  }
  return y;
}
