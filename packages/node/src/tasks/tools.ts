import { type Json, type JsonObject, sha256Hex, type ToolCall, utf8 } from "@countersign/core";
import * as z from "zod";
import { grammarSchema } from "../engines/schema.ts";
import { check, unsupported } from "./parameters.ts";

const functionName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const schemaShape = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;
const functionShape = z.strictObject({
  name: functionName,
  description: z.string().max(16_384).nullish(),
  parameters: schemaShape.nullish(),
  strict: z.boolean().nullish(),
});

/** One tool that a model may call. */
export type Tool = z.infer<typeof functionShape>;
/** Which tools may or must be called. */
export type ToolChoice = "none" | "auto" | "required" | { readonly name: string };

/** Reads chat's `tools`. @throws REQUEST_FIELD_INVALID, PARAMETER_NOT_SUPPORTED */
export function readTools(value: Json | undefined): readonly Tool[] | null {
  if (value === undefined || value === null) return null;
  const shape = z
    .array(z.strictObject({ type: onlyFunction, function: functionShape }))
    .min(1)
    .max(128);
  return unique(check(shape, value, "tools").map((t) => t.function));
}

/** Reads the flat form of tools that `/v1/responses` has. */
export function readFlatTools(value: Json | undefined): readonly Tool[] | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.length === 0) return null;
  const shape = z.array(functionShape.extend({ type: onlyFunction })).max(128);
  return unique(check(shape, value, "tools").map(({ type: _, ...tool }) => tool));
}

const onlyFunction = z.custom<"function">((v) => v === "function", 'only "function"');

function unique(tools: readonly Tool[]): readonly Tool[] {
  if (new Set(tools.map((t) => t.name)).size === tools.length) return tools;
  throw unsupported("tools", "Two tools have the same name.");
}

const choiceShape = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: functionName }) }),
  z.strictObject({ type: z.literal("function"), name: functionName }),
]);

/** Reads `tool_choice`; without tools there is nothing to choose. @throws REQUEST_FIELD_INVALID */
export function readToolChoice(value: Json | undefined, tools: readonly Tool[] | null): ToolChoice {
  const given = value === undefined || value === null ? undefined : check(choiceShape, value, "tool_choice");
  if (tools === null) {
    if (given !== undefined && given !== "none" && given !== "auto")
      throw unsupported("tool_choice", "A tool must be called, and there are no tools.");
    return "none";
  }
  if (given === undefined || typeof given === "string") return given ?? "auto";
  const name = "function" in given ? given.function.name : given.name;
  if (!tools.some((t) => t.name === name)) throw unsupported("tool_choice", `There is no tool called ${name}.`);
  return { name };
}

/** OpenAI's form of a tool, as chat templates want it. */
export const spellTool = (tool: Tool): JsonObject =>
  ({
    type: "function",
    function: {
      name: tool.name,
      ...(tool.description && { description: tool.description }),
      parameters: tool.parameters ?? { type: "object", properties: {} },
    },
  }) as JsonObject;

/** Schema of one call: the answer's grammar when a tool must be called. @throws PARAMETER_NOT_SUPPORTED */
export function callSchema(tools: readonly Tool[], choice: ToolChoice): JsonObject {
  const named = typeof choice === "object" ? tools.filter((t) => t.name === choice.name) : tools;
  const one = named.map((tool) => ({
    type: "object",
    properties: {
      name: { const: tool.name },
      arguments: grammarSchema(
        (tool.parameters as Json) ?? { type: "object", properties: {}, additionalProperties: false },
        `tools.${tool.name}.parameters`,
      ),
    },
  }));
  return (one.length === 1 ? one[0] : { oneOf: one }) as JsonObject;
}

const opening = "<tool_call>";
const closing = "</tool_call>";

/** Id of a call: derived from what it is and where it stands, so that a replay gives the same. */
const callId = (choice: number, index: number, text: string): string =>
  `call_${sha256Hex(utf8(`${choice}/${index}/${text}`)).slice(0, 24)}`;

/** A call from its JSON text, or undefined when it is none. */
export function readCall(text: string, tools: readonly Tool[], choice: number, index: number): ToolCall | undefined {
  try {
    const { name, arguments: args } = JSON.parse(text) as { name?: unknown; arguments?: unknown };
    if (typeof name !== "string" || !tools.some((t) => t.name === name)) return undefined;
    if (typeof args !== "object" || args === null) return undefined;
    return { id: callId(choice, index, text), name, arguments: JSON.stringify(args) };
  } catch {
    return undefined;
  }
}

/**
 * Takes `<tool_call>…</tool_call>` blocks out of a text that comes in pieces. A block that is no call of a known tool
 * stays text: a half-made call is shown to the reader rather than lost.
 */
export class CallReader {
  readonly #tools: readonly Tool[];
  readonly #choice: number;
  #pending = "";
  readonly calls: ToolCall[] = [];

  constructor(tools: readonly Tool[], choice: number) {
    this.#tools = tools;
    this.#choice = choice;
  }

  /** Takes a piece and gives the text that is certainly not part of a call. */
  add(piece: string): string {
    this.#pending += piece;
    let shown = "";
    for (;;) {
      const start = this.#pending.indexOf(opening);
      if (start < 0) {
        const keep = beginning(this.#pending, opening);
        shown += this.#pending.slice(0, this.#pending.length - keep);
        this.#pending = this.#pending.slice(this.#pending.length - keep);
        return shown;
      }
      const end = this.#pending.indexOf(closing, start);
      if (end < 0) {
        shown += this.#pending.slice(0, start);
        this.#pending = this.#pending.slice(start);
        return shown;
      }
      const block = this.#pending.slice(start, end + closing.length);
      const call = readCall(
        block.slice(opening.length, -closing.length).trim(),
        this.#tools,
        this.#choice,
        this.calls.length,
      );
      shown += this.#pending.slice(0, start) + (call ? "" : block);
      if (call) this.calls.push(call);
      this.#pending = this.#pending.slice(end + closing.length);
    }
  }

  /** The rest: a block that was never closed counts as a call only if it is whole without its end mark. */
  end(): string {
    const rest = this.#pending;
    this.#pending = "";
    if (!rest.startsWith(opening)) return rest;
    const call = readCall(rest.slice(opening.length).trim(), this.#tools, this.#choice, this.calls.length);
    if (!call) return rest;
    this.calls.push(call);
    return "";
  }
}

function beginning(text: string, mark: string): number {
  for (let n = Math.min(text.length, mark.length - 1); n > 0; n--) if (text.endsWith(mark.slice(0, n))) return n;
  return 0;
}
