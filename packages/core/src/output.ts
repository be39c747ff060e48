import * as z from "zod";
import { toBase64 } from "./bytes.ts";
import { canonicalBytes, parseCanonical } from "./canonical.ts";
import { requireCovered, requireCoveredChunk } from "./delivered/coverage.ts";
import { readEvents } from "./delivered/events.ts";
import { ResponseEvents } from "./delivered/response-events.ts";
import { CountersignError } from "./errors/error.ts";
import { isObject, type Json, type JsonObject, parseJsonBytes } from "./json.ts";
import { type EndpointPath, endpoints } from "./request.ts";

/** A tool call as committed. */
export type ToolCall = { readonly id: string; readonly name: string; readonly arguments: string };

/** One answer as committed under `output` (spec/receipt.md §3.3). */
export type Output =
  | {
      readonly kind: "message";
      readonly content: string | null;
      readonly tool_calls: readonly ToolCall[];
      readonly finish: string;
    }
  | { readonly kind: "text"; readonly text: string; readonly finish: string }
  /** Little-endian float32 values. */
  | { readonly kind: "embedding"; readonly data: string }
  | {
      readonly kind: "tensor";
      readonly name: string;
      readonly type: string;
      readonly dims: readonly number[];
      /** Base64 of little-endian values. */
      readonly data: string;
    };

const finish = z.string().max(64);
const outputShape = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("message"),
    content: z.string().nullable(),
    tool_calls: z.array(z.strictObject({ id: z.string(), name: z.string(), arguments: z.string() })),
    finish,
  }),
  z.strictObject({ kind: z.literal("text"), text: z.string(), finish }),
  z.strictObject({ kind: z.literal("embedding"), data: z.string() }),
  z.strictObject({
    kind: z.literal("tensor"),
    name: z.string(),
    type: z.string(),
    dims: z.array(z.number().int().min(0)),
    data: z.string(),
  }),
]);

/** Reads an opened answer; undefined for bytes that are none. */
export function readOutput(bytes: Uint8Array): Output | undefined {
  try {
    return outputShape.safeParse(parseCanonical(bytes)).data;
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}

/** Element of the `output` list: canonical bytes of an answer. */
export function outputBytes(output: Output): Uint8Array {
  return canonicalBytes(output);
}

/** Token ids and log probabilities of a choice: the element behind its answer, closed by default (A5). */
export function tokensBytes(tokens: {
  readonly ids: readonly number[];
  /** Natural logarithms as decimal strings, one per token, or null where the engine gave none. */
  readonly logprobs: readonly string[] | null;
}): Uint8Array {
  return canonicalBytes(tokens);
}

/**
 * Elements of the `output` list. A choice of a language model takes two places, `2c` its answer and `2c+1` its tokens
 * (empty where the engine gives none); vectors and tensors take one place each.
 */
export function outputElements(
  outputs: readonly { readonly output: Output; readonly tokens?: Uint8Array | undefined }[],
): readonly Uint8Array[] {
  return outputs.flatMap(({ output, tokens }) =>
    hasTokens(output) ? [outputBytes(output), tokens ?? new Uint8Array()] : [outputBytes(output)],
  );
}

const hasTokens = (output: Output) => output.kind === "message" || output.kind === "text";

/** Index in the `output` list of answer `i`. */
export const outputIndex = (outputs: readonly Output[], i: number): number =>
  outputs[i] && hasTokens(outputs[i]) ? 2 * i : i;

const malformed = (why: string): never => {
  throw new CountersignError("STREAM_MALFORMED", {
    message: "The delivered answer is not in the endpoint's form.",
    why,
  });
};
const object = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : malformed("An object is missing.");
const array = (value: Json | undefined): readonly Json[] =>
  Array.isArray(value) ? (value as readonly Json[]) : malformed("A list is missing.");
const text = (value: Json | undefined): string => (typeof value === "string" ? value : malformed("A text is missing."));
const textOrNull = (value: Json | undefined): string | null =>
  value === null || value === undefined ? null : text(value);

const toolCall = (value: Json): ToolCall => {
  const call = object(value);
  const fn = object(call.function);
  return { id: text(call.id), name: text(fn.name), arguments: text(fn.arguments) };
};

const byIndex = (choices: readonly Json[]): readonly JsonObject[] =>
  choices.map(object).sort((a, b) => Number(a.index) - Number(b.index));

function fromChat(body: JsonObject): Output[] {
  return byIndex(array(body.choices)).map((choice) => {
    const message = object(choice.message);
    return {
      kind: "message",
      content: textOrNull(message.content),
      tool_calls:
        message.tool_calls === undefined || message.tool_calls === null ? [] : array(message.tool_calls).map(toolCall),
      finish: text(choice.finish_reason),
    };
  });
}

function fromCompletion(body: JsonObject): Output[] {
  return byIndex(array(body.choices)).map((c) => ({ kind: "text", text: text(c.text), finish: text(c.finish_reason) }));
}

function fromResponses(body: JsonObject): Output[] {
  let content: string | null = null;
  const calls: ToolCall[] = [];
  for (const item of array(body.output).map(object)) {
    if (item.type === "function_call") {
      calls.push({ id: text(item.call_id), name: text(item.name), arguments: text(item.arguments) });
    } else if (item.type === "message") {
      for (const part of array(item.content).map(object)) {
        if (part.type === "output_text") content = (content ?? "") + text(part.text);
      }
    } else malformed(`An output item of type ${String(item.type)} is not known.`);
  }
  const reason = isObject(body.incomplete_details) ? body.incomplete_details.reason : undefined;
  const cut = reason === "content_filter" ? "content_filter" : "length";
  const finish = body.status === "incomplete" ? cut : calls.length > 0 ? "tool_calls" : "stop";
  return [{ kind: "message", content, tool_calls: calls, finish }];
}

/** Base64 of the little-endian float32 bytes of numbers. */
function float32Base64(values: readonly Json[]): string {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, v] of values.entries()) {
    view.setFloat32(4 * i, typeof v === "number" ? v : malformed("A number is missing."), true);
  }
  return toBase64(new Uint8Array(view.buffer));
}

function fromEmbeddings(body: JsonObject): Output[] {
  return byIndex(array(body.data)).map(({ embedding }) => ({
    kind: "embedding",
    data: typeof embedding === "string" ? embedding : float32Base64(array(embedding)),
  }));
}

function fromTensors(body: JsonObject): Output[] {
  const outputs = object(body.outputs);
  return Object.keys(outputs)
    .sort()
    .map((name) => {
      const tensor = object(outputs[name]);
      return {
        kind: "tensor",
        name,
        type: text(tensor.type),
        dims: array(tensor.dims).map((d) =>
          Number.isSafeInteger(d) && (d as number) >= 0 && !Object.is(d, -0)
            ? (d as number)
            : malformed("A dimension is no whole number."),
        ),
        data: text(tensor.base64),
      };
    });
}

const readers = {
  chat: fromChat,
  completion: fromCompletion,
  responses: fromResponses,
  embedding: fromEmbeddings,
  tensors: fromTensors,
} as const;

/** The answers in a JSON body of an endpoint, in order. @throws STREAM_MALFORMED, REQUEST_MALFORMED */
export function readOutputs(path: EndpointPath, body: JsonObject): readonly Output[] {
  return readers[endpoints[path].task](body);
}

/** Data of each event of a server-sent event stream, `[DONE]` excluded. */
export function eventData(stream: string): string[] {
  const data = stream.split(/\r?\n\r?\n/).flatMap((event) => {
    const lines = event.split(/\r?\n/).filter((l) => l.startsWith("data:"));
    return lines.length > 0 ? [lines.map((l) => l.slice(5).replace(/^ /, "")).join("\n")] : [];
  });
  return data.filter((d) => d !== "[DONE]");
}

/** Whether a chunk's choice says anything. */
function hasContent(choice: JsonObject): boolean {
  const delta = isObject(choice.delta) ? choice.delta : {};
  const says = (v: Json | undefined) =>
    v !== undefined && v !== null && v !== "" && !(Array.isArray(v) && v.length === 0);
  return says(choice.text) || says(delta.content) || says(delta.tool_calls) || says(choice.finish_reason);
}

/** A name given once: some clients join repetitions, some take the first, some the last. */
function once(before: string, now: Json | undefined): string {
  if (typeof now !== "string" || now === "") return before;
  return before === "" ? now : malformed("A tool call's id or name comes in several parts.");
}

/** The values of a map under the keys 0, 1, 2, …: clients put each at its index, so none may be skipped. */
function inOrder<T>(map: ReadonlyMap<number, T>): T[] {
  return Array.from({ length: map.size }, (_, i) => map.get(i) ?? malformed("An index is skipped."));
}

/** Builds answers from the chunks of a chat or completion stream. */
export class StreamedOutputs {
  readonly #path: EndpointPath;
  readonly #choices = new Map<
    number,
    {
      content: string | null;
      finish: string | null;
      calls: Map<number, { id: string; name: string; arguments: string }>;
    }
  >();
  #final: JsonObject | undefined;

  constructor(path: EndpointPath) {
    this.#path = path;
  }

  /** Takes one chunk. @throws STREAM_MALFORMED */
  add(chunk: JsonObject): void {
    if (this.#path === "/v1/responses") {
      if (chunk.type === "response.completed" || chunk.type === "response.incomplete")
        this.#final = object(chunk.response);
      return;
    }
    const choices = array(chunk.choices).map(object);
    // Many clients read the first choice of a chunk alone: a second one of its index would be theirs to miss.
    if (new Set(choices.map((c) => Number(c.index ?? 0))).size < choices.length)
      malformed("A chunk has a choice twice.");
    for (const c of choices) {
      const index = Number(c.index ?? 0);
      const choice = this.#choices.get(index) ?? { content: null, finish: null, calls: new Map() };
      this.#choices.set(index, choice);
      if (choice.finish !== null && hasContent(c)) malformed("A choice goes on after its finish reason.");
      const delta = this.#path === "/v1/completions" ? { content: c.text } : object(c.delta ?? {});
      if (typeof delta.content === "string") choice.content = (choice.content ?? "") + delta.content;
      const calls = (delta as JsonObject).tool_calls;
      for (const part of calls === undefined || calls === null ? [] : array(calls).map(object)) {
        const at = Number(part.index ?? 0);
        const call = choice.calls.get(at) ?? { id: "", name: "", arguments: "" };
        const fn = object(part.function ?? {});
        choice.calls.set(at, {
          id: once(call.id, part.id),
          name: once(call.name, fn.name),
          arguments: call.arguments + (typeof fn.arguments === "string" ? fn.arguments : ""),
        });
      }
      if (typeof c.finish_reason === "string") choice.finish = c.finish_reason;
    }
  }

  /** The answers. @throws STREAM_TRUNCATED when a choice has no finish reason */
  outputs(): readonly Output[] {
    if (this.#path === "/v1/responses") {
      if (!this.#final)
        throw new CountersignError("STREAM_TRUNCATED", { message: "The stream ended before its last event." });
      return fromResponses(this.#final);
    }
    return inOrder(this.#choices).map(({ content, finish, calls }, index) => {
      if (finish === null) {
        throw new CountersignError("STREAM_TRUNCATED", {
          message: `The stream ended before choice ${index} was finished.`,
        });
      }
      if (this.#path === "/v1/completions") return { kind: "text", text: content ?? "", finish };
      return { kind: "message", content, tool_calls: inOrder(calls), finish };
    });
  }
}

/** A delivered answer, with what it says of itself beside the answers. */
export type DeliveredAnswer = {
  readonly outputs: readonly Output[];
  /** Every `model` that the body or a chunk names. */
  readonly models: readonly string[];
  /** The last usage that is named. */
  readonly usage: JsonObject | undefined;
};

/**
 * Reads what an endpoint delivered, a JSON body or an event stream, refusing every member that the receipt does not
 * cover: clients would read it as part of the answer, and nobody signed it (spec/receipt.md §3.4).
 *
 * @throws STREAM_MALFORMED, STREAM_TRUNCATED, REQUEST_MALFORMED, OUTPUT_MISMATCH for uncovered content
 */
export function readAnswer(path: EndpointPath, body: Uint8Array): DeliveredAnswer {
  const first = body.find((b) => b !== 0x20 && b !== 0x09 && b !== 0x0a && b !== 0x0d);
  if (first === 0x7b) {
    const value = object(parseJsonBytes(body));
    requireCovered(path, value);
    return { outputs: readOutputs(path, value), models: modelsOf([value]), usage: usageOf([value]) };
  }
  const stream = new StreamedOutputs(path);
  const responses = new ResponseEvents();
  const values: JsonObject[] = [];
  let ended = false;
  for (const { event, value } of readEvents(body)) {
    if (ended) malformed("Something follows the end of the stream.");
    if (value === "done") {
      ended = true;
      continue;
    }
    if (event !== undefined && event !== value.type) malformed("An event's name is not its type.");
    if (value.error !== undefined && value.error !== null) malformed("The stream holds an error.");
    if (path === "/v1/responses") responses.add(value);
    else requireCoveredChunk(path, value);
    stream.add(value);
    values.push(path === "/v1/responses" && isObject(value.response) ? value.response : value);
  }
  return { outputs: stream.outputs(), models: modelsOf(values), usage: usageOf(values) };
}

const modelsOf = (values: readonly JsonObject[]): string[] => [
  ...new Set(values.flatMap(({ model }) => (typeof model === "string" ? [model] : []))),
];
const usageOf = (values: readonly JsonObject[]): JsonObject | undefined =>
  values.map((v) => v.usage).findLast(isObject);

/** The answers in what an endpoint delivered. @throws as `readAnswer` */
export const readDelivered = (path: EndpointPath, body: Uint8Array): readonly Output[] =>
  readAnswer(path, body).outputs;
