import { invalid, malformed, tooLarge, unsupported } from "./fault.ts";
import type { OnnxGraph } from "./graph.ts";
import type { Plan, Step } from "./ir.ts";
import { limits } from "./limits.ts";
import type { Lowered, Value } from "./operands.ts";
import { lowerNode } from "./operators.ts";
import { countOf } from "./tensor.ts";

/** The model's input as sizes, the open first one (the batch) as 1. @throws ZK_MODEL_INVALID */
function inputDims(graph: OnnxGraph): readonly number[] {
  const dims = graph.input.dims.map((dim, i) => {
    if (dim !== undefined) return dim;
    return i === 0
      ? 1
      : invalid(`Dimension ${i} of the input has no fixed size; only the first, the batch, may be open.`);
  });
  const size = countOf(dims, "The input");
  if (size > limits.width) return invalid(`The input has ${size} numbers; ${limits.width} is the most.`);
  return dims;
}

/** Elements that a node's result holds, beyond what its first input held already. */
function sizeOf({ value, steps = [] }: Lowered, from: Value | undefined): number {
  const fresh = value.kind === "constant" && !(from?.kind === "constant" && from.tensor.data === value.tensor.data);
  const own = fresh && value.kind === "constant" ? value.tensor.data.length : 0;
  return steps.reduce((sum, step) => {
    if (step.kind === "dense") return sum + step.weights.length;
    return step.kind === "affine" ? sum + 2 * step.scale.length : sum;
  }, own);
}

/**
 * Brings an ONNX graph into the importer's steps. Constants are computed; each computed value may be used once, since
 * branches need the operators that join them.
 *
 * @throws ZK_OPERATOR_UNSUPPORTED by name, ZK_IMPORT_MALFORMED, ZK_MODEL_INVALID
 */
export function lower(graph: OnnxGraph): Plan {
  const values = new Map<string, Value>();
  for (const [name, tensor] of graph.constants) values.set(name, { kind: "constant", tensor });
  const dims = inputDims(graph);
  values.set(graph.input.name, { kind: "computed", dims });
  const free = new Set([graph.input.name]);
  const steps: Step[] = [];
  let done = false;
  let made = 0;
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => (name === "" ? undefined : values.get(name)));
    const names = node.inputs.filter((name) => values.get(name)?.kind === "computed");
    if (names.length > 1)
      return unsupported(`${node.op} of two computed values`, "Only its form with a constant has a circuit.");
    const attributes = node.attributes();
    const lowered = lowerNode({ node, opset: graph.opset, attributes, input: (i) => inputs[i] });
    attributes.finish();
    made += sizeOf(lowered, inputs[0]);
    if (made > limits.madeElements) return tooLarge("The graph computes too much from its constants.");
    const [from] = names;
    if (from !== undefined && !free.delete(from))
      return unsupported(`${node.op} on a branch`, `The value ${JSON.stringify(from)} is used twice.`);
    for (const step of lowered.steps ?? []) {
      if (done && step.kind !== "after")
        return unsupported(
          `${node.op} after ${(steps.at(-1) as { operator: string }).operator}`,
          "It is proven at the end only.",
        );
      done ||= step.kind === "after";
      steps.push(step);
    }
    const [output = "", ...others] = node.outputs;
    if (output === "") return malformed(`A node ${node.op} has no output.`);
    if (others.some((name) => name !== ""))
      return unsupported(`${node.op} with ${node.outputs.length} outputs`, "Only its first output is read.");
    values.set(output, lowered.value);
    if (lowered.value.kind === "computed") {
      const size = countOf(lowered.value.dims, `The output of ${node.op}`);
      if (size > limits.width) return invalid(`${node.op} gives ${size} numbers; ${limits.width} is the most.`);
      free.add(output);
    }
  }
  return finish(graph, values, free, dims, steps);
}

function finish(
  graph: OnnxGraph,
  values: ReadonlyMap<string, Value>,
  free: ReadonlySet<string>,
  dims: readonly number[],
  steps: readonly Step[],
): Plan {
  const last = values.get(graph.output.name);
  if (last?.kind !== "computed") return invalid("The model's output does not depend on its input.");
  if (last.grid) return invalid("The model ends in QuantizeLinear without DequantizeLinear.");
  if (free.size !== 1 || !free.has(graph.output.name))
    return invalid("The graph computes values that its output does not depend on.");
  const declared = graph.output.dims;
  const asDeclared = declared.length === 0 || declared.length === last.dims.length;
  if (!asDeclared || declared.some((d, i) => d !== undefined && d !== last.dims[i]))
    return malformed(`The output is declared with sizes ${declared}, and has ${last.dims}.`);
  return {
    input: { name: graph.input.name, dims, size: countOf(dims, "The input") },
    output: { name: graph.output.name, size: countOf(last.dims, "The output") },
    opset: graph.opset,
    steps,
  };
}
