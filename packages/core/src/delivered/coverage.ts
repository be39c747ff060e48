import { CountersignError } from "../errors/error.ts";
import { isObject, type Json, type JsonObject } from "../json.ts";
import type { EndpointPath } from "../request.ts";

/*
 * The receipt commits to text, tool calls and finish reasons. Clients read more than that: reasoning, refusals, the old
 * function_call, audio. What is not committed could say anything beside a committed answer (silent failures S3), so an
 * answer that has it is refused.
 */

const uncovered = (where: string): never => {
  throw new CountersignError("OUTPUT_MISMATCH", {
    message: `The answer has ${where}, which its receipt does not cover.`,
    why: "Clients would read it as part of the answer, and nobody signed it.",
  });
};

const isEmpty = (value: Json | undefined) =>
  value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);

/** Every member is known, or empty. */
function only(value: Json | undefined, names: readonly string[], where: string): JsonObject {
  if (!isObject(value)) return uncovered(`no object at ${where}`);
  for (const [name, member] of Object.entries(value)) {
    if (!names.includes(name) && !isEmpty(member)) uncovered(`${where}.${name}`);
  }
  return value;
}

const list = (value: Json | undefined, where: string): readonly Json[] =>
  Array.isArray(value) ? value : uncovered(`no list at ${where}`);
const textOrNothing = (value: Json | undefined, where: string) =>
  value === undefined ||
  value === null ||
  typeof value === "string" ||
  uncovered(`something other than text at ${where}`);
/** Whether a value is a place in a list. */
export const isIndex = (value: Json | undefined) => typeof value === "number" && Number.isInteger(value) && value >= 0;

/** Members of an answer or chunk that describe it and say nothing of their own. */
const frame = ["id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "countersign"];

function coverToolCalls(calls: Json | undefined, where: string, inChunk: boolean): void {
  if (isEmpty(calls)) return;
  list(calls, where).forEach((item, i) => {
    const call = only(item, ["id", "type", "function", "index"], `${where}[${i}]`);
    if (call.type !== undefined && call.type !== "function") uncovered(`a tool call of another type at ${where}[${i}]`);
    if (inChunk ? !isIndex(call.index) : call.index !== undefined && call.index !== i)
      uncovered(`no place at ${where}[${i}]`);
    if (call.function === undefined && inChunk) return;
    only(call.function, ["name", "arguments"], `${where}[${i}].function`);
  });
}

function coverMessage(value: Json | undefined, where: string, inChunk: boolean): void {
  const message = only(value, ["role", "content", "tool_calls"], where);
  if (!isEmpty(message.role) && message.role !== "assistant") uncovered(`another role at ${where}`);
  textOrNothing(message.content, `${where}.content`);
  coverToolCalls(message.tool_calls, `${where}.tool_calls`, inChunk);
}

function coverChoices(path: EndpointPath, value: JsonObject, inChunk: boolean): void {
  only(value, [...frame, "choices"], "the answer");
  list(value.choices, "choices").forEach((item, i) => {
    const where = `choices[${i}]`;
    const part = path === "/v1/completions" ? "text" : inChunk ? "delta" : "message";
    const choice = only(item, ["index", part, "finish_reason", "logprobs"], where);
    // Clients take choices by position, receipts by index: the two must be one.
    if (inChunk ? !isIndex(choice.index) : choice.index !== i) uncovered(`another place than its index at ${where}`);
    textOrNothing(choice.finish_reason, `${where}.finish_reason`);
    if (part === "text") textOrNothing(choice.text, `${where}.text`);
    else if (choice[part] !== undefined || !inChunk) coverMessage(choice[part], `${where}.${part}`, inChunk);
  });
}

const responseMembers = [
  ...frame,
  ..."created_at completed_at status background error incomplete_details instructions max_output_tokens max_tool_calls metadata".split(
    " ",
  ),
  ..."output output_text parallel_tool_calls previous_response_id prompt_cache_key reasoning safety_identifier store temperature".split(
    " ",
  ),
  ..."text tool_choice tools top_logprobs top_p truncation user".split(" "),
];

/** Refuses an item of a response that says more than text and calls; gives its type. @throws OUTPUT_MISMATCH */
export function coverItem(value: Json | undefined, where: string): "message" | "function_call" {
  if (isObject(value) && value.type === "function_call") {
    only(value, ["id", "type", "status", "call_id", "name", "arguments"], where);
    return "function_call";
  }
  const item = only(value, ["id", "type", "status", "role", "content"], where);
  if (item.type !== "message" || item.role !== "assistant") uncovered(`another item than a message at ${where}`);
  const parts = list(item.content, `${where}.content`);
  // The text is committed whole: cut in parts, a client could take one part for all of it.
  if (parts.length > 1) uncovered(`several parts at ${where}`);
  for (const part of parts) coverPart(part, `${where}.content[0]`);
  return "message";
}

/** Refuses a part of a message that is more than its text. @throws OUTPUT_MISMATCH */
export function coverPart(value: Json | undefined, where: string): void {
  const { type, text } = only(value, ["type", "text", "logprobs"], where);
  if (type !== "output_text" || typeof text !== "string") uncovered(`another part than text at ${where}`);
}

const isEnded = (status: Json | undefined) =>
  status === undefined || status === null || status === "completed" || status === "incomplete";

/** Refuses an answer of `/v1/responses` that is more than one text, its calls and how it ended. @throws OUTPUT_MISMATCH */
export function coverResponse(value: JsonObject): void {
  only(value, responseMembers, "the response");
  if (!isEmpty(value.error) || !isEnded(value.status)) uncovered("another end than its receipt");
  const reason = isObject(value.incomplete_details) ? value.incomplete_details.reason : undefined;
  if (
    reason !== undefined &&
    (value.status !== "incomplete" || (reason !== "max_output_tokens" && reason !== "content_filter"))
  )
    uncovered("another reason to have ended");
  let whole = "";
  list(value.output, "output").forEach((item, i) => {
    const where = `output[${i}]`;
    if (coverItem(item, where) === "message") {
      if (i > 0) uncovered(`a message behind the first item at ${where}`);
      const [part] = (item as { content: readonly { text: string }[] }).content;
      whole = part?.text ?? "";
    }
    if (!isEnded((item as JsonObject).status)) uncovered(`an unfinished item at ${where}`);
  });
  if (value.output_text !== undefined && value.output_text !== null && value.output_text !== whole)
    uncovered("another text in output_text");
}

/** Refuses a JSON answer that holds content outside its receipt. @throws OUTPUT_MISMATCH */
export function requireCovered(path: EndpointPath, value: JsonObject): void {
  if (path === "/v1/responses") coverResponse(value);
  else if (path === "/v1/embeddings") {
    only(value, [...frame, "data"], "the answer");
    list(value.data, "data").forEach((item, i) => {
      if (only(item, ["object", "index", "embedding"], `data[${i}]`).index !== i)
        uncovered(`another place than its index at data[${i}]`);
    });
  } else if (path === "/v1/infer") {
    only(value, [...frame, "outputs"], "the answer");
    if (!isObject(value.outputs)) uncovered("no object at outputs");
    for (const [name, tensor] of Object.entries(value.outputs as JsonObject))
      only(tensor, ["type", "dims", "base64"], `outputs.${name}`);
  } else coverChoices(path, value, false);
}

/** Refuses a chunk of a chat or completion stream that holds content outside its receipt. @throws OUTPUT_MISMATCH */
export function requireCoveredChunk(path: EndpointPath, value: JsonObject): void {
  coverChoices(path, value, true);
}
