import {
  CountersignError,
  type Envelope,
  envelopeShape,
  fromBase64,
  fromUtf8,
  hex32,
  isObject,
  type Json,
  type JsonObject,
  network,
  offerShape,
  offerType,
  parseJson,
  readStatement,
} from "@countersign/core";
import * as z from "zod";

/** Longest header that is read, in characters; gateways send at most 4 KiB. */
const largestHeader = 8192;

const wireAddress = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text.toLowerCase());
const requirements = z.strictObject({
  scheme: z.string().max(64),
  network,
  amount: z.string().regex(/^(?:0|[1-9][0-9]{0,77})$/),
  asset: wireAddress,
  payTo: wireAddress,
  maxTimeoutSeconds: z.number().int().min(1),
  extra: z.looseObject({ name: z.string().max(64), version: z.string().max(16), offer: hex32 }),
});
const required = z.looseObject({
  x402Version: z.literal(2),
  accepts: z.array(z.unknown()).min(1).max(16),
  extensions: z.looseObject({
    countersign: z.looseObject({
      info: z.looseObject({ offerDigest: hex32, requestDigest: hex32, offer: envelopeShape.optional() }),
    }),
  }),
});

/** One way to pay, with the signed offer that it stands for. */
export type PaymentOption = {
  /** In core's spelling. */
  readonly requirements: z.infer<typeof requirements>;
  /** As the gateway wrote it: it is echoed. */
  readonly raw: Json;
  readonly envelope: Envelope;
};

/** A 402, read strictly (x402 version 2). */
export type PaymentRequired = {
  readonly options: readonly PaymentOption[];
  /** As the gateway wrote it. */
  readonly raw: JsonObject;
};

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("PAYMENT_MALFORMED", {
    message: "The gateway's PAYMENT-REQUIRED cannot be read; nothing was signed.",
    why,
    cause,
  });

/** Digest under which a signed offer says it goes; whether that is true is checked with its signature. */
function digestOf(envelope: Envelope): string | undefined {
  try {
    return readStatement(envelope, { name: "offer", predicateType: offerType, predicate: offerShape }).subject;
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}

/** Signed offers in the body of a 402, for those that did not fit into the header. */
function offersIn(body: JsonObject): Envelope[] {
  const holder = isObject(body.x402) ? body.x402 : body;
  const list = z.array(envelopeShape).max(16).safeParse(holder.offers);
  return list.success ? list.data : [];
}

/**
 * Reads a 402: the header, and from the body the offers that the header names by digest.
 *
 * @throws PAYMENT_MALFORMED
 */
export function readPaymentRequired(header: string | null, body: JsonObject): PaymentRequired {
  if (header === null) throw malformed("The header is missing.");
  if (header.length > largestHeader) throw malformed(`It has ${header.length} characters.`);
  let value: Json;
  try {
    value = parseJson(fromUtf8(fromBase64(header)));
  } catch (cause) {
    throw malformed("It is not base64 of JSON text with one reading.", cause);
  }
  const read = required.safeParse(value);
  if (!read.success) throw malformed(z.prettifyError(read.error), read.error);
  const { info } = read.data.extensions.countersign;
  const offers = new Map<string, Envelope>();
  for (const envelope of [...(info.offer ? [info.offer] : []), ...offersIn(body)]) {
    const digest = digestOf(envelope);
    if (digest !== undefined && !offers.has(digest)) offers.set(digest, envelope);
  }
  const options: PaymentOption[] = [];
  for (const raw of (value as JsonObject).accepts as readonly Json[]) {
    const entry = requirements.safeParse(raw);
    if (!entry.success) throw malformed(z.prettifyError(entry.error), entry.error);
    // Other schemes are other clients' business.
    const envelope = entry.data.scheme === "exact" ? offers.get(entry.data.extra.offer) : undefined;
    if (envelope) options.push({ requirements: entry.data, raw, envelope });
  }
  if (options.length === 0) throw malformed("No entry of scheme `exact` comes with a signed offer.");
  return { options, raw: value as JsonObject };
}
