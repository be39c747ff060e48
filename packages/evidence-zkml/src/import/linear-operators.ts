import { spread, transpose } from "./constants.ts";
import { malformed, unsupported } from "./fault.ts";
import { computed, constant, type Lowered, type NodeView, product } from "./operands.ts";
import type { Tensor } from "./tensor.ts";

/** A constant operand as a matrix: leading sizes of 1 are left out. */
function matrixOf(tensor: Tensor, op: string): { readonly rows: number; readonly columns: number } {
  const dims = tensor.dims.length < 2 ? tensor.dims : tensor.dims.slice(-2);
  if (product(dims) !== tensor.data.length || dims.length !== 2) return unsupported(`${op} of a stack of matrices`);
  return { rows: dims[0] as number, columns: dims[1] as number };
}

function dense(weights: Float64Array, outputs: number, bias: Float64Array, dims: readonly number[]): Lowered {
  const step = { kind: "dense", inputs: weights.length / outputs, outputs, weights, bias } as const;
  return { value: { kind: "computed", dims }, steps: [step] };
}

const asFloat64 = (data: ArrayLike<number>) => Float64Array.from(data);
const oneRow = (op: string): never =>
  unsupported(`${op} of several rows`, "A batch of fixed size, or a sequence: one row at a time is proven.");

/** MatMul with a constant matrix on either side. */
export function lowerMatMul(view: NodeView): Lowered {
  const { op } = view.node;
  const left = view.input(0)?.kind === "constant";
  const { dims: from } = computed(view, left ? 1 : 0);
  const tensor = constant(view, left ? 0 : 1) ?? malformed("MatMul lacks an operand.");
  const { rows, columns } = matrixOf(tensor, op);
  const lead = new Array<number>(Math.max(from.length, tensor.dims.length, 2) - 2).fill(1);
  if (left) {
    if (from.length > 1 && from.at(-1) !== 1) return oneRow(op);
    if (columns !== product(from) || (from.length > 1 && from.at(-2) !== columns))
      return malformed(`MatMul has operands of sizes ${tensor.dims} and ${from}.`);
    return dense(
      asFloat64(tensor.data),
      rows,
      new Float64Array(rows),
      from.length > 1 ? [...lead, rows, 1] : [...lead, rows],
    );
  }
  if (from.at(-1) !== rows) return malformed(`MatMul has operands of sizes ${from} and ${tensor.dims}.`);
  if (product(from) !== rows) return oneRow(op);
  const out = from.length > 1 ? [...lead, 1, columns] : [...lead, columns];
  return dense(transpose(tensor.data, rows, columns), columns, new Float64Array(columns), out);
}

/** Gemm: alpha · A′ B′ + beta · C with A or B constant. */
export function lowerGemm(view: NodeView): Lowered {
  const { attributes } = view;
  const [alpha, beta] = [attributes.float("alpha", 1), attributes.float("beta", 1)];
  const [transA, transB] = [attributes.int("transA", 0) !== 0, attributes.int("transB", 0) !== 0];
  const left = view.input(0)?.kind === "constant";
  const from = computed(view, left ? 1 : 0).dims;
  const tensor = constant(view, left ? 0 : 1) ?? malformed("Gemm lacks an operand.");
  if (from.length !== 2 || tensor.dims.length !== 2) return malformed("Gemm has an operand that is no matrix.");
  const [rows = 1, columns = 1] = tensor.dims;
  const flip = (turned: boolean): readonly number[] => (turned ? [from[1] as number, from[0] as number] : from);
  const data = flip(left ? transB : transA);
  // The weights are needed as outputs × inputs: A′ as it stands, B′ turned.
  const turned = left ? transA : !transB;
  const [outputs, inputs] = turned ? [columns, rows] : [rows, columns];
  if (data[left ? 0 : 1] !== inputs) return malformed(`Gemm has operands of sizes ${from} and ${tensor.dims}.`);
  if (data[left ? 1 : 0] !== 1) return oneRow("Gemm");
  const weights = turned ? transpose(tensor.data, rows, columns) : asFloat64(tensor.data);
  if (alpha !== 1) for (let i = 0; i < weights.length; i++) weights[i] = alpha * (weights[i] as number);
  const dims = left ? [outputs, 1] : [1, outputs];
  const c = constant(view, 2);
  const bias = c === undefined ? new Float64Array(outputs) : spread(c, dims, "Gemm").map((x) => beta * x);
  return dense(weights, outputs, bias, dims);
}
