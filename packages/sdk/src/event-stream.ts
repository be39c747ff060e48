import {
  CountersignError,
  type DeliveredEvent,
  type EndpointPath,
  isObject,
  type JsonObject,
  readEvent,
} from "@countersign/core";
import { errorOf, readParts } from "./http.ts";

/** One event of a stream: its object, or the closing `[DONE]`. */
export type Frame = DeliveredEvent;

export const malformed = (why: string, cause?: unknown) =>
  new CountersignError("STREAM_MALFORMED", { message: "The stream holds something that is not an event.", why, cause });
export const truncated = (why: string) =>
  new CountersignError("STREAM_TRUNCATED", { message: "The stream ended before its signed end.", why });

/** Largest stream that is read, in bytes, comments included: as large as an answer in one piece may be. */
const largestStream = 64 << 20;
/** Longest event that is read, in UTF-16 units: a receipt with its openings is far below. */
const longestEvent = 16 << 20;

/**
 * Splits a byte stream into events, refusing everything that two readers could read differently: carriage returns,
 * unknown fields, invalid UTF-8, ambiguous JSON. Comments are dropped.
 */
export class FrameReader {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #rest = "";

  feed(bytes: Uint8Array): Frame[] {
    let text: string;
    try {
      text = this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw malformed("It is not UTF-8.", cause);
    }
    const events = (this.#rest + text).split("\n\n");
    this.#rest = events.pop() as string;
    if (this.#rest.length > longestEvent) throw malformed("An event is too long.");
    return events.flatMap((block) => readEvent(block) ?? []);
  }

  /** @throws STREAM_TRUNCATED when the last event is cut off */
  end(): void {
    if (this.#rest.trim() !== "") throw truncated("The last event is cut off.");
  }
}

const finals = ["response.completed", "response.incomplete"];

/** The `countersign` member of an event, on the one event that may carry it. */
export function signedPart(path: EndpointPath, value: JsonObject): JsonObject | undefined {
  const holder =
    path !== "/v1/responses"
      ? value
      : finals.includes(String(value.type)) && isObject(value.response)
        ? value.response
        : {};
  return isObject(holder.countersign) ? holder.countersign : undefined;
}

/** Whether an event is one of those that end a stream: on the last of them that is an object the receipt stands. */
export const isFinal = ({ value }: Frame): boolean =>
  value === "done" ||
  (Array.isArray(value.choices) && value.choices.length === 0) ||
  finals.includes(String(value.type));

/** The events of a response as they come, whatever they say. @throws STREAM_MALFORMED, STREAM_TRUNCATED */
export async function* framesOf(response: Response): AsyncGenerator<Frame> {
  const reader = new FrameReader();
  let size = 0;
  for await (const bytes of readParts(response)) {
    size += bytes.length;
    // Held events are gathered until the verdict: a stream without end would fill the memory of who waits for it.
    if (size > largestStream) throw malformed(`It is larger than ${largestStream} bytes.`);
    yield* reader.feed(bytes);
  }
  reader.end();
}

/**
 * The events of an answer, up to its signed end.
 *
 * @param frames The events as they came, or as they were opened.
 * @param status Of the response, for the errors in it.
 * @throws the typed error of an error event; STREAM_MALFORMED for anything after the signed event but `[DONE]`;
 * STREAM_TRUNCATED when the signed event, or `[DONE]` where the endpoint has it, does not come
 */
export async function* readFrames(
  path: EndpointPath,
  frames: AsyncIterable<Frame>,
  status: number,
): AsyncGenerator<Frame> {
  let signed = false;
  let done = false;
  for await (const frame of frames) {
    if (done) throw malformed("Something follows the end of the stream.");
    if (frame.value === "done") {
      if (!signed) throw truncated("`[DONE]` came without a signed event before it.");
      done = true;
    } else {
      if (isObject(frame.value.error) && frame.value.type === undefined) throw errorOf(frame.value.error, status);
      if (frame.value.type === "error" || frame.value.type === "response.failed")
        throw errorOf(failureOf(frame.value), status);
      if (signed) throw malformed("An event follows the signed one.");
      if (frame.event !== undefined && frame.event !== frame.value.type)
        throw malformed("An event's name is not its type.");
      signed = signedPart(path, frame.value) !== undefined;
    }
    yield frame;
  }
  if (!signed) throw truncated("No event carries the receipt.");
  if (!done && path !== "/v1/responses") throw truncated("`[DONE]` did not come.");
}

const failureOf = (value: JsonObject): unknown =>
  isObject(value.response) ? value.response.error : isObject(value.error) ? value.error : value;

/** An event as text, the way it is handed on. */
export const writeFrame = ({ event, value }: Frame): string =>
  `${event === undefined ? "" : `event: ${event}\n`}data: ${value === "done" ? "[DONE]" : JSON.stringify(value)}\n\n`;
