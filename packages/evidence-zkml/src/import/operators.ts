import { axisOf, broadcast, dequantise, permute, quantise, rangeOf, reshape, spread } from "./constants.ts";
import { invalid, malformed, unsupported } from "./fault.ts";
import type { Step } from "./ir.ts";
import { lowerGemm, lowerMatMul } from "./linear-operators.ts";
import { computed, constant, type Lowered, type NodeView, need, product, scalar } from "./operands.ts";
import { countOf, type Tensor } from "./tensor.ts";

/** The sizes that Reshape asks for, with 0 copied and −1 filled in. */
function targetOf(view: NodeView, from: readonly number[]): readonly number[] {
  const wanted = need(constant(view, 1), view, 1);
  if (wanted.type !== "int64" || wanted.dims.length !== 1)
    return malformed("Reshape has a shape that is no list of int64.");
  const allowZero = view.attributes.int("allowzero", 0) !== 0;
  const dims = Array.from(wanted.data, (d, i) => (d === 0 && !allowZero ? (from[i] ?? 0) : d));
  const open = dims.indexOf(-1);
  if (open >= 0) dims[open] = product(from) / product(dims.filter((_, i) => i !== open));
  if (countOf(dims, "The shape of Reshape") !== product(from)) return malformed(`Reshape takes ${from} to ${dims}.`);
  return dims;
}

function squeezed(view: NodeView, from: readonly number[], add: boolean): readonly number[] {
  const { op } = view.node;
  const axes = constant(view, 1);
  if (axes === undefined) return add ? malformed("Unsqueeze lacks its axes.") : from.filter((d) => d !== 1);
  const rank = from.length + (add ? axes.data.length : 0);
  const at = new Set(Array.from(axes.data, (axis) => axisOf(axis, rank, op)));
  if (at.size !== axes.data.length) return malformed(`${op} names an axis twice.`);
  if (add) {
    const rest = [...from];
    return Array.from({ length: rank }, (_, i) => (at.has(i) ? 1 : (rest.shift() as number)));
  }
  for (const i of at) if (from[i] !== 1) return malformed(`Squeeze takes away an axis of size ${from[i]}.`);
  return from.filter((_, i) => !at.has(i));
}

function flattened({ attributes }: NodeView, from: readonly number[]): readonly number[] {
  const axis = attributes.int("axis", 1);
  const at = axis < 0 ? axis + from.length : axis;
  if (at < 0 || at > from.length) return malformed(`Flatten names axis ${axis}.`);
  return [product(from.slice(0, at)), product(from.slice(at))];
}

/** Operators that only change sizes, for constants and computed values alike. */
function lowerShape(view: NodeView, dimsOf: (from: readonly number[]) => readonly number[]): Lowered {
  const value = view.input(0);
  if (value === undefined) return malformed(`${view.node.op} lacks its input.`);
  if (value.kind === "constant")
    return { value: { kind: "constant", tensor: reshape(value.tensor, dimsOf(value.tensor.dims)) } };
  return { value: { ...value, dims: dimsOf(value.dims) } };
}

function lowerTranspose(view: NodeView): Lowered {
  const value = view.input(0);
  const perm = view.attributes.ints("perm");
  if (value?.kind === "constant") return { value: { kind: "constant", tensor: permute(value.tensor, perm) } };
  const { dims } = computed(view);
  // With one dimension that is not 1 nothing moves.
  if (dims.filter((d) => d !== 1).length > 1) return unsupported("Transpose of computed values");
  const moved = permute({ type: "float32", dims, data: new Float32Array(product(dims)) }, perm);
  return { value: { kind: "computed", dims: moved.dims } };
}

function lowerConstant({ node, attributes }: NodeView): Lowered {
  const tensor = attributes.tensor("value");
  if (tensor === undefined) return unsupported(node.op, "Only its form with a tensor is read.");
  return { value: { kind: "constant", tensor } };
}

/** Add, Sub, Mul and Div with a constant, element by element. */
function lowerArithmetic(view: NodeView): Lowered {
  const { op } = view.node;
  const left = view.input(0)?.kind === "constant";
  const from = computed(view, left ? 1 : 0);
  const other = need(constant(view, left ? 0 : 1), view, left ? 0 : 1);
  const dims = broadcast(from.dims, other.dims, op);
  if (product(dims) !== product(from.dims)) return unsupported(`${op} that repeats computed values`);
  const c = spread(other, dims, op);
  const one = () => new Float64Array(c.length).fill(1);
  const zero = () => new Float64Array(c.length);
  const value = { kind: "computed", dims } as const;
  const affine = (scale: Float64Array, offset: Float64Array): Lowered => ({
    value,
    steps: [{ kind: "affine", scale, offset }],
  });
  if (op === "Add") return affine(one(), c);
  if (op === "Sub")
    return left
      ? affine(one().fill(-1), c)
      : affine(
          one(),
          c.map((x) => -x),
        );
  if (op === "Mul") return affine(c, zero());
  if (left) return unsupported("Div by computed values");
  if (c.includes(0)) return invalid("Div has a divisor of 0.");
  return affine(
    c.map((x) => 1 / x),
    zero(),
  );
}

function lowerNormalization(view: NodeView): Lowered {
  const { dims } = computed(view);
  const channels = dims[1] ?? malformed("BatchNormalization has an input of rank 1.");
  if (view.attributes.int("training_mode", 0) !== 0) return unsupported("BatchNormalization in training");
  const epsilon = view.attributes.float("epsilon", 1e-5);
  view.attributes.float("momentum", 0.9);
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => {
    const tensor = need(constant(view, i), view, i);
    const fits = tensor.dims.length === 1 && tensor.dims[0] === channels;
    return fits ? tensor.data : malformed(`BatchNormalization has ${tensor.dims} parameters for ${channels} channels.`);
  }) as [Tensor["data"], Tensor["data"], Tensor["data"], Tensor["data"]];
  for (const v of variance) if (!(v + epsilon > 0)) return invalid(`BatchNormalization has a variance of ${v}.`);
  const inner = product(dims.slice(2));
  const channel = (i: number) => Math.floor(i / inner) % channels;
  const scale = Float64Array.from({ length: product(dims) }, (_, i) => {
    const c = channel(i);
    return (gamma[c] as number) / Math.sqrt((variance[c] as number) + epsilon);
  });
  const offset = scale.map((s, i) => (beta[channel(i)] as number) - s * (mean[channel(i)] as number));
  return { value: { kind: "computed", dims }, steps: [{ kind: "affine", scale, offset }] };
}

function lowerClip(view: NodeView): Lowered {
  const { dims } = computed(view);
  const [low, high] = [constant(view, 1), constant(view, 2)];
  const ceiling = high === undefined ? Number.POSITIVE_INFINITY : scalar(high, "Clip");
  if (low === undefined || scalar(low, "Clip") !== 0 || !(ceiling > 0))
    return unsupported("Clip other than from 0 to a positive limit");
  return { value: { kind: "computed", dims }, steps: [{ kind: "rectify", ceiling }] };
}

function lowerQuantize(view: NodeView): Lowered {
  const [scale, zero] = [need(constant(view, 1), view, 1), constant(view, 2)];
  const axis = view.attributes.int("axis", 1);
  if (
    view.attributes.int("saturate", 1) !== 1 ||
    view.attributes.int("block_size", 0) !== 0 ||
    view.attributes.int("output_dtype", 0) !== 0
  )
    return unsupported("QuantizeLinear with blocks or another output type");
  const value = view.input(0);
  if (value?.kind === "constant")
    return { value: { kind: "constant", tensor: quantise(value.tensor, scale, zero, axis) } };
  const from = computed(view);
  if (scale.data.length !== 1) return unsupported("QuantizeLinear of computed values with several scales");
  const type = zero?.type ?? "uint8";
  const [low, high] = rangeOf(type, "QuantizeLinear");
  const [s, z] = [scalar(scale, "QuantizeLinear"), zero ? scalar(zero, "QuantizeLinear") : 0];
  if (!(s > 0)) return malformed(`QuantizeLinear has a scale of ${s}.`);
  return { value: { ...from, grid: { kind: "grid", scale: s, low: low - z, high: high - z, zero: z, type } } };
}

function lowerDequantize(view: NodeView): Lowered {
  const [scale, zero] = [need(constant(view, 1), view, 1), constant(view, 2)];
  const axis = view.attributes.int("axis", 1);
  if (view.attributes.int("block_size", 0) !== 0 || view.attributes.int("output_dtype", 0) !== 0)
    return unsupported("DequantizeLinear with blocks or another output type");
  const value = view.input(0);
  if (value?.kind === "constant")
    return { value: { kind: "constant", tensor: dequantise(value.tensor, scale, zero, axis) } };
  const grid = value?.grid;
  if (value === undefined || grid === undefined) return malformed("DequantizeLinear of what was not quantised.");
  const same = scale.data.length === 1 && scale.data[0] === grid.scale && (zero ? zero.data.length === 1 : true);
  if (!same || (zero?.data[0] ?? 0) !== grid.zero || (zero?.type ?? "uint8") !== grid.type)
    return unsupported("DequantizeLinear with other scales than its QuantizeLinear");
  const { scale: s, low, high } = grid;
  return { value: { kind: "computed", dims: value.dims }, steps: [{ kind: "grid", scale: s, low, high }] };
}

function lowerAfter(view: NodeView, operator: "Softmax" | "LogSoftmax" | "Sigmoid" | "ArgMax"): Lowered {
  const { dims } = computed(view);
  const after: readonly Step[] = [{ kind: "after", operator }];
  if (operator === "Sigmoid") return { value: { kind: "computed", dims }, steps: after };
  const axis = axisOf(view.attributes.int("axis", operator === "ArgMax" ? 0 : -1), dims.length, operator);
  if (dims[axis] !== product(dims)) return unsupported(`${operator} over part of the outputs`);
  if (operator !== "ArgMax") return { value: { kind: "computed", dims }, steps: after };
  const keep = view.attributes.int("keepdims", 1) !== 0;
  if (view.attributes.int("select_last_index", 0) !== 0) return unsupported("ArgMax of the last of equals");
  const left = keep ? dims.map((d, i) => (i === axis ? 1 : d)) : dims.filter((_, i) => i !== axis);
  return { value: { kind: "computed", dims: left }, steps: after };
}

function lowerDropout(view: NodeView): Lowered {
  const { dims } = computed(view);
  const training = constant(view, 2);
  constant(view, 1);
  view.attributes.int("seed", 0);
  if (training && training.data[0] !== 0) return unsupported("Dropout in training");
  return { value: { kind: "computed", dims } };
}

const table: Readonly<Record<string, (view: NodeView) => Lowered>> = {
  Add: lowerArithmetic,
  ArgMax: (v) => lowerAfter(v, "ArgMax"),
  BatchNormalization: lowerNormalization,
  Clip: lowerClip,
  Constant: lowerConstant,
  DequantizeLinear: lowerDequantize,
  Div: lowerArithmetic,
  Dropout: lowerDropout,
  Flatten: (v) => lowerShape(v, (from) => flattened(v, from)),
  Gemm: lowerGemm,
  Identity: (v) => lowerShape(v, (from) => from),
  LogSoftmax: (v) => lowerAfter(v, "LogSoftmax"),
  MatMul: lowerMatMul,
  Mul: lowerArithmetic,
  QuantizeLinear: lowerQuantize,
  Relu: (v) => ({
    value: { kind: "computed", dims: computed(v).dims },
    steps: [{ kind: "rectify", ceiling: Number.POSITIVE_INFINITY }],
  }),
  Reshape: (v) => lowerShape(v, (from) => targetOf(v, from)),
  Sigmoid: (v) => lowerAfter(v, "Sigmoid"),
  Softmax: (v) => lowerAfter(v, "Softmax"),
  Squeeze: (v) => lowerShape(v, (from) => squeezed(v, from, false)),
  Sub: lowerArithmetic,
  Transpose: lowerTranspose,
  Unsqueeze: (v) => lowerShape(v, (from) => squeezed(v, from, true)),
};

/** Operators that an import reads; the last four only where the graph ends. */
export const operators: readonly string[] = Object.keys(table);

/** Lowers one node. @throws ZK_OPERATOR_UNSUPPORTED naming an operator that is not in the table */
export function lowerNode(view: NodeView): Lowered {
  const { op } = view.node;
  const known = Object.hasOwn(table, op) ? table[op] : undefined;
  return known ? known(view) : unsupported(op);
}
