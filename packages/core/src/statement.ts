import * as z from "zod";
import type { Hex } from "./bytes.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { fields } from "./field.ts";
import { endpointPaths } from "./request.ts";
import { hex32, milliseconds, name, network, seconds } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const statementType = "urn:countersign:receipt:v1";
export const deliveryType = "urn:countersign:delivery:v1";

const policyText = z.string().min(1).max(2048);

/** What the node signs about one run; its subject is the `receiptRoot` (spec/receipt.md §4). */
export const statementShape = z.strictObject({
  suite: z.literal("countersign/receipt/v1"),
  network,
  /** Public key of the node that ran it. */
  issuer: hex32,
  /** The path that was asked: it says how request and answer are read. */
  endpoint: z.enum(endpointPaths),
  requestTag: hex32,
  requestDigest: hex32,
  model: z.strictObject({ id: name, digest: hex32 }),
  deployment: z.strictObject({ id: name, version: z.number().int().min(1) }),
  /** `inference`: this node ran the weights. `origin`: it relayed what another host returned. */
  scope: z.enum(["inference", "origin"]),
  policy: z.strictObject({
    /** What the caller demanded. */
    demanded: policyText,
    /** What the accepted offer guarantees. */
    bought: policyText,
    release: z.enum(["met", "signed", "live"]),
    deadline: seconds.nullable(),
    source: z.enum(["request", "default"]),
  }),
  /** Every change between the bytes received and what the model saw, by name; empty for none (R6). */
  rewrites: z.array(z.string().regex(/^[a-z][a-zA-Z0-9_.-]{0,63}$/)).max(32),
  /** Fields salted by the deployment owner's secret, because they hold content of his (A8). */
  ownerSalted: z.array(z.enum(fields)).max(8),
  /** `aborted`: the run ended before a full answer; what was delivered is committed all the same. */
  outcome: z.enum(["complete", "aborted"]),
  /** Who drew the client nonce, and with it the seed that nobody gave (A4). */
  nonceSource: z.enum(["client", "gateway"]),
  issuedAt: milliseconds,
  /** Origin of the log in which the entry will be. */
  log: name,
  /** How request and answer travelled, when sealed between the client and an attested key (spec/channel.md §5). */
  channel: z
    .strictObject({
      suite: z.literal("countersign/channel/v1"),
      keyset: hex32,
      /** The X25519 key that opened the request. */
      key: hex32,
      /** SHA-256 of the sealed body as it arrived: the bytes that the payment commits to. */
      request: hex32,
      /** SHA-256 over the answer's nonce and the SHA-256 of each sealed chunk, the last included. */
      answer: hex32,
    })
    .optional(),
  /** `development`: stand-ins were used; `synthetic`: made by a self-check, canary or benchmark. */
  labels: z.array(z.enum(["development", "synthetic"])).max(2),
});
export type Statement = z.infer<typeof statementShape>;

/** What the gateway countersigns over the same root: that it delivered this, for that offer and payment (B8). */
export const deliveryShape = z.strictObject({
  suite: z.literal("countersign/delivery/v1"),
  network,
  gateway: hex32,
  offerDigest: hex32,
  requestTag: hex32,
  requestDigest: hex32,
  /** EIP-712 digest that the payer signed, or null for a free deployment. */
  paymentDigest: hex32.nullable(),
  /** Whether the payment's nonce commits to the request; false for stock x402 clients. */
  paymentBound: z.boolean(),
  deliveredAt: milliseconds,
  /** What the gateway saw of request and answer; absent: plain text. A hop that saw plain text refutes `confidential`. */
  saw: z.literal("ciphertext").optional(),
});
export type Delivery = z.infer<typeof deliveryShape>;

/** Signs a run's statement. */
export const signRun = (receiptRoot: Hex, statement: Statement, node: Signer): Envelope =>
  signStatement({ name: "receipt", subject: receiptRoot, predicateType: statementType, predicate: statement }, node);

/** Reads a run's statement; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readRun = (envelope: unknown) =>
  readStatement(envelope, { name: "receipt", predicateType: statementType, predicate: statementShape });

/** Countersigns a receipt root as delivered. */
export const signDelivery = (receiptRoot: Hex, delivery: Delivery, gateway: Signer): Envelope =>
  signStatement({ name: "receipt", subject: receiptRoot, predicateType: deliveryType, predicate: delivery }, gateway);

/** Reads a countersignature; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readDelivery = (envelope: unknown) =>
  readStatement(envelope, { name: "receipt", predicateType: deliveryType, predicate: deliveryShape });
