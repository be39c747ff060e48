import {
  CountersignError,
  canonicalBytes,
  type Field,
  fromBase64,
  fromHex,
  type Hex,
  hex32,
  isObject,
  type JsonObject,
  type Opening,
  parseCanonical,
  toBase64,
  toHex,
} from "@countersign/core";
import * as z from "zod";

/** What of a receipt only its holder reads. */
export type PrivatePart = { readonly openings: readonly Opening[]; readonly receiptSecret: Hex };

/** Fields that hold nothing of the conversation: their openings travel in clear, all others in the private part. */
export const clearFields: ReadonlySet<string> = new Set<Field>([
  "model",
  "clientNonce",
  "policy",
  "offer",
  "payment",
  "promptVersion",
  "result",
]);

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("CHANNEL_MALFORMED", { message: "The sealed answer cannot be read.", why, cause });

// The openings are read with the receipt that they become part of.
const privateShape = z.strictObject({ openings: z.array(z.unknown()), receiptSecret: hex32 });

/** Bytes of the last chunk. */
export const writePrivatePart = (part: PrivatePart): Uint8Array => canonicalBytes(part);

/** Reads the last chunk. @throws CHANNEL_MALFORMED */
export function readPrivatePart(bytes: Uint8Array): PrivatePart {
  try {
    const { openings, receiptSecret } = privateShape.parse(parseCanonical(bytes));
    return { openings: openings as readonly Opening[], receiptSecret };
  } catch (cause) {
    throw malformed("Its private part is not what it must be.", cause);
  }
}

/** The member `sealed` of an answer in one piece. */
export const writeSealedAnswer = (nonce: Uint8Array, chunks: readonly Uint8Array[]): JsonObject => ({
  nonce: toHex(nonce),
  chunks: chunks.map(toBase64),
});
/** The member `sealed` of an event: the nonce first, then a chunk each. */
export const writeSealedNonce = (nonce: Uint8Array): JsonObject => ({ nonce: toHex(nonce) });
export const writeSealedChunk = (chunk: Uint8Array): JsonObject => ({ chunk: toBase64(chunk) });

const answerShape = z.strictObject({ nonce: hex32, chunks: z.array(z.string()).min(1) });
const eventShape = z.union([z.strictObject({ nonce: hex32 }), z.strictObject({ chunk: z.string() })]);

function bytesOf(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch (cause) {
    throw malformed("A chunk is not canonical base64.", cause);
  }
}

/** @throws CHANNEL_PLAINTEXT where nothing is sealed: an answer in clear is never taken in its place */
function requireSealed(value: JsonObject): void {
  if (isObject(value.sealed)) return;
  throw new CountersignError("CHANNEL_PLAINTEXT", {
    message: "The answer came in clear although the request was sealed.",
    why: "Whoever wrote it did not open the request, or wants it to be read on the way.",
    remedy: "Do not use this gateway for it.",
  });
}

/** That beside what is sealed nothing stands but what the gateway may add. */
function requireOnly(value: JsonObject, names: readonly string[]): void {
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other !== undefined) throw malformed(`\`${other.slice(0, 64)}\` stands in clear beside it.`);
}

/** Reads an answer in one piece. @throws CHANNEL_PLAINTEXT, CHANNEL_MALFORMED */
export function readSealedAnswer(value: JsonObject): { readonly nonce: Uint8Array; readonly chunks: Uint8Array[] } {
  requireSealed(value);
  requireOnly(value, ["sealed", "countersign"]);
  const read = answerShape.safeParse(value.sealed);
  if (!read.success) throw malformed(z.prettifyError(read.error), read.error);
  return { nonce: fromHex(read.data.nonce), chunks: read.data.chunks.map(bytesOf) };
}

/** Reads one event of a sealed stream. @throws CHANNEL_PLAINTEXT, CHANNEL_MALFORMED */
export function readSealedEvent(
  value: JsonObject,
): { readonly nonce: Uint8Array } | { readonly chunk: Uint8Array; readonly countersign: JsonObject | undefined } {
  requireSealed(value);
  const { countersign } = value;
  const signed = isObject(countersign) ? countersign : undefined;
  requireOnly(value, signed ? ["choices", "sealed", "countersign"] : ["sealed"]);
  // Clients of the open protocol find an empty list there; anything in it would be text in clear.
  if (value.choices !== undefined && !(Array.isArray(value.choices) && value.choices.length === 0))
    throw malformed("`choices` stand in clear beside it.");
  const read = eventShape.safeParse(value.sealed);
  if (!read.success) throw malformed(z.prettifyError(read.error), read.error);
  if ("chunk" in read.data) return { chunk: bytesOf(read.data.chunk), countersign: signed };
  if (signed) throw malformed("The receipt stands beside the nonce.");
  return { nonce: fromHex(read.data.nonce) };
}
