import { malformed, unsupported } from "./fault.ts";
import type { Attributes, OnnxNode } from "./graph.ts";
import type { Grid, Step } from "./ir.ts";
import type { Tensor } from "./tensor.ts";

/** A value of the graph while it is lowered: a constant, or the one thing that is computed, with its sizes. */
export type Value =
  | { readonly kind: "constant"; readonly tensor: Tensor }
  | {
      readonly kind: "computed";
      readonly dims: readonly number[];
      /** Set between QuantizeLinear and DequantizeLinear. */
      readonly grid?: Grid & { readonly zero: number; readonly type: Tensor["type"] };
    };

/** What one node makes: its value, and the steps that lead there from its computed input. */
export type Lowered = { readonly value: Value; readonly steps?: readonly Step[] };

/** What `lowerNode` sees of a node. */
export type NodeView = {
  readonly node: OnnxNode;
  readonly opset: number;
  readonly attributes: Attributes;
  /** The value of input `i`, or undefined when it is left out. */
  readonly input: (i: number) => Value | undefined;
};

type Computed = Extract<Value, { kind: "computed" }>;
/** Number of elements. */
export const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

/** The computed input 0, which is no raw integer of QuantizeLinear. */
export function computed({ node, input }: NodeView, i = 0): Computed {
  const value = input(i);
  if (value === undefined) return malformed(`${node.op} lacks input ${i}.`);
  if (value.kind === "constant")
    return unsupported(`${node.op} of constants`, "Constants are not computed by it here.");
  if (value.grid) return unsupported(`${node.op} on quantised integers`, "DequantizeLinear must stand before it.");
  return value;
}

/** The constant input `i`, or undefined when it is left out. */
export function constant({ node, input }: NodeView, i: number): Tensor | undefined {
  const value = input(i);
  if (value === undefined || value.kind === "constant") return value?.tensor;
  return unsupported(`${node.op} with a computed input ${i}`, "Only its form with a constant has a circuit.");
}

/** A constant that must be there. @throws ZK_IMPORT_MALFORMED */
export const need = (tensor: Tensor | undefined, view: NodeView, i: number): Tensor =>
  tensor ?? malformed(`${view.node.op} lacks input ${i}.`);

/** The one number of a constant. @throws ZK_IMPORT_MALFORMED */
export function scalar(tensor: Tensor, op: string): number {
  if (tensor.data.length !== 1) return malformed(`${op} has a limit of ${tensor.data.length} numbers.`);
  return tensor.data[0] as number;
}
