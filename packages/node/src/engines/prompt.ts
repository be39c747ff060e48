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

/** Messages as rendered, and every change on the way by name (R6). */
export type Rendered = { readonly text: string; readonly rewrites: readonly string[] };

/** A chat template with what it does on its own account found out. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #facts: TemplateFacts;
  readonly #injectsSystem: boolean;
  /** Whether the template writes tools into the prompt itself. */
  readonly takesTools: boolean;

  constructor(facts: TemplateFacts) {
    this.#facts = facts;
    this.#template = new Template(facts.source);
    this.takesTools = /\btools\b/.test(facts.source);
    this.#injectsSystem = this.#probeSystem();
  }

  /** @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID */
  render(messages: readonly JsonObject[], tools: readonly JsonObject[] | null): Rendered {
    this.#refuseControls(messages, "messages");
    if (tools) this.#refuseControls(tools, "tools");
    const rewrites: string[] = [];
    let list = messages.map((m) => {
      if (m.role !== "developer") return m;
      rewrites.push("role.developer");
      return { ...m, role: "system" };
    });
    const usesTools = tools !== null || list.some((m) => m.role === "tool" || m.tool_calls !== undefined);
    if (usesTools && !this.takesTools) {
      list = spellTools(list, tools ?? []);
      rewrites.push("tools.system");
    }
    if (this.#injectsSystem && list[0]?.role !== "system") rewrites.push("template.system");
    return { text: this.#apply(list, this.takesTools ? tools : null), rewrites: [...new Set(rewrites)] };
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

/** For templates without tools: definitions as a system message, calls and results as text (rewrite `tools.system`). */
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
