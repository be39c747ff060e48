import { fromBase64 } from "../bytes.ts";
import { CountersignError } from "../errors/error.ts";
import type { Output } from "../output.ts";
import { wrongKind } from "./pieces.ts";
import type { Answer, AnswerHead, Renderer } from "./rendering.ts";

const dataOf = (output: Output): string => {
  if (output.kind !== "embedding") throw wrongKind(output);
  return output.data;
};

/**
 * A float as a JSON number that reads back as the same float: minus zero keeps its sign, and whole numbers past 2^53 are
 * written with an exponent, because a strict reader refuses such integers.
 */
function numberText(value: number): string {
  if (!Number.isFinite(value)) {
    throw new CountersignError("TENSOR_NOT_FINITE", {
      message: "The embedding holds NaN or an infinity, which JSON numbers cannot say.",
      remedy: 'Ask with encoding_format "base64".',
    });
  }
  if (Object.is(value, -0)) return "-0";
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);
}

function floatsText(base64: string): string {
  const bytes = fromBase64(base64);
  if (bytes.length % 4 !== 0) {
    throw new CountersignError("UPSTREAM_MALFORMED", { message: "The node's embedding is no list of 32-bit floats." });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = Array.from({ length: bytes.length / 4 }, (_, i) => numberText(view.getFloat32(4 * i, true)));
  return `[${numbers.join(",")}]`;
}

function json({ model, request }: AnswerHead, answer: Answer): string {
  const base64 = request.encoding_format === "base64";
  const data = answer.outputs
    .map(dataOf)
    .map((text, index) => {
      const embedding = base64 ? JSON.stringify(text) : floatsText(text);
      return `{"object":"embedding","index":${index},"embedding":${embedding}}`;
    })
    .join(",");
  const { prompt_tokens, total_tokens } = answer.result.usage;
  const usage = JSON.stringify({ prompt_tokens, total_tokens });
  return `{"object":"list","data":[${data}],"model":${JSON.stringify(model)},"usage":${usage}}`;
}

/** `/v1/embeddings`: floats, or base64 of little-endian float32, which OpenAI's client asks for. */
export const embeddings: Renderer = { json };
