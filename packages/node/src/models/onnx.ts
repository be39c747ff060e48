import { concat } from "@countersign/core";
import { bytes, float, int, pickField, readFields } from "./protobuf.ts";
import type { ElementType, NamedTensor, TensorSpec } from "./tensor.ts";

// Field numbers are those of onnx.proto3 (ONNX, IR version 8). Fields are written in one fixed order and nothing
// depends on time, locale or map order: the same weights give the same bytes, so that the digest can be pinned.

const elementTypes: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

/** An attribute of a node: an integer, a float, a list of integers, or a nested graph. */
export type Attribute =
  | { readonly name: string; readonly int: number }
  | { readonly name: string; readonly float: number }
  | { readonly name: string; readonly ints: readonly number[] }
  | { readonly name: string; readonly graph: Uint8Array };

/** One operator of a graph. */
export type OnnxNode = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: readonly Attribute[];
};

/** A graph with its weights. */
export type OnnxGraph = {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly weights: readonly NamedTensor[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
};

function attribute(a: Attribute): Uint8Array {
  if ("int" in a) return concat(bytes(1, a.name), int(3, a.int), int(20, 2));
  if ("float" in a) return concat(bytes(1, a.name), float(2, a.float), int(20, 1));
  if ("ints" in a) return concat(bytes(1, a.name), ...a.ints.map((n) => int(8, n)), int(20, 7));
  return concat(bytes(1, a.name), bytes(6, a.graph), int(20, 5));
}

const node = (n: OnnxNode): Uint8Array =>
  concat(
    ...n.inputs.map((name) => bytes(1, name)),
    ...n.outputs.map((name) => bytes(2, name)),
    bytes(4, n.op),
    ...(n.attributes ?? []).map((a) => bytes(5, attribute(a))),
  );

const weight = (t: NamedTensor): Uint8Array =>
  concat(...t.dims.map((d) => int(1, d)), int(2, elementTypes[t.type]), bytes(8, t.name), bytes(9, t.data));

function valueInfo(spec: TensorSpec): Uint8Array {
  const dims = spec.dims.map((d) => bytes(1, typeof d === "number" ? int(1, d) : bytes(2, d)));
  return concat(bytes(1, spec.name), bytes(2, bytes(1, int(1, elementTypes[spec.type]), bytes(2, ...dims))));
}

const graph = (g: OnnxGraph): Uint8Array =>
  concat(
    ...g.nodes.map((n) => bytes(1, node(n))),
    bytes(2, g.name),
    ...g.weights.map((w) => bytes(5, weight(w))),
    ...g.inputs.map((s) => bytes(11, valueInfo(s))),
    ...g.outputs.map((s) => bytes(12, valueInfo(s))),
  );

/** The bytes of an ONNX model (IR version 8) with one graph in the default operator set. */
export const writeOnnx = (g: OnnxGraph, opset = 17): Uint8Array =>
  concat(int(1, 8), bytes(2, "countersign"), bytes(7, graph(g)), bytes(8, bytes(1, ""), int(2, opset)));

/** What `wrapInScan` needs to know of a recurrent model. */
export type ScanPlan = {
  readonly name: string;
  /** Inner names: recurrent state in and out, one step's input and output. */
  readonly inner: {
    readonly state: string;
    readonly nextState: string;
    readonly step: string;
    readonly result: string;
  };
  /** Outer tensors, in the roles of the inner ones; steps and results have one more leading dimension. */
  readonly outer: {
    readonly state: TensorSpec;
    readonly steps: TensorSpec;
    readonly lastState: TensorSpec;
    readonly results: TensorSpec;
  };
  /** Inner inputs that stay the same at each step; they become outer inputs of the same name. */
  readonly shared: readonly TensorSpec[];
};

/**
 * Wraps a one-step recurrent ONNX model into a model that runs all steps of a sequence (operator Scan).
 *
 * Nodes and weights are carried over byte for byte; only the lists of inputs and outputs are written anew.
 *
 * @throws RangeError when the model lacks a name of the plan.
 */
export function wrapInScan(model: Uint8Array, plan: ScanPlan): Uint8Array {
  const fields = readFields(model);
  const body = readFields(pickField(fields, 7));
  const infos = (number: number): ReadonlyMap<string, Uint8Array> =>
    new Map(
      body
        .filter((f) => f.number === number)
        .map((f) => [new TextDecoder().decode(pickField(readFields(f.value as Uint8Array), 1)), f.raw]),
    );
  const find = (of: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array => {
    const raw = of.get(name);
    if (!raw) throw new RangeError(`The model has no ${name}.`);
    return raw;
  };
  const [inputs, outputs] = [infos(11), infos(12)];
  const step = concat(
    ...body.filter((f) => f.number !== 11 && f.number !== 12).map((f) => f.raw),
    find(inputs, plan.inner.state),
    find(inputs, plan.inner.step),
    find(outputs, plan.inner.nextState),
    find(outputs, plan.inner.result),
  );
  const { state, steps, lastState, results } = plan.outer;
  const whole = graph({
    name: plan.name,
    nodes: [
      {
        op: "Scan",
        inputs: [state.name, steps.name],
        outputs: [lastState.name, results.name],
        attributes: [
          { name: "body", graph: step },
          { name: "num_scan_inputs", int: 1 },
        ],
      },
    ],
    weights: [],
    inputs: [steps, state, ...plan.shared],
    outputs: [results, lastState],
  });
  const kept = fields.filter((f) => f.number === 1 || f.number === 8).map((f) => f.raw);
  return concat(...kept, bytes(2, "countersign"), bytes(7, whole));
}
