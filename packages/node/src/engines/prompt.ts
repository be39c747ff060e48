import { CountersignError, type JsonObject } from "@countersign/core";
import { Template } from "@huggingface/jinja";

/** What a chat template needs to know of its model. */
export type TemplateFacts = {
  readonly source: string;
  readonly bos: string;
  readonly eos: string;
  /** Texts of the control tokens: a message that holds one could end its turn and speak as somebody else. */
  readonly controls: readonly string[];
};

/**
 * A model's chat template: what its messages come to as text.
 *
 * The template is in the model's file, so the manifest's digest covers it, and what it writes on its own account (a
 * default system message, say) follows from request and model like all the rest: no rewrite, and a replay renders it
 * again (docs/decisions/rendering.md).
 */
export class ChatTemplate {
  readonly #template: Template;
  readonly #facts: TemplateFacts;
  /** Whether the template writes tools into the prompt itself; else they are spelled out in the system message. */
  readonly takesTools: boolean;
  /** Whether the template puts in a system message of its own where the request has none. */
  readonly injectsSystem: boolean;

  constructor(facts: TemplateFacts) {
    this.#facts = facts;
    this.#template = new Template(facts.source);
    this.takesTools = /\btools\b/.test(facts.source);
    this.injectsSystem = this.#probeSystem();
  }

  /** @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID */
  render(messages: readonly JsonObject[], tools: readonly JsonObject[] | null): string {
    this.#refuseControls(messages, "messages");
    if (tools) this.#refuseControls(tools, "tools");
    // A developer's message is a system message by another name, also to whoever recomputes the commitment.
    const list = messages.map((m) => (m.role === "developer" ? { ...m, role: "system" } : m));
    const usesTools = tools !== null || list.some((m) => m.role === "tool" || m.tool_calls !== undefined);
    if (usesTools && !this.takesTools) return this.#apply(spellTools(list, tools ?? []), null);
    return this.#apply(list, tools);
  }

  #apply(messages: readonly JsonObject[], tools: readonly JsonObject[] | null): string {
    try {
      return this.#template.render({
        messages: messages.map(withParsedArguments),
        ...(tools && { tools }),
        add_generation_prompt: true,
        bos_token: this.#facts.bos,
        eos_token: this.#facts.eos,
      });
    } catch (cause) {
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: "The model's chat template refuses these messages.",
        why: cause instanceof Error ? cause.message.split("\n")[0] : undefined,
        remedy: "Many templates want user and assistant to take turns, with the system message first.",
        param: "messages",
        cause,
      });
    }
  }

  // A template that opens a conversation without a system message as it opens one with it has put in its own.
  #probeSystem(): boolean {
    const mark = "7f3a";
    try {
      const said = this.#apply(
        [
          { role: "system", content: mark },
          { role: "user", content: "u" },
        ],
        null,
      );
      const opening = said.slice(0, said.indexOf(mark)).slice(this.#facts.bos.length);
      const bare = this.#apply([{ role: "user", content: "u" }], null);
      return said.includes(mark) && opening.trim() !== "" && bare.slice(this.#facts.bos.length).startsWith(opening);
    } catch {
      return false;
    }
  }

  #refuseControls(value: unknown, where: string): void {
    if (typeof value === "string") {
      const found = this.#facts.controls.find((c) => value.includes(c));
      if (found === undefined) return;
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: `${where} holds ${JSON.stringify(found)}, a control token of this model.`,
        why: "Inside a message it would end the turn and let the text speak in another role.",
        remedy: "Take it out or break it up. /v1/completions takes prompts with control tokens as they are.",
        param: where,
      });
    }
    if (Array.isArray(value)) for (const [i, v] of value.entries()) this.#refuseControls(v, `${where}[${i}]`);
    else if (typeof value === "object" && value !== null)
      for (const [k, v] of Object.entries(value)) this.#refuseControls(v, `${where}.${k}`);
  }
}

// Templates write a call's arguments with `tojson`; given text they would write it as a quoted text.
function withParsedArguments(message: JsonObject): JsonObject {
  if (!Array.isArray(message.tool_calls)) return message;
  const calls = (message.tool_calls as readonly JsonObject[]).map((call) => {
    const fn = call.function as JsonObject;
    return { ...call, function: { ...fn, arguments: parsedOr(fn.arguments) } };
  });
  return { ...message, tool_calls: calls } as JsonObject;
}

function parsedOr(text: unknown): never {
  try {
    return JSON.parse(String(text)) as never;
  } catch {
    return text as never;
  }
}

/** For templates without tools, always in these words: definitions as a system message, calls and results as text. */
function spellTools(messages: readonly JsonObject[], tools: readonly JsonObject[]): JsonObject[] {
  const spelled = messages.map((m): JsonObject => {
    if (m.role === "tool") return { role: "user", content: `<tool_response>\n${String(m.content)}\n</tool_response>` };
    if (!Array.isArray(m.tool_calls)) return m;
    const calls = (m.tool_calls as readonly { function: { name: string; arguments: string } }[]).map(
      (c) =>
        `<tool_call>\n${JSON.stringify({ name: c.function.name, arguments: parsedOr(c.function.arguments) })}\n</tool_call>`,
    );
    return { role: "assistant", content: [String(m.content ?? ""), ...calls].filter((t) => t !== "").join("\n") };
  });
  if (tools.length === 0) return spelled;
  const said = [
    "You can call these functions:",
    ...tools.map((t) => JSON.stringify(t.function ?? t)),
    'To call one, answer with <tool_call>{"name": …, "arguments": …}</tool_call> and nothing else.',
  ].join("\n");
  const [first, ...rest] = spelled;
  return first?.role === "system"
    ? [{ ...first, content: `${String(first.content)}\n\n${said}` }, ...rest]
    : [{ role: "system", content: said }, ...spelled];
}
