import { CountersignError, type Json, type JsonObject } from "@countersign/core";
import * as z from "zod";
import type { LanguageCall } from "../engines/language.ts";
import { grammarSchema } from "../engines/schema.ts";
import {
  check,
  generationTable,
  only,
  readParameters,
  readSampling,
  samplingDefaults,
  unsupported,
} from "./parameters.ts";
import type { ReadTextTask } from "./text-task.ts";
import { callSchema, readToolChoice, readTools, spellTool } from "./tools.ts";

const schemaShape = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;
const formatShape = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: z.string().max(64).optional(),
      description: z.string().max(4096).nullish(),
      strict: z.boolean().nullish(),
      schema: schemaShape,
    }),
  }),
]);

const table = {
  ...generationTable,
  max_tokens: z.number().int().min(1),
  max_completion_tokens: z.number().int().min(1),
  logprobs: z.boolean(),
  top_logprobs: z.number().int().min(0).max(20),
  response_format: formatShape,
  tool_choice: z.unknown(),
  parallel_tool_calls: only(true),
  modalities: only(["text"]),
  store: only(false),
  service_tier: only("auto", "default"),
} as const;

/** Reads a chat completion request. @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID */
export const readChat: ReadTextTask = ({ value }, limits) => {
  const p = readParameters(value, table, ["messages", "tools"]);
  const tools = readTools(value.tools);
  const toolChoice = readToolChoice(value.tool_choice, tools);
  const maxTokens = oneOf(p.max_tokens, p.max_completion_tokens, limits.maxOutput);
  if (p.top_logprobs !== undefined && p.logprobs !== true)
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: "top_logprobs needs logprobs to be true.",
      param: "top_logprobs",
    });
  const grammar = readFormat(p.response_format, "response_format");
  const sampling = readSampling(p);
  const forced = tools !== null && toolChoice !== "none" && toolChoice !== "auto";
  if (forced && grammar)
    throw unsupported("response_format", "A forced tool call and a response format exclude each other.");
  const shaped = forced ? { schema: callSchema(tools, toolChoice) } : grammar;
  refuseUnderGrammar(shaped !== null, p);
  return {
    kind: "text",
    form: "message",
    input: {
      kind: "chat",
      messages: readMessages(value.messages),
      tools: toolChoice === "none" ? null : (tools?.map(spellTool) ?? null),
    },
    maxTokens,
    mostOutput: limits.maxOutput,
    sampling,
    choices: p.n ?? 1,
    seed: p.seed ?? null,
    stop: stops(p.stop),
    logprobs: p.logprobs === true ? (p.top_logprobs ?? 0) : null,
    grammar: shaped,
    tools: toolChoice === "none" ? null : tools,
    toolChoice,
    defaults: { ...samplingDefaults, n: 1, ...(maxTokens === null && { max_tokens: limits.maxOutput }) },
  };
};

/** The one limit of two names for it. */
function oneOf(a: number | undefined, b: number | undefined, most: number): number | null {
  if (a !== undefined && b !== undefined && a !== b)
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: "max_tokens and max_completion_tokens name two limits.",
      param: "max_completion_tokens",
    });
  return checkMost(a ?? b, most, a === undefined ? "max_completion_tokens" : "max_tokens");
}

/** Refuses more tokens than the deployment gives: fewer than asked for would be a silent cut. */
export function checkMost(asked: number | undefined, most: number, param: string): number | null {
  if (asked === undefined) return null;
  if (asked <= most) return asked;
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: `${param} is ${asked}; this deployment gives at most ${most} tokens.`,
    param,
  });
}

export const stops = (stop: string | readonly string[] | undefined): readonly string[] =>
  stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;

/** The grammar that a response format asks for. @throws PARAMETER_NOT_SUPPORTED for a schema it can't hold to */
function readFormat(format: z.infer<typeof formatShape> | undefined, param: string): LanguageCall["grammar"] {
  if (format === undefined || format.type === "text") return null;
  if (format.type === "json_object") return { schema: null };
  return { schema: grammarSchema(format.json_schema.schema as Json, `${param}.schema`) };
}

/** Under a grammar the engine draws by itself: what needs our own sampler is refused. */
export function refuseUnderGrammar(grammar: boolean, given: Readonly<Record<string, unknown>>): void {
  if (!grammar) return;
  for (const name of ["frequency_penalty", "presence_penalty", "logit_bias", "top_logprobs"]) {
    if (given[name] !== undefined && given[name] !== 0)
      throw unsupported(name, `${name} cannot be combined with a response format or a forced tool call.`);
  }
  if (given.logprobs === true)
    throw unsupported("logprobs", "Log probabilities cannot be combined with a response format or a forced tool call.");
  if (given.stop !== undefined)
    throw unsupported(
      "stop",
      "Stop texts cannot be combined with a response format or a forced tool call: they would cut the JSON text.",
    );
}

const part = z.strictObject({ type: z.custom<"text">((v) => v === "text", 'only "text"'), text: z.string() });
const content = z.union([z.string(), z.array(part)]);
const nothing = z.null().optional();
const toolCalls = z
  .array(
    z.strictObject({
      id: z.string().min(1).max(128),
      type: z.literal("function"),
      function: z.strictObject({ name: z.string().min(1).max(64), arguments: z.string() }),
    }),
  )
  .min(1);
const messageShape = z.discriminatedUnion("role", [
  z.strictObject({ role: z.enum(["system", "developer"]), content }),
  z.strictObject({ role: z.literal("user"), content }),
  z.strictObject({
    role: z.literal("assistant"),
    content: content.nullish(),
    tool_calls: toolCalls.nullish(),
    // Clients send back what they were given; these carry nothing when they are empty.
    refusal: nothing,
    audio: nothing,
    function_call: nothing,
    annotations: z.array(z.never()).nullish(),
    reasoning_content: nothing,
  }),
  z.strictObject({
    role: z.literal("tool"),
    content,
    tool_call_id: z.string().min(1).max(128),
    name: z.string().optional(),
  }),
]);

/** Reads messages into what templates take: text parts joined, empty members left out. @throws REQUEST_FIELD_INVALID, PARAMETER_NOT_SUPPORTED */
export function readMessages(value: Json | undefined): readonly JsonObject[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: "`messages` must hold at least one message.",
      param: "messages",
    });
  return value.map((given, i) => {
    const where = `messages[${i}]`;
    if (typeof given === "object" && given !== null && "name" in given && (given as JsonObject).role !== "tool")
      throw unsupported(`${where}.name`, "Chat templates have no place for a speaker's name.");
    refuseForeignParts(given as Json, where);
    const message = check(messageShape, given, where);
    const text = message.content === undefined || message.content === null ? null : joined(message.content);
    if (message.role === "tool") return { role: "tool", content: text ?? "", tool_call_id: message.tool_call_id };
    if (message.role !== "assistant") return { role: message.role, content: text ?? "" };
    if (text === null && !message.tool_calls)
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: `${where} has neither content nor tool calls.`,
        param: `${where}.content`,
      });
    return {
      role: "assistant",
      content: text ?? "",
      ...(message.tool_calls && { tool_calls: message.tool_calls }),
    } as JsonObject;
  });
}

function refuseForeignParts(message: Json, where: string): void {
  const parts = (message as JsonObject | null)?.content;
  if (!Array.isArray(parts)) return;
  for (const [i, p] of parts.entries()) {
    const type = (p as JsonObject | null)?.type;
    if (typeof type === "string" && type !== "text")
      throw unsupported(`${where}.content[${i}]`, `Content of type ${type} is not supported: this model reads text.`);
  }
}

const joined = (c: z.infer<typeof content>): string => (typeof c === "string" ? c : c.map((p) => p.text).join(""));
