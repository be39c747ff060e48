import type { Param, ParsedRequest } from "@countersign/core";
import type { LanguageCall, LanguageInput, Sampling } from "../engines/language.ts";
import type { Tool, ToolChoice } from "./tools.ts";

/** What a deployment gives a task to work with. */
type TaskLimits = { readonly maxOutput: number };

/** A request of one of the text endpoints in the engine's terms. */
export type TextTask = {
  readonly kind: "text";
  /** Form of each answer: a message or plain text. */
  readonly form: "message" | "text";
  readonly input: LanguageInput;
  readonly maxTokens: number | null;
  readonly mostOutput: number;
  readonly sampling: Sampling;
  readonly choices: number;
  readonly seed: number | null;
  readonly stop: readonly string[];
  readonly logprobs: number | null;
  readonly grammar: LanguageCall["grammar"];
  readonly tools: readonly Tool[] | null;
  readonly toolChoice: ToolChoice;
  /** Parameters in effect where the request says nothing. */
  readonly defaults: Readonly<Record<string, Param>>;
};

/** Reads a parsed request as a task. */
export type ReadTextTask = (request: ParsedRequest, limits: TaskLimits) => TextTask;
