import { type AnswerOpener, readPrivatePart, readSealedAnswer, readSealedEvent } from "@countersign/channel";
import { CountersignError, concat, type Hex, isObject, type Json, type JsonObject } from "@countersign/core";
import { type Frame, FrameReader, framesOf, isFinal, malformed, truncated } from "../event-stream.ts";
import { errorOf, readObject } from "../http.ts";
import type { Sealed } from "../request.ts";
import { withEvidence } from "./changed-answer.ts";

/** What a sealed answer's holder needs beside it. */
export type Holder = { readonly receiptId: string | undefined; readonly clientNonce: Hex };

/** A sealed answer in one piece, opened. */
export type OpenedAnswer = {
  /** The body as the endpoint writes it. */
  readonly body: Uint8Array;
  /** What came in clear with the holder's part of the receipt in its place. */
  readonly countersign: JsonObject;
  /** Digest over nonce and sealed chunks. */
  readonly answer: Hex;
};

const isOpening = (value: Json): value is JsonObject => isObject(value) && typeof value.path === "string";

/** The receipt with what only its holder reads. What is in it is judged with everything else, not here. */
function withPrivate(countersign: JsonObject | undefined, last: Uint8Array, holder: Holder): JsonObject {
  const { openings, receiptSecret } = readPrivatePart(last);
  const receipt = countersign?.receipt;
  if (!isObject(receipt)) return countersign ?? {};
  const own = openings as unknown as readonly Json[];
  const paths = new Set(own.filter(isOpening).map((o) => o.path));
  const shown = Array.isArray(receipt.openings) ? (receipt.openings as readonly Json[]) : [];
  return {
    ...countersign,
    receipt: {
      ...receipt,
      // The enclave's word comes first: an opening from outside must not stand in the place of one from inside.
      openings: [...own, ...shown.filter((o) => !isOpening(o) || !paths.has(o.path as Json))],
      holder:
        holder.receiptId === undefined
          ? null
          : { receiptId: holder.receiptId, receiptSecret, clientNonce: holder.clientNonce },
    },
  };
}

/**
 * Opens an answer in one piece (spec/channel.md §5).
 *
 * @throws CHANNEL_PLAINTEXT, CHANNEL_MALFORMED, CHANNEL_UNOPENED, CHANNEL_TRUNCATED
 */
export async function openWhole(sealed: Sealed, value: JsonObject, holder: Holder): Promise<OpenedAnswer> {
  const { nonce, chunks } = readSealedAnswer(value);
  const opener = await sealed.openAnswer(nonce);
  const countersign = isObject(value.countersign) ? value.countersign : undefined;
  const parts: Uint8Array[] = [];
  let last = new Uint8Array();
  // All of them, also behind one that does not open: they are what shows who changed it.
  const read = await Promise.allSettled(chunks.map((chunk) => opener.open(chunk)));
  try {
    for (const one of read) {
      if (one.status === "rejected") throw one.reason;
      const { kind, content } = one.value;
      if (kind === "text") parts.push(content);
      else last = content.slice();
    }
    opener.end();
  } catch (error) {
    throw withEvidence(error, opener.digest(), countersign);
  }
  const body = concat(...parts);
  requireUnsigned(readObject(body));
  return { body, countersign: withPrivate(countersign, last, holder), answer: opener.digest() };
}

/** A receipt inside would take the place of the one that the gateway countersigned. */
function requireUnsigned(value: JsonObject): void {
  if (value.countersign === undefined && !(isObject(value.response) && value.response.countersign !== undefined))
    return;
  throw new CountersignError("CHANNEL_MALFORMED", { message: "A receipt stands inside the sealed answer." });
}

/** The events of a sealed stream, opened, and the digest over nonce and chunks when they are at their end. */
export type OpenedEvents = { readonly frames: AsyncIterable<Frame>; readonly answer: () => Hex | undefined };

/**
 * Opens a sealed stream as it comes: the events inside, as the endpoint writes them, with the receipt on the last.
 *
 * @throws while it is read: CHANNEL_PLAINTEXT, CHANNEL_MALFORMED, CHANNEL_UNOPENED, CHANNEL_TRUNCATED,
 * STREAM_MALFORMED, STREAM_TRUNCATED
 */
export function openEvents(sealed: Sealed, response: Response, holder: Holder): OpenedEvents {
  let opener: AnswerOpener | undefined;
  let ended = false;
  return { frames: read(), answer: () => (ended ? opener?.digest() : undefined) };

  async function* read(): AsyncGenerator<Frame> {
    const inner = new FrameReader();
    // The events that end a stream wait for the receipt, which comes behind them.
    let tail: Frame[] = [];
    let done = false;
    const events = framesOf(response);
    for await (const { value } of events) {
      if (done) throw malformed("Something follows the end of the stream.");
      if (value === "done") {
        done = true;
        continue;
      }
      if (isObject(value.error) && value.sealed === undefined) throw errorOf(value.error, response.status);
      const part = readSealedEvent(value);
      if ("nonce" in part) {
        if (opener) throw malformed("It begins twice.");
        opener = await sealed.openAnswer(part.nonce);
        continue;
      }
      if (!opener) throw malformed("A chunk comes before the nonce.");
      const { kind, content } = await openNext(opener, part, events);
      if (kind === "private") {
        inner.end();
        ended = true;
        yield* sign(tail, withPrivate(part.countersign, content, holder));
        continue;
      }
      for (const frame of inner.feed(content)) {
        if (frame.value !== "done") requireUnsigned(frame.value);
        if (isFinal(frame)) tail.push(frame);
        else {
          yield* tail;
          tail = [];
          yield frame;
        }
      }
    }
    if (!opener) throw truncated("It holds no sealed answer.");
    opener.end();
    if (!done) throw truncated("`[DONE]` did not come.");
  }
}

/** A chunk of a sealed stream, and what stands beside it in clear. */
type Piece = { readonly chunk: Uint8Array; readonly countersign: JsonObject | undefined };

/** Opens the next chunk; when it is not the one that was sealed, reads on to the receipt, which shows who changed it. */
async function openNext(opener: AnswerOpener, { chunk, countersign }: Piece, events: AsyncIterable<Frame>) {
  try {
    const opened = await opener.open(chunk);
    // The gateway says that this is the last, the enclave does not.
    if (countersign && opened.kind !== "private") opener.end();
    return opened;
  } catch (error) {
    throw withEvidence(error, opener.digest(), countersign ?? (await readOn(opener, events)));
  }
}

/** What stands beside the last chunk; undefined where none comes that is one. */
async function readOn(opener: AnswerOpener, events: AsyncIterable<Frame>): Promise<JsonObject | undefined> {
  try {
    for await (const { value } of events) {
      const part = value === "done" ? undefined : readSealedEvent(value);
      if (!part || "nonce" in part) return undefined;
      await opener.open(part.chunk).catch(() => undefined);
      if (part.countersign) return part.countersign;
    }
  } catch {
    // The stream broke as well: there is nothing to show.
  }
  return undefined;
}

/** Puts the receipt where it stands in a stream that is not sealed: on the last event that is one. */
function* sign(tail: readonly Frame[], countersign: JsonObject): Generator<Frame> {
  const at = tail.findLastIndex(({ value }) => value !== "done");
  if (at < 0) throw malformed("No event inside ends the answer.");
  for (const [i, frame] of tail.entries()) {
    const { value } = frame;
    if (i !== at || value === "done") yield frame;
    else if (isObject(value.response))
      yield { ...frame, value: { ...value, response: { ...value.response, countersign } } };
    else yield { ...frame, value: { ...value, countersign } };
  }
}
