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

type Message = Extract<Output, { kind: "message" }>;

const messageOf = (output: Output): Message => {
  if (output.kind !== "message") throw wrongKind(output);
  return output;
};

const toolCallsOf = (message: Message) =>
  message.tool_calls.map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));

const logprobsOf = (tokens: readonly TokenLogprob[] | undefined) =>
  tokens === undefined || tokens.length === 0
    ? null
    : {
        content: tokens.map(({ token, logprob, bytes, top }) => ({
          token,
          logprob: logprobNumber(logprob),
          bytes,
          top_logprobs: top.map((t) => ({ token: t.token, logprob: logprobNumber(t.logprob), bytes: t.bytes })),
        })),
        refusal: null,
      };

function json({ id, model, created }: AnswerHead, answer: Answer): string {
  return JSON.stringify({
    id: `chatcmpl-${id}`,
    object: "chat.completion",
    created,
    model,
    choices: answer.outputs.map(messageOf).map((message, index) => ({
      index,
      message: {
        role: "assistant",
        content: message.content,
        refusal: null,
        ...(message.tool_calls.length > 0 && { tool_calls: toolCallsOf(message) }),
      },
      logprobs: logprobsOf(answer.logprobs.get(index)),
      finish_reason: message.finish,
    })),
    usage: usageOf(answer.result.usage),
  });
}

function stream({ id, model, created }: AnswerHead): StreamRendering {
  const pieces = followPieces();
  const opened = new Set<number>();
  const frame = { id: `chatcmpl-${id}`, object: "chat.completion.chunk", created, model };
  const chunk = (rest: JsonObject) => `data: ${JSON.stringify({ ...frame, ...rest })}\n\n`;
  const choice = (index: number, delta: JsonObject, logprobs: unknown, finish_reason: string | null) =>
    chunk({ choices: [{ index, delta, logprobs, finish_reason }] } as JsonObject);
  // The role comes alone: with `content: ""` beside it, an answer without text would read as an empty text.
  const role = (index: number) => {
    if (opened.has(index)) return "";
    opened.add(index);
    return choice(index, { role: "assistant" }, null, null);
  };
  return {
    open: () => role(0),
    delta({ choice: index, content, logprobs }) {
      const first = role(index);
      if (content === undefined || content === "") return first;
      pieces.add(index, content);
      return first + choice(index, { content }, logprobsOf(logprobs), null);
    },
    close: (answer) =>
      answer.outputs
        .map(messageOf)
        .map((message, index) => {
          const rest = pieces.rest(index, message.content);
          const calls = toolCallsOf(message).map((call, at) =>
            choice(index, { tool_calls: [{ index: at, ...call }] }, null, null),
          );
          const text = rest === undefined ? "" : choice(index, { content: rest }, null, null);
          return role(index) + text + calls.join("") + choice(index, {}, null, message.finish);
        })
        .join(""),
    last: (answer, extra) =>
      `${chunk({ choices: [], usage: usageOf(answer.result.usage), ...(extra && { countersign: extra }) })}data: [DONE]\n\n`,
  };
}

/** `/v1/chat/completions`. */
export const chat: Renderer = { json, stream };
