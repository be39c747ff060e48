import { CountersignError, type ParsedRequest } from "@countersign/core";
import { fitTensors } from "./models/tensor.ts";
import type { LlamaSpec, OnnxSpec, Served } from "./served.ts";
import { readChat } from "./tasks/chat.ts";
import { readCompletion } from "./tasks/completion.ts";
import { readResponses } from "./tasks/responses.ts";
import type { TextTask } from "./tasks/text-task.ts";
import { readEmbedding, readTensorTask, type TensorTask } from "./tasks/vectors.ts";

/** A request in the terms of the engine that will run it. */
export type Task =
  | { readonly kind: "text"; readonly task: TextTask; readonly engine: LlamaSpec }
  | { readonly kind: "tensors"; readonly inputs: TensorTask["inputs"]; readonly engine: OnnxSpec }
  | {
      readonly kind: "embedding";
      readonly texts: readonly string[];
      readonly engine: OnnxSpec;
      readonly task: NonNullable<OnnxSpec["task"]>;
    };

const readers = {
  "/v1/chat/completions": readChat,
  "/v1/completions": readCompletion,
  "/v1/responses": readResponses,
} as const;

/**
 * Reads a request for the engine of a deployment; nothing runs. The run and the check before a payment read with this one
 * function, so what is refused by one is refused by the other.
 *
 * @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID, MODEL_TASK_MISMATCH, CONTEXT_TOO_LONG and the tensor errors
 */
export function readTask(request: ParsedRequest, { engine, deployment }: Pick<Served, "engine" | "deployment">): Task {
  const { path } = request;
  if (engine.kind === "upstream") throw mismatch(path);
  if (engine.kind === "onnx") {
    if (path === "/v1/infer") {
      const { inputs } = readTensorTask(request);
      fitTensors(inputs, engine.inputs);
      return { kind: "tensors", inputs, engine };
    }
    const { inputs } = readEmbedding(request);
    const { task } = engine;
    if (path !== "/v1/embeddings" || task?.path !== "/v1/embeddings") throw mismatch(path);
    return { kind: "embedding", texts: inputs.map(textOf), engine, task };
  }
  if (path === "/v1/embeddings" || path === "/v1/infer") throw mismatch(path);
  const task = readers[path](request, { maxOutput: deployment.limits.maxOutput ?? 1 });
  // Of a text only the tokenizer knows the length; token ids are counted already.
  if (task.input.kind === "tokens" && task.input.tokens.length >= engine.context) {
    throw new CountersignError("CONTEXT_TOO_LONG", {
      message: `The input has ${task.input.tokens.length} tokens; the model's context holds ${engine.context}.`,
      param: "prompt",
    });
  }
  return { kind: "text", task, engine };
}

function textOf(input: string | readonly number[]): string {
  if (typeof input === "string") return input;
  throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
    message: "This model has no token ids; send texts.",
    param: "input",
  });
}

const mismatch = (path: string) =>
  new CountersignError("MODEL_TASK_MISMATCH", { message: `This model does not serve ${path}.`, param: "model" });
