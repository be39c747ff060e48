import { wrongKind } from "./pieces.ts";
import type { Answer, AnswerHead, Renderer } from "./rendering.ts";

function json({ id, model, created }: AnswerHead, answer: Answer): string {
  const tensors = answer.outputs.map((output) => {
    if (output.kind !== "tensor") throw wrongKind(output);
    const { name, type, dims, data } = output;
    return [name, { type, dims, base64: data }] as const;
  });
  return JSON.stringify({
    id: `infer-${id}`,
    object: "inference",
    created,
    model,
    outputs: Object.fromEntries(tensors),
  });
}

/** `/v1/infer`: named tensors. */
export const infer: Renderer = { json };
