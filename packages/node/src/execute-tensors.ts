import { type JsonObject, type Output, outputBytes, type ProfileLeaf, toBase64 } from "@countersign/core";
import type { Engines } from "./engines/engines.ts";
import type { OnnxCall, OnnxEvent, OnnxInfo } from "./engines/onnx-worker.ts";
import type { Execute, Execution } from "./execution.ts";
import { fitTensors, type NamedTensor, type NamedTensors } from "./models/tensor.ts";
import type { OnnxSpec } from "./served.ts";

/** A tensor as it is committed, among the inputs and among the outputs. */
export const tensorOutput = ({ name, type, dims, data }: NamedTensor): Output => ({
  kind: "tensor",
  name,
  type,
  dims,
  data: toBase64(data),
});

/** The profile of an ONNX run. */
export const onnxProfile = (info: OnnxInfo, spec: OnnxSpec): ProfileLeaf => ({
  engine: "onnxruntime",
  version: info.version,
  library: info.library,
  device: info.device,
  dtype: spec.dtype,
  settings: {
    graph: spec.graph,
    intraOpThreads: "1",
    interOpThreads: "1",
    memoryArena: "false",
    memoryPattern: "false",
  },
  sampler: { kind: "none" },
  seeds: [],
});

/** Runs a model on tensors. @throws TENSOR_MALFORMED, TENSOR_SHAPE_MISMATCH and the other tensor errors */
async function runTensors(spec: OnnxSpec, given: NamedTensors, engines: Engines, signal: AbortSignal) {
  fitTensors(given, spec.inputs);
  const inputs = [...given].sort((a, b) => (a.name < b.name ? -1 : 1));
  const began = performance.now();
  let event: OnnxEvent | undefined;
  const call: OnnxCall = { path: spec.path, sha256: spec.sha256, graph: spec.graph, inputs };
  const info = await engines.runTensors(
    call,
    (e) => {
      event = e;
    },
    signal,
  );
  const { outputs, loading, running } = event as OnnxEvent;
  const spent = Math.round(performance.now() - began);
  return {
    inputs,
    outputs,
    timings: { queued: Math.max(0, spent - running), prompt: 0, generation: running },
    loading,
    profile: onnxProfile(info, spec),
  };
}

const noUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

/** Named tensors in, named tensors out. */
export async function* executeTensors(
  spec: OnnxSpec,
  inputs: NamedTensors,
  engines: Engines,
  signal: AbortSignal,
): Execute {
  const run = await runTensors(spec, inputs, engines, signal);
  return {
    ...common(run),
    outputs: run.outputs.map((t) => ({ output: tensorOutput(t) })),
    result: { usage: noUsage, finish: [], timings: run.timings },
  };
}

/** Texts to vectors through a model's own pre-processing. */
export async function* executeEmbedding(
  spec: OnnxSpec,
  task: NonNullable<OnnxSpec["task"]>,
  texts: readonly string[],
  engines: Engines,
  signal: AbortSignal,
): Execute {
  const body = { input: texts };
  const run = await runTensors(spec, await task.encode(body), engines, signal);
  const { embeddings, words } = (await task.decode(run.outputs, body)) as JsonObject;
  const prompt_tokens = typeof words === "number" ? words : 0;
  return {
    ...common(run),
    outputs: (embeddings as readonly string[]).map((data) => ({ output: { kind: "embedding", data } })),
    result: {
      usage: { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens },
      finish: [],
      timings: run.timings,
    },
  };
}

const common = (run: Awaited<ReturnType<typeof runTensors>>): Omit<Execution, "outputs" | "result"> => ({
  forwarded: undefined,
  modelInput: run.inputs.map((t) => outputBytes(tensorOutput(t))),
  defaults: {},
  profile: run.profile,
  rewrites: [],
  served: null,
  substitutedFrom: null,
});
