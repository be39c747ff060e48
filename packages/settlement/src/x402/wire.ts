import {
  CountersignError,
  type Envelope,
  envelopeShape,
  fromBase64,
  fromUtf8,
  type Hex,
  hex32,
  network,
  type Offer,
  parseJson,
  toBase64,
  utf8,
} from "@countersign/core";
import * as z from "zod";

/** The header may not be larger than this: proxies and Node's fetch fail without a useful word (protocol-review C). */
export const largestRequiredHeader = 4096;
/** A payment header echoes the extension beside the payment itself, so it may be larger; nothing above is decoded. */
export const largestPaymentHeader = 8192;
/** Longest life of an authorisation that is asked for, in seconds (silent failures P6). */
export const longestTimeout = 600;

// Stock clients write EIP-55 mixed case and 0x; core knows one spelling of each, so these read many and give one.
const wireAddress = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text.toLowerCase());
const wireHex32 = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((text) => text.slice(2).toLowerCase() as Hex);
const wireSignature = z
  .string()
  .regex(/^0x(?:[0-9a-fA-F]{2}){1,512}$/)
  .transform((text) => text.slice(2).toLowerCase());
const digits = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,77})$/)
  .refine((text) => BigInt(text) < 1n << 256n);
/** Seconds as text; past 2^53 they are no time at all. */
const wireSeconds = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,15})$/)
  .transform(Number)
  .refine(Number.isSafeInteger);

const resourceShape = z.looseObject({ url: z.string().max(2048) });

/** One way to pay. */
const requirementsShape = z.strictObject({
  scheme: z.literal("exact"),
  network,
  amount: digits,
  asset: wireAddress,
  payTo: wireAddress,
  maxTimeoutSeconds: z.number().int().min(1).max(longestTimeout),
  extra: z.looseObject({ name: z.string().max(64), version: z.string().max(16), offer: hex32.optional() }),
});
export type Requirements = z.infer<typeof requirementsShape>;

/** `extensions.countersign.info`: the server's part, and what our own client adds. */
const extensionShape = z.strictObject({
  /** Digest of the first entry's offer. */
  offerDigest: hex32,
  requestDigest: hex32,
  /** The signed offer; absent where the header would grow too large: then it is in the body. */
  offer: envelopeShape.optional(),
  /** Drawn by the gateway for a client that brought none. */
  clientNonce: hex32.optional(),
  /** Added by our client: the salt inside its payment nonce. */
  salt: hex32.optional(),
});
export type Extension = z.infer<typeof extensionShape>;

/** `{info, schema}` as x402 v2 wants an extension; a client may add to `info` and may not change it. */
const extensionEntry = z.strictObject({ info: extensionShape, schema: z.unknown().optional() });

const extensions = z.looseObject({ countersign: extensionEntry.optional() });

const requiredShape = z.looseObject({
  x402Version: z.literal(2),
  error: z.string().max(1024).optional(),
  resource: resourceShape,
  accepts: z.array(requirementsShape).min(1).max(16),
  extensions: extensions.nullish(),
});

/** What a 402 asks for (x402 v2 `PaymentRequired`). */
export type PaymentRequired = z.infer<typeof requiredShape>;

const authorization = z.strictObject({
  from: wireAddress,
  to: wireAddress,
  value: digits,
  validAfter: wireSeconds,
  validBefore: wireSeconds,
  nonce: wireHex32,
});

/** A payment as it comes in (x402 v2 `PaymentPayload`, scheme exact by EIP-3009), with addresses and hex in core's spelling. */
const payloadShape = z.strictObject({
  x402Version: z.literal(2),
  resource: resourceShape.nullish(),
  accepted: requirementsShape,
  payload: z.strictObject({ authorization, signature: wireSignature }),
  extensions: extensions.nullish(),
});
export type PaymentPayload = z.infer<typeof payloadShape>;

/** What came of it (x402 v2 `SettleResponse`). */
const settlementShape = z.looseObject({
  success: z.boolean(),
  errorReason: z.string().max(256).optional(),
  errorMessage: z.string().max(2048).optional(),
  payer: z.string().optional(),
  /** 0x and 64 digits; empty when nothing was sent. */
  transaction: z.string().regex(/^(?:0x[0-9a-f]{64})?$/),
  network,
  amount: digits.optional(),
  extensions: z.record(z.string(), z.unknown()).optional(),
});
export type SettlementResult = z.infer<typeof settlementShape>;

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("PAYMENT_MALFORMED", {
    message: "The x402 header cannot be read.",
    why,
    remedy:
      "Send base64 of one JSON object as x402 version 2 describes it, scheme exact with an EIP-3009 authorisation.",
    cause,
  });

function decode<T>(header: string, limit: number, shape: z.ZodType<T>): T {
  if (header.length > limit) throw malformed(`It has ${header.length} bytes; at most ${limit} are read.`);
  let value: unknown;
  try {
    value = parseJson(fromUtf8(fromBase64(header)));
  } catch (cause) {
    throw malformed("It is not base64 of JSON text with one reading.", cause);
  }
  return parse(value, shape);
}

function parse<T>(value: unknown, shape: z.ZodType<T>): T {
  const result = shape.safeParse(value);
  if (!result.success) throw malformed(z.prettifyError(result.error), result.error);
  return result.data;
}

const encode = (value: unknown) => toBase64(utf8(JSON.stringify(value)));

/** The entry of `accepts[]` for an offer. */
export function requirementsOf(
  offer: Offer,
  digest: Hex,
  token: { readonly name: string; readonly version: string },
): Requirements {
  return {
    scheme: "exact",
    network: offer.network,
    amount: offer.amount,
    asset: offer.asset,
    payTo: offer.payTo,
    // What a client signs is its clock plus this; an offer paid in its last second still ends by its validBefore.
    maxTimeoutSeconds: Math.min(longestTimeout, Math.max(1, offer.validBefore - offer.expires)),
    extra: {
      name: token.name,
      version: token.version,
      offer: digest,
      // For people and simple clients; the digest binds it, so a long policy stays in the offer alone.
      ...(offer.guarantee.length <= 256 ? { guarantee: offer.guarantee } : {}),
    },
  };
}

/** A 402 as header and body; the body holds every signed offer, the header the first one if it fits. */
export type RequiredAnswer = {
  readonly header: string;
  readonly body: PaymentRequired & { readonly offers: readonly Envelope[] };
};

/**
 * Encodes a 402. `offers` in the order of preference: stock clients take the first.
 *
 * @throws RangeError when the header would be larger than 4 KiB even without the signed offer.
 */
export function encodeRequired(args: {
  readonly url: string;
  readonly description?: string;
  readonly mimeType?: string;
  readonly error?: string;
  readonly requestDigest: Hex;
  readonly clientNonce?: Hex;
  readonly token: { readonly name: string; readonly version: string };
  readonly offers: readonly { readonly offer: Offer; readonly digest: Hex; readonly envelope: Envelope }[];
}): RequiredAnswer {
  const [first] = args.offers;
  if (!first) throw new RangeError("A 402 needs an offer.");
  const build = (withOffer: boolean): PaymentRequired => ({
    x402Version: 2,
    ...(args.error === undefined ? {} : { error: args.error }),
    resource: {
      url: args.url,
      ...(args.description === undefined ? {} : { description: args.description }),
      mimeType: args.mimeType ?? "application/json",
    },
    accepts: args.offers.map((o) => requirementsOf(o.offer, o.digest, args.token)),
    extensions: {
      countersign: {
        info: {
          offerDigest: first.digest,
          requestDigest: args.requestDigest,
          ...(withOffer ? { offer: first.envelope } : {}),
          ...(args.clientNonce === undefined ? {} : { clientNonce: args.clientNonce }),
        },
        schema: { type: "object" },
      },
    },
  });
  const full = build(true);
  let header = encode(full);
  if (header.length > largestRequiredHeader) header = encode(build(false));
  if (header.length > largestRequiredHeader)
    throw new RangeError(`A 402 header of ${header.length} bytes is too large.`);
  return { header, body: { ...full, offers: args.offers.map((o) => o.envelope) } };
}

/** Reads a `PAYMENT-REQUIRED` header. @throws PAYMENT_MALFORMED */
export const decodeRequired = (header: string): PaymentRequired => decode(header, largestPaymentHeader, requiredShape);

/** Reads a `PAYMENT-SIGNATURE` header. @throws PAYMENT_MALFORMED */
export const decodePayment = (header: string): PaymentPayload => decode(header, largestPaymentHeader, payloadShape);

/** Reads a payment payload that came as JSON, as facilitators get it. @throws PAYMENT_MALFORMED */
export const parsePayment = (value: unknown): PaymentPayload => parse(value, payloadShape);

/** Reads requirements that came as JSON. @throws PAYMENT_MALFORMED */
export const parseRequirements = (value: unknown): Requirements => parse(value, requirementsShape);

/**
 * The payment header of a request, under its name or under the one of x402 v1; undefined when there is none.
 *
 * @throws PAYMENT_MALFORMED when both are there and differ: which one was checked would be anybody's guess.
 */
export function paymentHeaderOf(headers: { get: (name: string) => string | null }): string | undefined {
  const ours = headers.get("payment-signature");
  const old = headers.get("x-payment");
  if (ours !== null && old !== null && ours !== old) throw malformed("PAYMENT-SIGNATURE and X-PAYMENT differ.");
  return ours ?? old ?? undefined;
}

/** Writes a `PAYMENT-RESPONSE` header. */
export const encodeSettlement = (result: SettlementResult): string => encode(result);

/** Reads a `PAYMENT-RESPONSE` header. @throws PAYMENT_MALFORMED */
export const decodeSettlement = (header: string): SettlementResult =>
  decode(header, largestPaymentHeader, settlementShape);

/** A payment in the spelling of the wire, as a client sends it. */
export function encodePayment(args: {
  readonly required: PaymentRequired;
  readonly accepted: Requirements;
  readonly authorization: {
    readonly from: string;
    readonly to: string;
    readonly value: string;
    readonly validAfter: number;
    readonly validBefore: number;
    readonly nonce: Hex;
  };
  /** 130 hex digits. */
  readonly signature: string;
  readonly salt?: Hex;
}): string {
  const a = args.authorization;
  const echoed = args.required.extensions?.countersign;
  // The gateway has the offer under its digest; sending it back would only make the header large.
  const { offer: _, ...facts } = echoed?.info ?? {};
  const info = echoed && { ...facts, ...(args.salt === undefined ? {} : { salt: args.salt }) };
  return encode({
    x402Version: 2,
    resource: args.required.resource,
    accepted: args.accepted,
    payload: {
      signature: `0x${args.signature}`,
      authorization: {
        ...a,
        validAfter: String(a.validAfter),
        validBefore: String(a.validBefore),
        nonce: `0x${a.nonce}`,
      },
    },
    ...(info ? { extensions: { countersign: { ...echoed, info } } } : {}),
  });
}
