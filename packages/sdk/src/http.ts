import {
  CountersignError,
  type ErrorCode,
  errorTable,
  fromUtf8,
  isObject,
  type Json,
  type JsonObject,
  parseJson,
} from "@countersign/core";
import type { Settings } from "./settings.ts";

type Sender = Pick<Settings, "fetch" | "gateway">;

/** Largest answer that is read, in bytes. */
const largestAnswer = 64 << 20;

/** Sends to the gateway. @throws GATEWAY_UNREACHABLE; an abort by the caller's own signal stays what it is */
export async function send(to: Sender, path: string, init: RequestInit): Promise<Response> {
  try {
    // A redirect would carry prompt and payment to somebody else.
    return await to.fetch(to.gateway + path, { ...init, redirect: "error" });
  } catch (cause) {
    if (init.signal?.aborted) throw init.signal.reason;
    throw new CountersignError("GATEWAY_UNREACHABLE", {
      message: `The gateway at ${to.gateway} does not answer.`,
      remedy: "Check the address and whether it runs. What was signed for it expires by itself.",
      cause,
    });
  }
}

/** Bytes of an answer. @throws STREAM_TRUNCATED when the connection breaks, STREAM_MALFORMED past 64 MiB */
export async function readBytes(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of readParts(response)) {
    size += part.length;
    if (size > largestAnswer) {
      throw new CountersignError("STREAM_MALFORMED", { message: `The answer is larger than ${largestAnswer} bytes.` });
    }
    parts.push(part);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** An answer's bytes as they come. @throws STREAM_TRUNCATED when the connection breaks */
export async function* readParts(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    if (CountersignError.is(cause) || (cause instanceof DOMException && cause.name === "AbortError")) throw cause;
    throw new CountersignError("STREAM_TRUNCATED", { message: "The connection broke before the answer's end.", cause });
  } finally {
    // Whoever stops reading early stops the run as well.
    reader.cancel().catch(() => undefined);
  }
}

/** Text of an answer that must be one JSON object with one reading. @throws STREAM_MALFORMED */
export function readObject(bytes: Uint8Array): JsonObject {
  let value: Json;
  try {
    value = parseJson(fromUtf8(bytes));
  } catch (cause) {
    throw new CountersignError("STREAM_MALFORMED", { message: "The answer is not JSON text with one reading.", cause });
  }
  if (isObject(value)) return value;
  throw new CountersignError("STREAM_MALFORMED", { message: "The answer is not a JSON object." });
}

const isCode = (code: unknown): code is ErrorCode => typeof code === "string" && Object.hasOwn(errorTable, code);
const part = (text: string, start: string) =>
  text
    .split("\n")
    .find((line) => line.startsWith(start))
    ?.slice(start.length);

/** Rebuilds the error that the gateway sent; a code that is not in the table becomes INTERNAL with its text. */
export function errorOf(error: unknown, status: number): CountersignError {
  const { code, message, param, facts } = isObject(error) ? error : ({} as JsonObject);
  const text = typeof message === "string" ? message.slice(0, 4096) : `HTTP status ${status} without an explanation.`;
  const detail = {
    message: text.split("\n")[0] as string,
    why: part(text, "Why: "),
    remedy: part(text, "What to do: "),
    param: typeof param === "string" ? param : undefined,
    // These are the gateway's words, and stay marked as such.
    facts: { status, gateway: isObject(facts) ? facts : {} },
  };
  if (isCode(code)) return new CountersignError(code, detail);
  return new CountersignError("INTERNAL", {
    ...detail,
    message: `The gateway failed with ${typeof code === "string" ? JSON.stringify(code.slice(0, 64)) : "no code"}: ${detail.message}`,
  });
}

/** The error in an answer that is not a success. */
export async function readError(response: Response): Promise<CountersignError> {
  let body: JsonObject = {};
  try {
    body = readObject(await readBytes(response));
  } catch (cause) {
    if (!CountersignError.is(cause)) throw cause;
  }
  return errorOf(body.error, response.status);
}
