// Entry of a worker process: one GGUF model in llama.cpp, one call at a time.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { CountersignError, type Hex, type TokenLogprob } from "@countersign/core";
import { holdVerified } from "@countersign/registry";
import {
  getLlama,
  type Llama,
  type LlamaContext,
  type LlamaContextSequence,
  LlamaGrammarEvaluationState,
  type LlamaModel,
  type Token,
} from "node-llama-cpp";
import type { LanguageCall, LanguageEvent, LanguageInfo } from "./language.ts";
import { ChatTemplate } from "./prompt.ts";
import { chooseToken, isGreedy, isPlainGreedy, logprobText } from "./sample.ts";
import { TextStream } from "./text-stream.ts";
import { serveWorker } from "./worker-side.ts";

/** What the worker loads, and with which settings: each of them changes bits and so stands in the profile. */
export type LlamaLoad = {
  readonly path: string;
  readonly sha256: Hex;
  readonly context: number;
  readonly batch: number;
  readonly flashAttention: boolean;
  readonly threads: number;
  readonly dtype: string;
  readonly engine: string;
  readonly version: string;
};

type Loaded = {
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  readonly sequence: LlamaContextSequence;
  readonly template: ChatTemplate | undefined;
  readonly limit: number;
  readonly options: LlamaLoad;
};
let loaded: Loaded | undefined;

async function load(options: LlamaLoad): Promise<LanguageInfo> {
  const held = await holdVerified(options.path, options.sha256);
  const llama = await getLlama({ build: "never", gpu: false, maxThreads: options.threads, progressLogs: false }).catch(
    (cause: unknown) => {
      throw new CountersignError("NATIVE_MODULE_MISSING", {
        message: "llama.cpp's library did not load.",
        why: cause instanceof Error ? cause.message : undefined,
        cause,
      });
    },
  );
  const model = await llama.loadModel({ modelPath: options.path, gpuLayers: 0 });
  await held.check();
  await held.close();
  const { context: contextSize, batch: batchSize, flashAttention, threads } = options;
  const context = await model.createContext({ contextSize, batchSize, flashAttention, threads, sequences: 1 });
  const source = (model.fileInfo.metadata.tokenizer as { chat_template?: unknown }).chat_template;
  loaded = {
    llama,
    model,
    context,
    sequence: context.getSequence(),
    template: typeof source === "string" ? new ChatTemplate({ source, ...tokensOf(model) }) : undefined,
    limit: Math.min(contextSize, model.trainContextSize),
    options,
  };
  const library = nativeLibraries();
  return {
    engine: options.engine,
    version: options.version,
    library: library.digest,
    device: library.device,
    dtype: options.dtype,
    settings: {
      release: llama.llamaCppRelease.release,
      threads: String(threads),
      batch: String(context.batchSize),
      flashAttention: String(context.flashAttention),
      // Of the model, never of the request: the profile is open to everybody (A5).
      ...(loaded.template && {
        templateSystem: String(loaded.template.injectsSystem),
        templateTools: String(loaded.template.takesTools),
      }),
    },
    context: loaded.limit,
  };
}

function tokensOf(model: LlamaModel) {
  const controls: string[] = [];
  for (const token of model.iterateAllTokens()) {
    if (!model.getTokenAttributes(token).control) continue;
    const text = model.detokenize([token], true);
    if (text.length > 1) controls.push(text);
  }
  return { bos: model.tokens.bosString ?? "", eos: model.tokens.eosString ?? "", controls };
}

// The libraries that really were loaded: llama.cpp picks one of many CPU variants, and each gives other bits.
function nativeLibraries(): { readonly digest: Hex; readonly device: string } {
  const report = process.report.getReport() as unknown as { sharedObjects: readonly string[] };
  const files = [...new Set(report.sharedObjects)].filter((p) => /(?:llama|ggml)[^/\\]*$/.test(p));
  files.sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
  const whole = createHash("sha256");
  for (const file of files) whole.update(createHash("sha256").update(readFileSync(file)).digest());
  const cpu = files.map((f) => /ggml-(cpu[a-z0-9-]*)/.exec(basename(f))?.[1]).find((c) => c !== undefined);
  return { digest: whole.digest("hex"), device: `${process.platform}-${process.arch}/${cpu ?? "cpu"}` };
}

async function run(call: LanguageCall, emit: (event: LanguageEvent) => void, signal: AbortSignal): Promise<void> {
  if (!loaded) throw new Error("run before load");
  refuseForeignBias(loaded.model, call.sampling.bias);
  const { rendered, tokens } = readInput(loaded, call);
  const room = loaded.limit - tokens.length;
  const wanted = call.maxTokens ?? Math.min(call.mostOutput, Math.max(room, 1));
  if (wanted > room) throw tooLong(tokens.length, call.maxTokens, loaded.limit);
  emit({ type: "input", rendered, tokens, maxTokens: wanted });
  for (const [choice, seed] of call.seeds.entries()) {
    if (signal.aborted) return;
    await generate(loaded, call, tokens, wanted, choice, seed, emit, signal);
  }
}

const vocabulary = (model: LlamaModel): number => model.fileInfo.metadata.tokenizer.ggml.tokens.length;

function refuseForeignBias(model: LlamaModel, bias: readonly (readonly [number, number])[]): void {
  const foreign = bias.find(([id]) => id >= vocabulary(model));
  if (!foreign) return;
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: `The model has no token ${foreign[0]}, so a bias on it would do nothing.`,
    param: `logit_bias.${foreign[0]}`,
  });
}

const tooLong = (prompt: number, asked: number | null, limit: number) =>
  new CountersignError("CONTEXT_TOO_LONG", {
    message:
      asked === null
        ? `The input has ${prompt} tokens, which fill the model's context of ${limit}.`
        : `The input has ${prompt} tokens and the answer may have ${asked}; together the model has room for ${limit}.`,
    remedy: "Shorten the input, or ask for fewer tokens.",
    param: asked === null ? "messages" : "max_tokens",
    facts: { prompt, limit },
  });

function readInput(
  { model, template }: Loaded,
  { input }: LanguageCall,
): { readonly rendered: string; readonly tokens: readonly Token[] } {
  if (input.kind === "tokens") {
    if (input.tokens.some((t) => t >= vocabulary(model))) {
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: "A token id is not in the model's vocabulary.",
        param: "prompt",
      });
    }
    return { rendered: "", tokens: input.tokens as readonly Token[] };
  }
  if (input.kind === "text") return { rendered: input.text, tokens: tokenise(model, input.text) };
  if (!template) {
    throw new CountersignError("MODEL_TASK_MISMATCH", {
      message: "This model has no chat template; ask it for a completion.",
    });
  }
  const rendered = template.render(input.messages, input.tools);
  return { rendered, tokens: tokenise(model, rendered) };
}

function tokenise(model: LlamaModel, text: string): readonly Token[] {
  const tokens = model.tokenize(text, true);
  const { bos, shouldPrependBosToken } = model.tokens;
  const all = shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  if (all.length > 0) return all;
  throw new CountersignError("REQUEST_FIELD_INVALID", { message: "The input has no tokens.", param: "prompt" });
}

async function generate(
  { llama, model, sequence }: Loaded,
  call: LanguageCall,
  prompt: readonly Token[],
  limit: number,
  choice: number,
  seed: number,
  emit: (event: LanguageEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { sampling, logprobs } = call;
  // With a grammar the engine draws, since it alone knows which tokens the grammar lets through.
  const ours = call.grammar === null && (!isPlainGreedy(sampling) || logprobs !== null);
  const stream = new TextStream(
    (ids, before) => model.detokenize(ids as Token[], false, before as Token[]),
    call.stop,
    prompt,
  );
  const ids: number[] = [];
  const chances: string[] = [];
  const counts = new Map<number, number>();
  const started = performance.now();
  let first = started;
  let finish: "stop" | "length" = "length";
  // A leftover cache would be decoded in other batches, and so in other bits, than the same request on a fresh start.
  await sequence.clearHistory();
  const state = call.grammar ? await grammarState(llama, model, call.grammar.schema) : undefined;
  const tokens = sequence.evaluateWithMetadata(
    [...prompt],
    { probabilities: ours },
    {
      ...(call.grammar && !isGreedy(sampling)
        ? { temperature: sampling.temperature, topP: sampling.topP, topK: sampling.topK, minP: sampling.minP, seed }
        : { temperature: 0 }),
      ...(state && { grammarEvaluationState: state }),
      yieldEogToken: true,
    },
  );
  let next = await tokens.next();
  while (!next.done && !signal.aborted) {
    if (ids.length === 0) first = performance.now();
    const { token: best, probabilities } = next.value as { token: Token; probabilities?: Map<Token, number> };
    const token =
      ours && probabilities && !isPlainGreedy(sampling)
        ? (chooseToken(probabilities, counts, sampling, seed, ids.length) as Token)
        : best;
    ids.push(token);
    counts.set(token, (counts.get(token) ?? 0) + 1);
    if (logprobs !== null) chances.push(logprobText(probabilities?.get(token) ?? 0));
    if (model.isEogToken(token)) {
      finish = "stop";
      break;
    }
    const text = stream.add(token);
    const about = logprobs !== null && probabilities ? [describe(model, token, probabilities, logprobs)] : [];
    if (text !== "" || about.length > 0)
      emit({ type: "piece", choice, text, ...(about.length > 0 && { logprobs: about }) });
    if (stream.stopped || (call.grammar !== null && isWhole(stream.text))) {
      finish = "stop";
      break;
    }
    if (ids.length >= limit) break;
    next = await tokens.next(token === best ? undefined : token);
  }
  await tokens.return?.();
  if (signal.aborted) return;
  const rest = stream.end();
  if (rest !== "") emit({ type: "piece", choice, text: rest });
  if (stream.stopped) finish = "stop";
  const done = performance.now();
  emit({
    type: "choice",
    choice,
    text: stream.text,
    ids,
    logprobs: logprobs === null ? null : chances,
    finish,
    prompt: Math.round(first - started),
    generation: Math.round(done - first),
  });
}

// The engine's grammars let white space follow for ever; a value in braces is over with its last one.
function isWhole(text: string): boolean {
  const trimmed = text.trim();
  if (!/^[{[].*[}\]]$/s.test(trimmed)) return false;
  try {
    JSON.parse(trimmed);
    return true;
  } catch {
    return false;
  }
}

async function grammarState(llama: Llama, model: LlamaModel, schema: unknown) {
  try {
    const grammar =
      schema === null ? await llama.getGrammarFor("json") : await llama.createGrammarForJsonSchema(schema as never);
    return new LlamaGrammarEvaluationState({ model, grammar });
  } catch (cause) {
    throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
      message: "The engine cannot make a grammar of this schema.",
      param: "response_format",
      cause,
    });
  }
}

function describe(model: LlamaModel, token: Token, probabilities: Map<Token, number>, most: number): TokenLogprob {
  const one = (id: Token, p: number) => {
    const text = model.detokenize([id], true);
    return { token: text, logprob: logprobText(p), bytes: [...new TextEncoder().encode(text)] };
  };
  const top: ReturnType<typeof one>[] = [];
  for (const [id, p] of probabilities) {
    if (top.length >= most) break;
    top.push(one(id, p));
  }
  return { ...one(token, probabilities.get(token) ?? 0), top };
}

serveWorker({ load, run });
