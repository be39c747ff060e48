import type { Json } from "@countersign/core";
import { findOnnxModel, type NamedTensors } from "@countersign/node";
import type { Answer, CallOptions, Client, Tensor } from "@countersign/sdk";

/** What a model said about an input, checked, and in the words of its friendly task where it has one. */
export type Inferred = Answer & { readonly outputs: Readonly<Record<string, Tensor>>; readonly said: Json | undefined };

const asInput = (tensors: NamedTensors) =>
  Object.fromEntries(tensors.map(({ name, type, dims, data }) => [name, { type, dims, data }]));

/** Runs a model on tensors and reads its outputs back as its friendly task would. */
export async function inferTensors(
  client: Client,
  model: string,
  tensors: NamedTensors,
  body: unknown,
  options: CallOptions,
): Promise<Inferred> {
  const answer = await client.infer(model, asInput(tensors), options);
  const task = findOnnxModel(model)?.task;
  const named = Object.entries(answer.outputs).map(([name, t]) => ({
    name,
    type: t.type,
    dims: t.dims,
    data: t.bytes,
  })) as NamedTensors;
  return { ...answer, said: task && body !== undefined ? await task.decode(named, body) : undefined };
}
