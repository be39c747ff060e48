import {
  CountersignError,
  concat,
  endpoints,
  eventData,
  fromUtf8,
  type Json,
  type JsonObject,
  type Output,
  type ParsedRequest,
  type ProfileLeaf,
  parseJson,
  parseObjectWithSlices,
  readOutputs,
  type Usage,
  utf8,
} from "@countersign/core";
import * as z from "zod";
import type { CheckedJob } from "./check-job.ts";
import type { Delta, Execute } from "./execution.ts";
import type { UpstreamSpec } from "./served.ts";

/** Bytes that an upstream may answer with: 64 MiB. */
const mostBytes = 64 * 1024 * 1024;

/**
 * Relays a request to another OpenAI-compatible server and commits what went out and what came back: `origin`, never
 * `execution`. Text streams; vectors come whole.
 *
 * @throws UPSTREAM_FAILED, UPSTREAM_MALFORMED, RUN_INCOMPLETE, USAGE_MISSING, MODEL_MISMATCH
 */
export async function* executeUpstream({ job, request }: CheckedJob, spec: UpstreamSpec, signal: AbortSignal): Execute {
  const { task } = endpoints[job.path];
  if (task !== "chat" && task !== "completion" && task !== "embedding") {
    throw new CountersignError("MODEL_TASK_MISMATCH", {
      message: `Relaying ${job.path} is not supported.`,
      param: "model",
    });
  }
  const streams = task !== "embedding";
  const forwarded = rewriteBody(request, spec.model, streams);
  const began = performance.now();
  const response = await send(`${spec.url}${job.path.slice("/v1".length)}`, forwarded, spec, signal);
  const queued = Math.round(performance.now() - began);
  const read = streams ? yield* readStream(response, task, signal) : await readWhole(response);
  const substitutedFrom = checkServed(read.served, spec);
  return {
    forwarded,
    modelInput: undefined,
    outputs: read.outputs.map((output) => ({ output })),
    defaults: {},
    profile: unknownProfile,
    result: {
      usage: read.usage,
      finish: read.outputs.flatMap((o) => ("finish" in o ? [o.finish] : [])),
      timings: { queued, prompt: 0, generation: Math.round(performance.now() - began) - queued },
    },
    rewrites: ["model"],
    served: read.served,
    substitutedFrom,
  };
}

/** Of another host's execution nothing is known, and nothing is made up. */
const unknownProfile: ProfileLeaf = {
  engine: "upstream",
  version: "unknown",
  library: null,
  device: "unknown",
  dtype: "unknown",
  settings: {},
  sampler: { kind: "unknown" },
  seeds: [],
};

const member = (name: string, value: Uint8Array): Uint8Array => concat(utf8(`${JSON.stringify(name)}:`), value);

/**
 * The body with the upstream's name for the model; all other members stay the bytes they were, and only those that steer
 * the transport (spec/receipt.md §3.2) are ours. So `model` is the one rewrite; the bytes sent are leaf `forwarded`.
 */
function rewriteBody(request: ParsedRequest, model: string, streams: boolean): Uint8Array {
  const body = request.contents.rawRequest as Uint8Array;
  const { slices } = parseObjectWithSlices(body);
  const members: Uint8Array[] = [member("model", utf8(JSON.stringify(model)))];
  for (const [name, [from, to]] of slices.members) {
    // `verification` is for us alone: a foreign server would refuse it.
    const ours = name === "model" || name === "verification" || (streams && /^stream(?:_options)?$/.test(name));
    if (!ours) members.push(member(name, body.subarray(from, to)));
  }
  // Always streamed and with usage, whatever the caller reads: so one path checks that the answer is whole.
  if (streams) members.push(member("stream", utf8("true")), member("stream_options", utf8('{"include_usage":true}')));
  const joined = members.flatMap((m, i) => (i === 0 ? [m] : [utf8(","), m]));
  return concat(utf8("{"), ...joined, utf8("}"));
}

async function send(url: string, body: Uint8Array, spec: UpstreamSpec, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(spec.apiKey !== null && { authorization: `Bearer ${spec.apiKey}` }),
      },
      body: body as Uint8Array<ArrayBuffer>,
      // A redirect would take request and key to a host that nobody configured.
      redirect: "error",
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw failed("The upstream server does not answer.", cause);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw failed(`The upstream server answered with status ${response.status}.`);
}

const failed = (message: string, cause?: unknown) => new CountersignError("UPSTREAM_FAILED", { message, cause });
const malformed = (why: string, cause?: unknown) =>
  new CountersignError("UPSTREAM_MALFORMED", { message: "The upstream's answer cannot be read.", why, cause });

type Read = { readonly outputs: readonly Output[]; readonly usage: Usage; readonly served: string };

const usageShape = z.object({
  prompt_tokens: z.number().int().min(0),
  completion_tokens: z.number().int().min(0).default(0),
  total_tokens: z.number().int().min(0),
});

function readUsage(value: unknown): Usage {
  const read = usageShape.safeParse(value);
  if (read.success) return read.data;
  throw new CountersignError("USAGE_MISSING", {
    message: "The upstream server did not say what the answer used, so nothing can be charged.",
    why: "Absent usage is not zero.",
  });
}

/** Refuses an answer by another model, unless its passing on was configured. */
function checkServed(served: string, spec: UpstreamSpec): string | null {
  if (served === spec.model) return null;
  if (spec.allowSubstitution) return spec.model;
  throw new CountersignError("MODEL_MISMATCH", {
    message: `The upstream was asked for ${spec.model} and says that ${served.slice(0, 128)} answered.`,
    remedy: "Configure the name that the upstream uses, or allow substitution if the receipt may say so.",
  });
}

function servedName(value: Json | undefined): string {
  if (typeof value === "string" && value !== "" && value.length <= 256) return value;
  throw malformed("It does not say which model answered.");
}

async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > mostBytes) throw malformed(`It is longer than ${mostBytes} bytes.`);
    yield chunk;
  }
}

function parseAnswer(text: string): JsonObject {
  try {
    const value = parseJson(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch (cause) {
    throw malformed("It is not JSON text.", cause);
  }
  throw malformed("It is not a JSON object.");
}

async function readWhole(response: Response): Promise<Read> {
  const parts: Uint8Array[] = [];
  try {
    for await (const chunk of chunks(response)) parts.push(chunk);
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw failed("The upstream's answer broke off.", cause);
  }
  const body = parseAnswer(fromUtf8(concat(...parts)));
  let outputs: readonly Output[];
  try {
    outputs = readOutputs("/v1/embeddings", body);
  } catch (cause) {
    throw malformed("It is not a list of embeddings.", cause);
  }
  if (outputs.length === 0) throw new CountersignError("RUN_INCOMPLETE", { message: "The upstream gave no vector." });
  return { outputs, usage: readUsage(body.usage), served: servedName(body.model) };
}

type Growing = {
  content: string | null;
  finish: string | null;
  calls: Map<number, { id: string; name: string; arguments: string }>;
};

/** Reads an event stream as it comes; text goes on at once, tool calls when they are whole. */
async function* readStream(
  response: Response,
  task: "chat" | "completion",
  signal: AbortSignal,
): AsyncGenerator<Delta, Read, void> {
  const choices = new Map<number, Growing>();
  let usage: Json | undefined;
  let served: string | undefined;
  let finished = false;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  const take = function* (text: string): Generator<Delta, void, void> {
    if (text.split(/\r?\n/).some((l) => /^data: ?\[DONE\]$/.test(l))) finished = true;
    for (const data of eventData(text)) {
      const chunk = parseAnswer(data);
      if (chunk.error !== undefined && chunk.error !== null) throw failed("The upstream failed while it answered.");
      if (chunk.usage !== undefined && chunk.usage !== null) usage = chunk.usage;
      if (chunk.model !== undefined) {
        const name = servedName(chunk.model);
        if (served !== undefined && served !== name) throw malformed("It changes the model's name on the way.");
        served = name;
      }
      for (const choice of Array.isArray(chunk.choices) ? (chunk.choices as readonly JsonObject[]) : []) {
        const content = takeChoice(choices, choice, task);
        if (content !== undefined) yield { type: "delta", choice: Number(choice.index ?? 0), content };
      }
    }
  };
  try {
    for await (const chunk of chunks(response)) {
      rest += decoder.decode(chunk, { stream: true });
      const cut = Math.max(rest.lastIndexOf("\n\n"), rest.lastIndexOf("\r\n\r\n"));
      if (cut < 0) continue;
      yield* take(rest.slice(0, cut + 2));
      rest = rest.slice(cut + 2);
    }
    yield* take(rest + decoder.decode());
  } catch (cause) {
    signal.throwIfAborted();
    if (CountersignError.is(cause)) throw cause;
    throw failed("The upstream's stream broke off.", cause);
  }
  const incomplete = choices.size === 0 || [...choices.values()].some((c) => c.finish === null);
  if (incomplete || (!finished && usage === undefined)) {
    throw new CountersignError("RUN_INCOMPLETE", {
      message: "The upstream's stream ended before a full answer was there.",
    });
  }
  const indices = [...choices.keys()].sort((a, b) => a - b);
  if (indices.some((c, i) => c !== i)) throw malformed("Its choices are not numbered from 0.");
  const outputs: Output[] = [];
  for (const index of indices) {
    const { content, finish, calls } = choices.get(index) as Growing & { finish: string };
    const list = [...calls.entries()].sort(([a], [b]) => a - b).map(([, call]) => call);
    if (list.some((c) => c.id === "" || c.name === "")) throw malformed("A tool call has no id or no name.");
    if (list.length > 0)
      yield { type: "delta", choice: index, tool_calls: list.map((call, i) => ({ index: i, ...call })) };
    else if (content === null) yield { type: "delta", choice: index, content: "" };
    outputs.push(
      task === "completion"
        ? { kind: "text", text: content ?? "", finish }
        : { kind: "message", content: list.length > 0 ? content : (content ?? ""), tool_calls: list, finish },
    );
  }
  return { outputs, usage: readUsage(usage), served: served ?? servedName(undefined) };
}

/** Adds a chunk's choice; gives its new text, if any. */
function takeChoice(
  choices: Map<number, Growing>,
  choice: JsonObject,
  task: "chat" | "completion",
): string | undefined {
  const index = choice.index ?? 0;
  if (!Number.isSafeInteger(index) || Number(index) < 0 || Number(index) > 127)
    throw malformed("A choice has no number.");
  const grown = choices.get(Number(index)) ?? { content: null, finish: null, calls: new Map() };
  choices.set(Number(index), grown);
  if (typeof choice.finish_reason === "string") grown.finish = choice.finish_reason.slice(0, 64);
  const delta = (task === "completion" ? { content: choice.text } : (choice.delta ?? {})) as JsonObject;
  for (const part of Array.isArray(delta.tool_calls) ? (delta.tool_calls as readonly JsonObject[]) : []) {
    const at = Number(part.index ?? 0);
    const call = grown.calls.get(at) ?? { id: "", name: "", arguments: "" };
    const fn = (part.function ?? {}) as JsonObject;
    grown.calls.set(at, {
      id: typeof part.id === "string" ? part.id : call.id,
      name: call.name + (typeof fn.name === "string" ? fn.name : ""),
      arguments: call.arguments + (typeof fn.arguments === "string" ? fn.arguments : ""),
    });
  }
  const { content } = delta;
  if (typeof content !== "string" || content === "") return undefined;
  grown.content = (grown.content ?? "") + content;
  return content;
}
