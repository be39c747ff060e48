import {
  CountersignError,
  endpoints,
  fromBase64,
  fromUtf8,
  type Hex,
  type JsonObject,
  modelInputShape,
  modelLeafShape,
  type Opened,
  type Output,
  openFields,
  outputBytes,
  type ProfileLeaf,
  parseCanonical,
  parseRequest,
  profileLeafShape,
  type Receipt,
  readRun,
  type Statement,
  tokensShape,
} from "@countersign/core";
import * as z from "zod";
import type { Engines } from "./engines/engines.ts";
import type { LanguageCall } from "./engines/language.ts";
import type { OnnxCall } from "./engines/onnx-worker.ts";
import { onnxProfile, tensorOutput } from "./execute-tensors.ts";
import { languageCall, languageProfile } from "./execute-text.ts";
import { isElementType, type NamedTensor } from "./models/tensor.ts";
import type { LlamaSpec, OnnxSpec } from "./served.ts";
import { readChat } from "./tasks/chat.ts";
import { readCompletion } from "./tasks/completion.ts";
import { check, generationTable, readSampling } from "./tasks/parameters.ts";
import { readResponses } from "./tasks/responses.ts";

/** One setting in which the recorded execution and this one differ. */
export type ProfileDifference = { readonly setting: string; readonly recorded: string; readonly here: string };

/** Where a replay first came out otherwise. */
export type Difference = {
  readonly where: "input" | "output";
  /** Which answer or tensor. */
  readonly choice: number;
  /** Which token or element. */
  readonly position: number;
  readonly recorded: string | null;
  readonly replayed: string | null;
};

/** What a replay found: a value, and only `same` is a pass. */
export type Replay = {
  readonly status: "same" | "different" | "not-comparable";
  readonly code?: "REPLAY_MISMATCH" | "EXECUTION_PROFILE_MISMATCH";
  readonly firstDifference?: Difference;
  readonly profileDifferences: readonly ProfileDifference[];
  /** Whether the request, rendered again, gave the recorded model input: only where the request itself was opened. */
  readonly input: "same" | "different" | "not-checked";
  /** Tokens or elements that were compared. */
  readonly compared: number;
};

/** What a replay needs. */
export type ReplayRequest = {
  /** A receipt in which modelInput, profile, params, model and the tokens of output are open; with the request open, too, the prompt is rendered again. */
  readonly receipt: Pick<Receipt, "statement" | "leaves" | "openings">;
  /** The weights of a manifest, or undefined where this machine does not have them. */
  readonly models: (manifest: Hex) => Promise<LlamaSpec | OnnxSpec | undefined>;
  readonly engines: Engines;
  readonly signal?: AbortSignal;
};

const missing = (what: string) =>
  new CountersignError("REPLAY_INPUT_MISSING", {
    message: `The receipt does not open ${what}, which a re-execution needs.`,
    remedy: "Ask the receipt's holder for these openings; nobody else can give them.",
  });

/**
 * Runs a recorded inference again, in the recorded execution profile, and compares what came out token by token.
 *
 * Another engine version, library or CPU gives other bits: then the answer is `not-comparable`, never a pass and never
 * a refutation. The node's signature is not checked here: `verify` does that.
 *
 * @throws REPLAY_INPUT_MISSING, STATEMENT_ROOT_MISMATCH, STATEMENT_MALFORMED, and what engines throw
 */
export async function replayReceipt({ receipt, models, engines, signal }: ReplayRequest): Promise<Replay> {
  const opened = openFields(receipt);
  const { predicate } = readRun(receipt.statement);
  const profile = read(opened, "profile", profileLeafShape);
  const { manifest } = read(opened, "model", modelLeafShape);
  const spec = await models(manifest);
  if (!spec) {
    throw new CountersignError("REPLAY_INPUT_MISSING", {
      message: `The weights of model ${manifest} are not on this machine.`,
      remedy: "Fetch them: countersign models pull",
    });
  }
  const stop = signal ?? new AbortController().signal;
  return spec.kind === "llama"
    ? replayText(opened, predicate, profile, spec, engines, stop)
    : replayTensors(opened, profile, spec, engines, stop);
}

function bytesOf(opened: Opened, path: string): Uint8Array | undefined {
  const field = opened.fields.get(path as never);
  if (field === undefined) return opened.elements.get(path);
  return field.kind === "bytes" ? field.bytes : undefined;
}

function read<T>(opened: Opened, path: string, shape: z.ZodType<T>): T {
  const bytes = bytesOf(opened, path);
  if (bytes === undefined || bytes.length === 0) throw missing(path);
  const parsed = shape.safeParse(parseCanonical(bytes));
  if (parsed.success) return parsed.data;
  throw new CountersignError("STATEMENT_MALFORMED", {
    message: `The leaf ${path} is not in its form.`,
    cause: parsed.error,
  });
}

/** Settings that are compared; the sampler and seeds are taken from the record, so they agree by construction. */
function compareProfiles(recorded: ProfileLeaf, here: ProfileLeaf): ProfileDifference[] {
  const flat = (p: ProfileLeaf): Record<string, string> => ({
    engine: p.engine,
    version: p.version,
    library: p.library ?? "none",
    device: p.device,
    dtype: p.dtype,
    ...Object.fromEntries(Object.entries(p.settings).map(([k, v]) => [`settings.${k}`, v])),
    ...Object.fromEntries(Object.entries(p.sampler).map(([k, v]) => [`sampler.${k}`, v])),
    seeds: p.seeds.join(","),
  });
  const [a, b] = [flat(recorded), flat(here)];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return names.flatMap((setting) =>
    a[setting] === b[setting] ? [] : [{ setting, recorded: a[setting] ?? "none", here: b[setting] ?? "none" }],
  );
}

const notComparable = (profileDifferences: readonly ProfileDifference[]): Replay => ({
  status: "not-comparable",
  code: "EXECUTION_PROFILE_MISMATCH",
  profileDifferences,
  input: "not-checked",
  compared: 0,
});

async function replayText(
  opened: Opened,
  statement: Statement,
  profile: ProfileLeaf,
  spec: LlamaSpec,
  engines: Engines,
  signal: AbortSignal,
): Promise<Replay> {
  const { tokens } = read(opened, "modelInput", modelInputShape);
  const recorded = recordedTokens(opened);
  const call = callOf(opened, statement, profile, tokens, recorded.length);
  const number = (name: string, fallback: number) => Number(profile.settings[name] ?? fallback);
  const recordedSpec: LlamaSpec = {
    ...spec,
    context: number("context", spec.context),
    batch: number("batch", spec.batch),
    threads: number("threads", 1),
    flashAttention: profile.settings.flashAttention === "true",
  };
  const info = await engines.loadLanguage(recordedSpec);
  const here = languageProfile(info, call.sampling, call.grammar !== null, call.seeds);
  const differences = compareProfiles(profile, here);
  if (differences.length > 0) return notComparable(differences);
  const got: (readonly number[])[] = [];
  let rendered: readonly number[] = tokens;
  await engines.runLanguage(
    recordedSpec,
    call,
    (event) => {
      if (event.type === "input") rendered = event.tokens;
      else if (event.type === "choice") got[event.choice] = event.ids;
    },
    signal,
  );
  const input = call.input.kind === "tokens" ? "not-checked" : sameList(rendered, tokens) ? "same" : "different";
  const compared = got.reduce((n, ids) => n + ids.length, 0);
  const first =
    input === "different"
      ? firstOf("input", 0, tokens, rendered)
      : recorded.map((ids, c) => firstOf("output", c, ids, got[c] ?? [])).find((d) => d !== undefined);
  return {
    status: first === undefined ? "same" : "different",
    ...(first && { code: "REPLAY_MISMATCH", firstDifference: first }),
    profileDifferences: [],
    input,
    compared,
  };
}

const sameList = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((x, i) => x === b[i]);

function firstOf(
  where: Difference["where"],
  choice: number,
  a: readonly number[],
  b: readonly number[],
): Difference | undefined {
  const text = (n: number | undefined) => (n === undefined ? null : String(n));
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if (a[i] !== b[i]) return { where, choice, position: i, recorded: text(a[i]), replayed: text(b[i]) };
  return undefined;
}

function recordedTokens(opened: Opened): readonly (readonly number[])[] {
  const list = opened.fields.get("output");
  if (list?.kind !== "list" || list.leaves.length === 0) throw missing("output");
  return Array.from({ length: list.leaves.length / 2 }, (_, c) => read(opened, `output/${2 * c + 1}`, tokensShape).ids);
}

/** The engine's call: from the request where it is open, else from the committed parameters over the recorded tokens. */
function callOf(
  opened: Opened,
  statement: Statement,
  profile: ProfileLeaf,
  tokens: readonly number[],
  choices: number,
): LanguageCall {
  const params = read(opened, "params", z.record(z.string(), z.unknown()));
  const limit = params.max_tokens ?? params.max_completion_tokens ?? params.max_output_tokens;
  const mostOutput = typeof limit === "number" ? limit : 1_048_576;
  // Greedy runs record no seeds, since none is drawn from; the engine wants one for each choice all the same.
  const seeds = profile.seeds.length > 0 ? profile.seeds : Array.from({ length: choices }, () => 0);
  const body = bytesOf(opened, "rawRequest");
  if (body !== undefined) {
    const path = statement.endpoint;
    const reader =
      path === "/v1/chat/completions"
        ? readChat
        : path === "/v1/completions"
          ? readCompletion
          : path === "/v1/responses"
            ? readResponses
            : undefined;
    if (!reader) throw missing(`a text request (${endpoints[path].task})`);
    return languageCall(reader(parseRequest(path, body), { maxOutput: mostOutput }), seeds);
  }
  const structured = Object.entries(params).find(([, v]) => typeof v === "object" && v !== null && !Array.isArray(v));
  if (structured) throw missing(`rawRequest, in which ${structured[0]} stands`);
  if (profile.sampler.by === "llama.cpp") throw missing("rawRequest, in which the grammar of the answer stands");
  const value = (name: keyof typeof generationTable) => {
    const given = params[name];
    if (given === undefined || given === null) return undefined;
    return name === "stop" || typeof given !== "string" ? given : Number(given);
  };
  const names = Object.keys(generationTable) as (keyof typeof generationTable)[];
  const values = Object.fromEntries(names.flatMap((n) => (value(n) === undefined ? [] : [[n, value(n)]])));
  const p = check(z.object(generationTable).partial(), values, "params");
  return {
    input: { kind: "tokens", tokens },
    maxTokens: null,
    mostOutput,
    sampling: readSampling(p),
    seeds,
    stop: p.stop === undefined ? [] : typeof p.stop === "string" ? [p.stop] : p.stop,
    logprobs: null,
    grammar: null,
  };
}

async function replayTensors(
  opened: Opened,
  profile: ProfileLeaf,
  spec: OnnxSpec,
  engines: Engines,
  signal: AbortSignal,
): Promise<Replay> {
  const inputs = tensorList(opened, "modelInput").map(readTensor);
  const recorded = tensorList(opened, "output");
  const graph = (["disabled", "basic", "extended", "all"] as const).find((g) => g === profile.settings.graph);
  const info = await engines.loadTensors();
  const differences = compareProfiles(profile, onnxProfile(info, { ...spec, graph: graph ?? spec.graph }));
  if (differences.length > 0) return notComparable(differences);
  let got: readonly NamedTensor[] = [];
  const call: OnnxCall = { path: spec.path, sha256: spec.sha256, graph: graph ?? spec.graph, inputs };
  await engines.runTensors(
    call,
    (event) => {
      got = event.outputs;
    },
    signal,
  );
  const outputs = await asRecorded(opened, recorded, got, spec);
  // By canonical bytes: a record that was read back has its members in another order than one just made.
  const text = (o: Output | undefined) => (o === undefined ? "" : fromUtf8(outputBytes(o)));
  const different = recorded.findIndex((r, i) => text(r) !== text(outputs[i]));
  const at =
    different >= 0 ? different : recorded.length === outputs.length ? -1 : Math.min(recorded.length, outputs.length);
  const show = (o: Output | undefined) => (o === undefined ? null : "data" in o ? o.data.slice(0, 64) : null);
  return {
    status: at < 0 ? "same" : "different",
    ...(at >= 0 && {
      code: "REPLAY_MISMATCH",
      firstDifference: {
        where: "output",
        choice: at,
        position: 0,
        recorded: show(recorded[at]),
        replayed: show(outputs[at]),
      },
    }),
    profileDifferences: [],
    input: "not-checked",
    compared: outputs.length,
  };
}

/** Outputs in the form in which they were committed: tensors as they are, vectors through the model's own decoding. */
async function asRecorded(
  opened: Opened,
  recorded: readonly Output[],
  got: readonly NamedTensor[],
  spec: OnnxSpec,
): Promise<readonly Output[]> {
  if (!recorded.some((o) => o.kind === "embedding")) return got.map(tensorOutput);
  const body = bytesOf(opened, "rawRequest");
  if (body === undefined || !spec.task) throw missing("rawRequest");
  const { input } = JSON.parse(fromUtf8(body)) as { input: unknown };
  const { embeddings } = (await spec.task.decode(got, { input })) as JsonObject;
  return (embeddings as readonly string[]).map((data) => ({ kind: "embedding", data }));
}

function tensorList(opened: Opened, field: "modelInput" | "output"): readonly Output[] {
  const list = opened.fields.get(field);
  if (list?.kind !== "list") throw missing(field);
  return list.leaves.map((_, i) => {
    const bytes = opened.elements.get(`${field}/${i}`);
    if (bytes === undefined) throw missing(`${field}/${i}`);
    return parseCanonical(bytes) as unknown as Output;
  });
}

function readTensor(output: Output): NamedTensor {
  if (output.kind === "tensor" && isElementType(output.type))
    return { name: output.name, type: output.type, dims: output.dims, data: fromBase64(output.data) };
  throw new CountersignError("STATEMENT_MALFORMED", { message: "A recorded input is not a tensor." });
}
