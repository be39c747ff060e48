import type { Json, JsonObject } from "../json.ts";
import type { Output } from "../output.ts";
import { followPieces, wrongKind } from "./pieces.ts";
import type { Answer, AnswerHead, Renderer, StreamRendering } from "./rendering.ts";

type Message = Extract<Output, { kind: "message" }>;

/** The one answer of this endpoint. */
function messageOf(answer: Answer): Message {
  const [output] = answer.outputs;
  if (output === undefined || answer.outputs.length !== 1 || output.kind !== "message") {
    throw wrongKind(output ?? { kind: "text", text: "", finish: "" });
  }
  return output;
}

const statusOf = ({ finish }: Message) =>
  finish === "length" || finish === "content_filter" ? "incomplete" : "completed";
const textPart = (text: string) => ({ type: "output_text", text, annotations: [], logprobs: [] });
const messageItem = (id: string, text: string | null, status: string) => ({
  id: `msg_${id}`,
  type: "message",
  status,
  role: "assistant",
  content: text === null ? [] : [textPart(text)],
});
const callItem = (id: string, at: number, call: Message["tool_calls"][number], status: string) => ({
  id: `fc_${id}_${at}`,
  type: "function_call",
  status,
  call_id: call.id,
  name: call.name,
  arguments: call.arguments,
});

/** Parameters that the API repeats in its answer. */
function echoOf(request: JsonObject) {
  const { instructions, temperature, top_p, tools, tool_choice, metadata, max_output_tokens } = request;
  return {
    instructions: instructions ?? null,
    max_output_tokens: max_output_tokens ?? null,
    metadata: metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: temperature ?? null,
    text: request.text ?? { format: { type: "text" } },
    tool_choice: tool_choice ?? "auto",
    tools: tools ?? [],
    top_p: top_p ?? null,
    truncation: "disabled",
  };
}

function frameOf({ id, model, created, request }: AnswerHead): JsonObject {
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: created,
    error: null,
    incomplete_details: null,
    model,
    ...echoOf(request),
  };
}

function wholeOf(head: AnswerHead, answer: Answer): JsonObject {
  const message = messageOf(answer);
  const status = statusOf(message);
  const reason = message.finish === "length" ? "max_output_tokens" : "content_filter";
  const { prompt_tokens, completion_tokens, total_tokens } = answer.result.usage;
  return {
    ...frameOf(head),
    status,
    ...(status === "incomplete" && { incomplete_details: { reason } }),
    output: [
      ...(message.content === null ? [] : [messageItem(head.id, message.content, status)]),
      ...message.tool_calls.map((call, at) => callItem(head.id, at, call, status)),
    ],
    usage: {
      input_tokens: prompt_tokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: completion_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens,
    },
  };
}

function stream(head: AnswerHead): StreamRendering {
  const pieces = followPieces();
  let sequence = 0;
  let texts = false;
  const item_id = `msg_${head.id}`;
  const at = { item_id, output_index: 0, content_index: 0 };
  const event = (type: string, rest: Readonly<Record<string, Json | undefined | object>>) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...rest })}\n\n`;
  const openText = () => {
    if (texts) return "";
    texts = true;
    return (
      event("response.output_item.added", { output_index: 0, item: messageItem(head.id, null, "in_progress") }) +
      event("response.content_part.added", { ...at, part: textPart("") })
    );
  };
  const piece = (delta: string) => openText() + event("response.output_text.delta", { ...at, delta, logprobs: [] });
  const closeText = (text: string, status: string) =>
    event("response.output_text.done", { ...at, text, logprobs: [] }) +
    event("response.content_part.done", { ...at, part: textPart(text) }) +
    event("response.output_item.done", { output_index: 0, item: messageItem(head.id, text, status) });
  const call = (c: Message["tool_calls"][number], i: number, output_index: number, status: string) => {
    const item = callItem(head.id, i, c, status);
    const where = { item_id: item.id, output_index };
    return (
      event("response.output_item.added", { output_index, item: { ...item, arguments: "", status: "in_progress" } }) +
      event("response.function_call_arguments.delta", { ...where, delta: c.arguments }) +
      event("response.function_call_arguments.done", { ...where, name: c.name, arguments: c.arguments }) +
      event("response.output_item.done", { output_index, item })
    );
  };
  return {
    open() {
      const response = { ...frameOf(head), status: "in_progress", output: [], usage: null };
      return event("response.created", { response }) + event("response.in_progress", { response });
    },
    delta({ choice, content }) {
      if (content === undefined || content === "") return "";
      pieces.add(choice, content);
      return piece(content);
    },
    close(answer) {
      const message = messageOf(answer);
      const status = statusOf(message);
      const rest = pieces.rest(0, message.content);
      const text = rest === undefined ? "" : piece(rest);
      const end = message.content === null ? "" : closeText(message.content, status);
      const first = message.content === null ? 0 : 1;
      return text + end + message.tool_calls.map((c, i) => call(c, i, first + i, status)).join("");
    },
    last(answer, extra) {
      const whole = wholeOf(head, answer);
      const response = { ...whole, ...(extra && { countersign: extra }) };
      return event(whole.status === "incomplete" ? "response.incomplete" : "response.completed", { response });
    },
  };
}

/** `/v1/responses`. */
export const responses: Renderer = { json: (head, answer) => JSON.stringify(wholeOf(head, answer)), stream };
