import {
  CountersignError,
  type ErrorCode,
  envelopeShape,
  errorTable,
  hex32,
  type Job,
  type RunEvent,
} from "@countersign/core";
import { type Dispatcher, Pool } from "undici";
import * as z from "zod";
import { bearer } from "./catalogue.ts";

/** Runs a job on a node and gives its events; ends when the caller's signal is aborted. */
export type RunOnNode = (nodeUrl: string, job: Job, signal: AbortSignal) => AsyncIterable<RunEvent>;

const text = z.string();
const count = z.number().int().min(0);
const logprobShape = z.strictObject({ token: text, logprob: text, bytes: z.array(count) });
const callShape = z.strictObject({ id: text, name: text, arguments: text });
const outputShape = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("message"),
    content: text.nullable(),
    tool_calls: z.array(callShape),
    finish: text,
  }),
  z.strictObject({ kind: z.literal("text"), text, finish: text }),
  z.strictObject({ kind: z.literal("embedding"), data: text }),
  z.strictObject({ kind: z.literal("tensor"), name: text, type: text, dims: z.array(z.number().int()), data: text }),
]);
const choice = z.number().int().min(0).max(127);
const eventShape = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("delta"),
    choice,
    content: text.optional(),
    tool_calls: z.array(z.looseObject({})).optional(),
    logprobs: z.array(logprobShape.extend({ top: z.array(logprobShape) })).optional(),
  }),
  z.strictObject({ type: z.literal("output"), choice: z.number().int().min(0), output: outputShape }),
  z.strictObject({
    type: z.literal("done"),
    statement: envelopeShape,
    leaves: z.array(hex32),
    openings: z.array(z.looseObject({})),
    receiptSecret: hex32.nullable(),
    result: z.looseObject({
      usage: z.looseObject({ prompt_tokens: count, completion_tokens: count, total_tokens: count }),
      finish: z.array(text),
      timings: z.looseObject({}),
    }),
    keys: z.array(envelopeShape).max(16),
    evidence: z
      // An enclave's one attestation: whatever else a node sends would be kept and served for it.
      .array(
        z.strictObject({
          envelope: envelopeShape,
          blob: z
            .string()
            .max(2 << 20)
            .nullable(),
        }),
      )
      .max(1)
      .optional(),
  }),
  z.strictObject({ type: z.literal("sealed"), data: text }),
  z.strictObject({ type: z.literal("error"), code: text, message: text, param: text.optional() }),
]);

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("UPSTREAM_MALFORMED", { message: "The node's answer cannot be read.", why, cause });

/** Reads one line of a run's stream. @throws UPSTREAM_MALFORMED */
export function readEvent(line: string): RunEvent {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw malformed("A line is not JSON text.", cause);
  }
  const read = eventShape.safeParse(value);
  if (!read.success) throw malformed(z.prettifyError(read.error).split("\n").slice(0, 2).join(" "), read.error);
  return read.data as RunEvent;
}

/** A node's error event, or error answer, as ours: its code if we know it. */
export function nodeError(error: {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly param?: unknown;
}): CountersignError {
  // Who pays and who may come in is between gateway and client: a node that answers "pay" or "no token" is only broken.
  const known =
    typeof error.code === "string" &&
    Object.hasOwn(errorTable, error.code) &&
    ![401, 402].includes(errorTable[error.code as ErrorCode].http);
  const message = typeof error.message === "string" ? (error.message.split("\n")[0] as string).slice(0, 1024) : "";
  return new CountersignError(known ? (error.code as ErrorCode) : "ENGINE_FAILED", {
    message: message || "The node failed the run.",
    ...(typeof error.param === "string" && { param: error.param }),
  });
}

function decode(
  decoder: { decode(bytes: Uint8Array, options: { stream: boolean }): string },
  chunk: Uint8Array,
): string {
  try {
    return decoder.decode(chunk, { stream: true });
  } catch (cause) {
    throw malformed("It is not UTF-8.", cause);
  }
}

/** Lines of a byte stream. @throws UPSTREAM_MALFORMED past the limit of bytes */
async function* linesOf(body: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  // Pieces of the line that has no end yet: searched and joined once, however many there are.
  let open: string[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw malformed(`It is longer than ${limit} bytes.`);
    const lines = decode(decoder, chunk).split("\n");
    const last = lines.pop() as string;
    for (const end of lines) {
      const line = open.join("") + end;
      open = [];
      if (line !== "") yield line;
    }
    if (last !== "") open.push(last);
  }
  if (open.length > 0) yield open.join("");
}

/** Runs jobs over HTTP: `POST /run`, answered by one event a line, over one pool of connections per node. */
export function openNodeRunner(options: {
  readonly runMs: number;
  readonly answerBytes: number;
  readonly token: string | null;
}): {
  readonly run: RunOnNode;
  readonly close: () => Promise<void>;
} {
  const pools = new Map<string, Pool>();
  const poolOf = (origin: string) => {
    const pool = pools.get(origin) ?? new Pool(origin, { connections: 128, headersTimeout: 0, bodyTimeout: 0 });
    pools.set(origin, pool);
    return pool;
  };
  async function* run(nodeUrl: string, job: Job, caller: AbortSignal): AsyncGenerator<RunEvent> {
    const timeout = AbortSignal.timeout(options.runMs);
    const signal = AbortSignal.any([caller, timeout]);
    const explain = (error: unknown): unknown => {
      if (CountersignError.is(error)) return error;
      if (caller.aborted)
        return new CountersignError("RUN_CANCELLED", { message: "The caller went away.", cause: error });
      if (timeout.aborted) {
        return new CountersignError("RUN_TIMEOUT", {
          message: `The run took longer than ${options.runMs} ms; nothing was charged.`,
          cause: error,
        });
      }
      return undefined;
    };
    const url = new URL("/run", nodeUrl);
    let response: Dispatcher.ResponseData;
    try {
      response = await poolOf(url.origin).request({
        path: url.pathname,
        method: "POST",
        headers: { "content-type": "application/json", ...bearer(options.token) },
        body: JSON.stringify(job),
        signal,
      });
    } catch (cause) {
      throw explain(cause) ?? new CountersignError("NODE_UNREACHABLE", { message: "The node does not answer.", cause });
    }
    try {
      if (response.statusCode !== 200) throw nodeError(await errorOf(response));
      for await (const line of linesOf(response.body, options.answerBytes)) yield readEvent(line);
    } catch (cause) {
      // A stream that breaks has no signed end: whatever came before is no answer (silent failures G2).
      throw (
        explain(cause) ??
        new CountersignError("STREAM_TRUNCATED", {
          message: "The node's answer broke off before its signed end.",
          cause,
        })
      );
    } finally {
      response.body.destroy();
    }
  }
  return {
    run,
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

async function errorOf(response: Dispatcher.ResponseData): Promise<{ readonly code?: unknown }> {
  try {
    const body = (await response.body.json()) as { readonly error?: { readonly code?: unknown } };
    return body.error ?? {};
  } catch {
    return {};
  }
}
