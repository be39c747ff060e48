import { CountersignError, type Json, type JsonObject } from "@countersign/core";
import * as z from "zod";
import { grammarSchema } from "../engines/schema.ts";
import { checkMost, readMessages, refuseUnderGrammar } from "./chat.ts";
import {
  check,
  only,
  readParameters,
  readSampling,
  samplingDefaults,
  samplingTable,
  unsupported,
} from "./parameters.ts";
import type { ReadTextTask } from "./text-task.ts";
import { callSchema, readFlatTools, readToolChoice, spellTool } from "./tools.ts";

const { frequency_penalty: _f, presence_penalty: _p, logit_bias: _l, ...sampling } = samplingTable;
const schemaShape = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;
const textShape = z.strictObject({
  format: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("text") }),
      z.strictObject({ type: z.literal("json_object") }),
      z.strictObject({
        type: z.literal("json_schema"),
        name: z.string().max(64).optional(),
        description: z.string().max(4096).nullish(),
        strict: z.boolean().nullish(),
        schema: schemaShape,
      }),
    ])
    .optional(),
  verbosity: only("medium").nullish(),
});
const table = {
  ...sampling,
  instructions: z.string(),
  max_output_tokens: z.number().int().min(1),
  text: textShape,
  tool_choice: z.unknown(),
  parallel_tool_calls: only(true),
  store: only(false),
  truncation: only("disabled"),
  service_tier: only("auto", "default"),
  background: only(false),
  include: only([]),
  metadata: only({}),
  top_logprobs: only(0),
} as const;

/** Reads a Responses request as a chat without state. @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID */
export const readResponses: ReadTextTask = ({ value }, limits) => {
  const p = readParameters(value, table, ["input", "tools"]);
  const tools = readFlatTools(value.tools);
  const toolChoice = readToolChoice(value.tool_choice, tools);
  const forced = tools !== null && toolChoice !== "none" && toolChoice !== "auto";
  const format = p.text?.format;
  const schema =
    format?.type === "json_schema"
      ? { schema: grammarSchema(format.schema as Json, "text.format.schema") }
      : format?.type === "json_object"
        ? { schema: null }
        : null;
  if (forced && schema) throw unsupported("text.format", "A forced tool call and a text format exclude each other.");
  const grammar = forced ? { schema: callSchema(tools, toolChoice) } : schema;
  refuseUnderGrammar(grammar !== null, p);
  const maxTokens = checkMost(p.max_output_tokens, limits.maxOutput, "max_output_tokens");
  const instructions = p.instructions === undefined ? [] : [{ role: "system", content: p.instructions }];
  const messages = readMessages([...instructions, ...readItems(value.input)]);
  return {
    kind: "text",
    form: "message",
    input: { kind: "chat", messages, tools: toolChoice === "none" ? null : (tools?.map(spellTool) ?? null) },
    maxTokens,
    mostOutput: limits.maxOutput,
    sampling: readSampling(p),
    choices: 1,
    seed: p.seed ?? null,
    stop: [],
    logprobs: null,
    grammar,
    tools: toolChoice === "none" ? null : tools,
    toolChoice,
    defaults: {
      temperature: samplingDefaults.temperature ?? 0,
      top_p: 1,
      ...(maxTokens === null && { max_output_tokens: limits.maxOutput }),
    },
  };
};

const part = z.object({ type: z.enum(["input_text", "output_text", "text"]), text: z.string() });
const itemShape = z.union([
  z.object({
    type: z.literal("message").optional(),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: z.union([z.string(), z.array(part)]),
  }),
  z.object({ type: z.literal("function_call"), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.object({
    type: z.literal("function_call_output"),
    call_id: z.string(),
    output: z.union([z.string(), z.array(part)]),
  }),
]);

const textOf = (content: string | readonly z.infer<typeof part>[]): string =>
  typeof content === "string" ? content : content.map((p) => p.text).join("");

/** Items of a conversation as chat messages; calls that follow one another belong to one turn. */
function readItems(input: Json | undefined): JsonObject[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0)
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: "`input` must be a text or a list of items.",
      param: "input",
    });
  const messages: JsonObject[] = [];
  for (const [i, given] of input.entries()) {
    const where = `input[${i}]`;
    const foreign = foreignType(given as Json);
    if (foreign !== undefined) throw unsupported(where, `Items or parts of type ${foreign} are not supported.`);
    const item = check(itemShape, given, where);
    if (item.type === "function_call_output") {
      messages.push({ role: "tool", tool_call_id: item.call_id, content: textOf(item.output) });
    } else if (item.type === "function_call") {
      const call = { id: item.call_id, type: "function", function: { name: item.name, arguments: item.arguments } };
      const last = messages.at(-1);
      if (last?.role === "assistant")
        messages[messages.length - 1] = { ...last, tool_calls: [...((last.tool_calls as Json[]) ?? []), call] };
      else messages.push({ role: "assistant", content: "", tool_calls: [call] });
    } else messages.push({ role: item.role, content: textOf(item.content) });
  }
  return messages;
}

const known = new Set(["message", "function_call", "function_call_output"]);
const knownParts = new Set(["input_text", "output_text", "text"]);

function foreignType(item: Json): string | undefined {
  const { type, content, output } = (item ?? {}) as JsonObject;
  if (typeof type === "string" && !known.has(type)) return type;
  const parts = [content, output].flatMap((c) => (Array.isArray(c) ? (c as readonly JsonObject[]) : []));
  const foreign = parts.map((p) => p?.type).find((t) => typeof t === "string" && !knownParts.has(t));
  return foreign as string | undefined;
}
