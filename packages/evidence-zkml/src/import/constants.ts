import { malformed, tooLarge } from "./fault.ts";
import { limits } from "./limits.ts";
import { clamp, roundHalfEven } from "./rounding.ts";
import { countOf, type Tensor } from "./tensor.ts";

/** A constant with other sizes and the same elements. */
export const reshape = (tensor: Tensor, dims: readonly number[]): Tensor => ({ ...tensor, dims });

/** An axis counted from the front. @throws ZK_IMPORT_MALFORMED */
export function axisOf(axis: number, rank: number, op: string): number {
  const at = axis < 0 ? axis + rank : axis;
  return at >= 0 && at < Math.max(rank, 1) ? at : malformed(`${op} names axis ${axis} of a tensor of rank ${rank}.`);
}

/** Sizes of both operands together, as in numpy. @throws ZK_IMPORT_MALFORMED */
export function broadcast(a: readonly number[], b: readonly number[], op: string): readonly number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [m, n] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return m === n || n === 1 ? m : m === 1 ? n : malformed(`${op} has operands of sizes ${a} and ${b}.`);
  });
}

/** The numbers of a constant spread to `dims`, which it must fit (numpy's rules). @throws ZK_IMPORT_MALFORMED */
export function spread(tensor: Tensor, dims: readonly number[], op: string): Float64Array {
  const count = countOf(dims, `An operand of ${op}`);
  const rank = dims.length;
  const lead = tensor.dims.length - rank;
  for (let i = 0; i < lead; i++)
    if (tensor.dims[i] !== 1) return malformed(`${op} has an operand of sizes ${tensor.dims}.`);
  const steps: number[] = [];
  for (let i = rank - 1, step = 1; i >= 0; i--) {
    const size = tensor.dims[i + lead] ?? 1;
    if (size !== 1 && size !== dims[i]) return malformed(`${op} has an operand of sizes ${tensor.dims}, not ${dims}.`);
    steps[i] = size === 1 ? 0 : step;
    step *= size;
  }
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let at = 0;
    for (let d = rank - 1, rest = i; d >= 0; d--) {
      const size = dims[d] as number;
      at += (rest % size) * (steps[d] as number);
      rest = Math.floor(rest / size);
    }
    out[i] = tensor.data[at] as number;
  }
  return out;
}

/** Rows and columns changed round. */
export function transpose(data: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j] as number;
  return out;
}

/** Smallest and largest integer of the types that QuantizeLinear gives. @throws ZK_IMPORT_MALFORMED for others */
export function rangeOf(type: Tensor["type"], op: string): readonly [number, number] {
  if (type === "uint8") return [0, 255];
  if (type === "int8") return [-128, 127];
  return malformed(`${op} works on ${type}.`);
}

/** Scale and zero point for each element of a constant: one for all, or one for each index of `axis`. */
function gridOf(tensor: Tensor, scale: Tensor, zero: Tensor | undefined, axis: number, op: string) {
  const { dims } = tensor;
  const single = scale.data.length === 1;
  const at = single ? 0 : axisOf(axis, dims.length, op);
  if (!single && (scale.dims.length !== 1 || scale.data.length !== dims[at]))
    return malformed(`${op} has ${scale.data.length} scales for ${dims[at]} slices.`, "Blocks are not read.");
  if (zero && zero.data.length !== scale.data.length)
    return malformed(`${op} has another number of zero points than scales.`);
  for (const s of scale.data) if (!(s > 0)) return malformed(`${op} has a scale of ${s}.`);
  const inner = dims.slice(at + 1).reduce((a, b) => a * b, 1);
  const slice = (i: number) => (single ? 0 : Math.floor(i / inner) % (dims[at] as number));
  return {
    scale: (i: number) => scale.data[slice(i)] as number,
    zero: (i: number) => (zero ? (zero.data[slice(i)] as number) : 0),
  };
}

/** DequantizeLinear of a constant: (q − zero) · scale in float32. @throws ZK_IMPORT_MALFORMED */
export function dequantise(tensor: Tensor, scale: Tensor, zero: Tensor | undefined, axis: number): Tensor {
  const op = "DequantizeLinear";
  // Biases are int32; they come with constants only.
  if (tensor.type !== "int32") rangeOf(tensor.type, op);
  if (zero && zero.type !== tensor.type) return malformed(`${op} has a zero point of another type.`);
  const grid = gridOf(tensor, scale, zero, axis, op);
  const data = Float32Array.from(tensor.data, (q, i) => (q - grid.zero(i)) * grid.scale(i));
  return { type: "float32", dims: tensor.dims, data };
}

/** QuantizeLinear of a constant. @throws ZK_IMPORT_MALFORMED */
export function quantise(tensor: Tensor, scale: Tensor, zero: Tensor | undefined, axis: number): Tensor {
  const op = "QuantizeLinear";
  const type = zero?.type ?? "uint8";
  const [low, high] = rangeOf(type, op);
  const grid = gridOf(tensor, scale, zero, axis, op);
  const data = Float64Array.from(tensor.data, (x, i) =>
    clamp(roundHalfEven(Math.fround(x / grid.scale(i))) + grid.zero(i), low, high),
  );
  return { type, dims: tensor.dims, data };
}

/** Transpose of a constant. @throws ZK_IMPORT_MALFORMED */
export function permute(tensor: Tensor, perm: readonly number[] | undefined): Tensor {
  const rank = tensor.dims.length;
  const order = perm ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (order.length !== rank || new Set(order).size !== rank || order.some((p) => p < 0 || p >= rank))
    return malformed(`Transpose has the order ${order} for a tensor of rank ${rank}.`);
  if (rank > 2 && tensor.data.length > limits.width)
    return tooLarge("A constant that is transposed has too many elements.");
  const dims = order.map((p) => tensor.dims[p] as number);
  if (rank < 2) return tensor;
  if (rank === 2) {
    const [rows = 1, columns = 1] = tensor.dims;
    return order[0] === 0 ? tensor : { ...tensor, dims, data: transpose(tensor.data, rows, columns) };
  }
  const steps = tensor.dims.map((_, i) => tensor.dims.slice(i + 1).reduce((a, b) => a * b, 1));
  const data = Float64Array.from(tensor.data, (_, i) => {
    let at = 0;
    for (let d = rank - 1, rest = i; d >= 0; d--) {
      const size = dims[d] as number;
      at += (rest % size) * (steps[order[d] as number] as number);
      rest = Math.floor(rest / size);
    }
    return tensor.data[at] as number;
  });
  return { ...tensor, dims, data };
}
