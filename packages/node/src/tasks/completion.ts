import * as z from "zod";
import { checkMost, stops } from "./chat.ts";
import { check, generationTable, only, readParameters, readSampling, samplingDefaults } from "./parameters.ts";
import type { ReadTextTask } from "./text-task.ts";

const table = {
  ...generationTable,
  max_tokens: z.number().int().min(1),
  logprobs: z.number().int().min(0).max(5),
  echo: only(false),
  best_of: only(1),
  suffix: only(""),
} as const;

const tokens = z.array(z.number().int().min(0).max(4_294_967_295)).min(1).max(1_000_000);
// Several prompts in one call would be several runs, each with its own receipt: send one call each.
const promptShape = z.union([
  z.string().min(1),
  tokens.transform((ids) => ({ ids })),
  z.tuple([z.string().min(1)]).transform(([text]) => text),
  z.tuple([tokens]).transform(([ids]) => ({ ids })),
]);

/** Reads a completion request: the prompt goes to the model as it is, control tokens included. */
export const readCompletion: ReadTextTask = ({ value }, limits) => {
  const p = readParameters(value, table, ["prompt"]);
  const prompt = check(promptShape, value.prompt, "prompt");
  const maxTokens = checkMost(p.max_tokens, limits.maxOutput, "max_tokens");
  return {
    kind: "text",
    form: "text",
    input: typeof prompt === "string" ? { kind: "text", text: prompt } : { kind: "tokens", tokens: prompt.ids },
    maxTokens,
    mostOutput: limits.maxOutput,
    sampling: readSampling(p),
    choices: p.n ?? 1,
    seed: p.seed ?? null,
    stop: stops(p.stop),
    logprobs: p.logprobs ?? null,
    grammar: null,
    tools: null,
    toolChoice: "none",
    defaults: { ...samplingDefaults, n: 1, ...(maxTokens === null && { max_tokens: limits.maxOutput }) },
  };
};
