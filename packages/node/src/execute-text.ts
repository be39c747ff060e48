import {
  CountersignError,
  choiceSeed,
  fromHex,
  leafBytes,
  modelInputShape,
  type Output,
  type ProfileLeaf,
  type ToolCall,
  tokensBytes,
  utf8,
} from "@countersign/core";
import { Channel } from "./channel.ts";
import type { CheckedJob } from "./check-job.ts";
import type { Engines } from "./engines/engines.ts";
import type { LanguageCall, LanguageEvent, LanguageInfo, Sampling } from "./engines/language.ts";
import { isGreedy } from "./engines/sample.ts";
import type { Delta, Execute } from "./execution.ts";
import type { LlamaSpec } from "./served.ts";
import type { TextTask } from "./tasks/text-task.ts";
import { CallReader, readCall } from "./tasks/tools.ts";

type Choice = Extract<LanguageEvent, { readonly type: "choice" }>;

/** Seeds of the choices: the caller's, counted up, or drawn from the request so that nobody can re-roll them (A4). */
function seedsOf(
  task: Pick<TextTask, "seed" | "choices">,
  clientNonce: Uint8Array,
  requestDigest: Uint8Array,
): number[] {
  return Array.from({ length: task.choices }, (_, c) =>
    choiceSeed(task.seed ?? undefined, clientNonce, requestDigest, c),
  );
}

/** The profile of a language run: what somebody needs to get the same tokens again. */
export function languageProfile(
  info: LanguageInfo,
  sampling: Sampling,
  grammar: boolean,
  seeds: readonly number[],
): ProfileLeaf {
  const greedy = isGreedy(sampling);
  const decimal = (n: number) => String(n);
  return {
    engine: info.engine,
    version: info.version,
    library: info.library,
    device: info.device,
    dtype: info.dtype,
    settings: { ...info.settings, context: String(info.context) },
    sampler: {
      kind: greedy ? "greedy" : "drawn",
      // Which rules drew: the engine's under a grammar, ours else (docs/decisions/sampling.md).
      by: grammar ? "llama.cpp" : "countersign/sample/v1",
      temperature: decimal(sampling.temperature),
      ...(!greedy && { topP: decimal(sampling.topP), topK: decimal(sampling.topK), minP: decimal(sampling.minP) }),
      ...(sampling.frequencyPenalty !== 0 && { frequencyPenalty: decimal(sampling.frequencyPenalty) }),
      ...(sampling.presencePenalty !== 0 && { presencePenalty: decimal(sampling.presencePenalty) }),
    },
    seeds: greedy ? [] : [...seeds],
  };
}

/** The engine's call for a task. */
export const languageCall = (task: TextTask, seeds: readonly number[]): LanguageCall => ({
  input: task.input,
  maxTokens: task.maxTokens,
  mostOutput: task.mostOutput,
  sampling: task.sampling,
  seeds,
  stop: task.stop,
  logprobs: task.logprobs,
  grammar: task.grammar,
});

/**
 * Runs a text task on a language engine.
 *
 * Tool calls come as one piece when they are whole: somebody who acts on half a call acts on nothing that was committed.
 */
export async function* executeText(
  { job, requestDigest }: CheckedJob,
  task: TextTask,
  spec: LlamaSpec,
  engines: Engines,
  signal: AbortSignal,
): Execute {
  const began = performance.now();
  const seeds = seedsOf(task, fromHex(job.clientNonce), requestDigest);
  const events = new Channel<LanguageEvent>();
  let input: Extract<LanguageEvent, { readonly type: "input" }> | undefined;
  let queued = 0;
  const answers = seeds.map((_, c) => new Answer(task, c));
  const work = engines.runLanguage(spec, languageCall(task, seeds), (event) => events.push(event), signal);
  events.follow(work);
  for await (const event of events) {
    if (event.type === "input") {
      input = event;
      queued = Math.round(performance.now() - began);
    } else if (event.type === "piece") {
      const delta = answers[event.choice]?.add(event.text, event.logprobs);
      if (delta) yield delta;
    } else if (event.type === "choice") {
      const last = answers[event.choice]?.end(event);
      if (last) yield last;
    }
  }
  const info = await work;
  const choices = answers.map((a) => a.result());
  if (!input || choices.some((c) => c === undefined)) {
    throw new CountersignError("RUN_INCOMPLETE", { message: "The engine ended before every answer was whole." });
  }
  const done = choices as readonly { readonly output: Output & { readonly finish: string }; readonly engine: Choice }[];
  const completion = done.reduce((n, c) => n + c.engine.ids.length, 0);
  const sum = (part: (c: Choice) => number) => done.reduce((n, c) => n + part(c.engine), 0);
  return {
    forwarded: task.input.kind === "tokens" ? undefined : utf8(input.rendered),
    modelInput: leafBytes(modelInputShape, { tokens: [...input.tokens] }),
    outputs: done.map(({ output, engine }) => ({
      output,
      tokens: tokensBytes({ ids: engine.ids, logprobs: engine.logprobs }),
    })),
    defaults: task.defaults,
    profile: languageProfile(info, task.sampling, task.grammar !== null, seeds),
    result: {
      usage: {
        prompt_tokens: input.tokens.length,
        completion_tokens: completion,
        total_tokens: input.tokens.length + completion,
      },
      finish: done.map(({ output }) => output.finish),
      timings: { queued, prompt: sum((c) => c.prompt), generation: sum((c) => c.generation) },
    },
    rewrites: [],
    served: null,
    substitutedFrom: null,
  };
}

/** One choice while it grows: shown text and calls, which together are exactly what is committed. */
class Answer {
  readonly #task: TextTask;
  readonly #choice: number;
  readonly #reader: CallReader | undefined;
  readonly #forced: boolean;
  #shown = "";
  #whole: { readonly output: Output & { readonly finish: string }; readonly engine: Choice } | undefined;

  constructor(task: TextTask, choice: number) {
    this.#task = task;
    this.#choice = choice;
    this.#forced = task.tools !== null && task.toolChoice !== "auto" && task.toolChoice !== "none";
    this.#reader = task.tools !== null && task.toolChoice === "auto" ? new CallReader(task.tools, choice) : undefined;
  }

  add(text: string, logprobs?: Delta["logprobs"]): Delta | undefined {
    if (this.#forced) return undefined;
    const shown = this.#reader ? this.#reader.add(text) : text;
    return this.#delta(shown, logprobs);
  }

  #delta(shown: string, logprobs?: Delta["logprobs"]): Delta | undefined {
    if (shown === "" && !logprobs) return undefined;
    this.#shown += shown;
    return { type: "delta", choice: this.#choice, content: shown, ...(logprobs && { logprobs }) };
  }

  end(engine: Choice): Delta | undefined {
    const calls = this.#forced ? this.#forcedCall(engine) : undefined;
    const rest = calls?.length === 0 ? engine.text : (this.#reader?.end() ?? "");
    this.#shown += rest;
    const made = calls ?? this.#reader?.calls ?? [];
    const finish = made.length > 0 ? "tool_calls" : engine.finish;
    // Never undecided between nothing and the empty text: a reader of the stream must come to the committed answer.
    const content = made.length > 0 && this.#shown === "" ? null : this.#shown;
    const output: Output & { readonly finish: string } =
      this.#task.form === "text"
        ? { kind: "text", text: this.#shown, finish }
        : { kind: "message", content, tool_calls: made, finish };
    this.#whole = { output, engine };
    const text = rest !== "" ? rest : content === "" ? "" : undefined;
    if (text === undefined && made.length === 0) return undefined;
    return {
      type: "delta",
      choice: this.#choice,
      ...(text !== undefined && { content: text }),
      ...(made.length > 0 && { tool_calls: made.map((call, index) => ({ index, ...call })) }),
    };
  }

  // A call that was cut short by the token limit is no call: the caller learns that it is incomplete.
  #forcedCall({ text, finish }: Choice): readonly ToolCall[] {
    const call = readCall(text.trim(), this.#task.tools ?? [], this.#choice, 0);
    if (call) return [call];
    if (finish === "length") return [];
    throw new CountersignError("RUN_INCOMPLETE", { message: "The model was to call a tool and did not." });
  }

  result() {
    return this.#whole;
  }
}
