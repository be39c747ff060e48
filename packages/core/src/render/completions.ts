import type { JsonObject } from "../json.ts";
import type { Output } from "../output.ts";
import type { TokenLogprob } from "../run.ts";
import { followPieces, wrongKind } from "./pieces.ts";
import {
  type Answer,
  type AnswerHead,
  logprobNumber,
  type Renderer,
  type StreamRendering,
  usageOf,
} from "./rendering.ts";

type Text = Extract<Output, { kind: "text" }>;

const textOf = (output: Output): Text => {
  if (output.kind !== "text") throw wrongKind(output);
  return output;
};

/** The older form of log probabilities: lists side by side. */
function logprobsOf(tokens: readonly TokenLogprob[] | undefined) {
  if (tokens === undefined || tokens.length === 0) return null;
  let at = 0;
  return {
    tokens: tokens.map((t) => t.token),
    token_logprobs: tokens.map((t) => logprobNumber(t.logprob)),
    top_logprobs: tokens.map((t) => Object.fromEntries(t.top.map((o) => [o.token, logprobNumber(o.logprob)]))),
    text_offset: tokens.map((t) => {
      const offset = at;
      at += t.token.length;
      return offset;
    }),
  };
}

function json({ id, model, created }: AnswerHead, answer: Answer): string {
  return JSON.stringify({
    id: `cmpl-${id}`,
    object: "text_completion",
    created,
    model,
    choices: answer.outputs.map(textOf).map(({ text, finish }, index) => ({
      index,
      text,
      logprobs: logprobsOf(answer.logprobs.get(index)),
      finish_reason: finish,
    })),
    usage: usageOf(answer.result.usage),
  });
}

function stream({ id, model, created }: AnswerHead): StreamRendering {
  const pieces = followPieces();
  const frame = { id: `cmpl-${id}`, object: "text_completion", created, model };
  const chunk = (rest: JsonObject) => `data: ${JSON.stringify({ ...frame, ...rest })}\n\n`;
  const choice = (index: number, text: string, logprobs: unknown, finish_reason: string | null) =>
    chunk({ choices: [{ index, text, logprobs, finish_reason }] } as JsonObject);
  return {
    open: () => "",
    delta({ choice: index, content, logprobs }) {
      if (content === undefined || content === "") return "";
      pieces.add(index, content);
      return choice(index, content, logprobsOf(logprobs), null);
    },
    close: (answer) =>
      answer.outputs
        .map(textOf)
        .map(({ text, finish }, index) => choice(index, pieces.rest(index, text) ?? "", null, finish))
        .join(""),
    last: (answer, extra) =>
      `${chunk({ choices: [], usage: usageOf(answer.result.usage), ...(extra && { countersign: extra }) })}data: [DONE]\n\n`,
  };
}

/** `/v1/completions`. */
export const completions: Renderer = { json, stream };
