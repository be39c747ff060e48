import * as z from "zod";
import { fromHex, type Hex, toHex } from "./bytes.ts";
import { canonicalBytes } from "./canonical.ts";
import { type Envelope, isSignedBy, readStatement, signStatement } from "./envelope.ts";
import { CountersignError } from "./errors/error.ts";
import { taggedHash } from "./hash.ts";
import { address, amount, hex32, milliseconds, name, network, seconds } from "./shapes.ts";
import type { Signer, Suite } from "./signature.ts";

export const offerType = "urn:countersign:offer:v1";

/** What the gateway will do at which price, for one request (spec/receipt.md §6). */
export const offerShape = z.strictObject({
  suite: z.literal("countersign/offer/v1"),
  network,
  /** Public key of the gateway that makes the offer. */
  gateway: hex32,
  /** Public key of the node that will run it. */
  node: hex32,
  model: z.strictObject({ id: name, digest: hex32 }),
  deployment: z.strictObject({ id: name, version: z.number().int().min(1) }),
  /** The bought guarantee: canonical policy text. */
  guarantee: z.string().min(1).max(2048),
  release: z.enum(["met", "signed", "live"]),
  /** How "not charged when unmet" holds. */
  unmet: z.enum(["promised", "bonded", "escrow"]),
  scheme: z.literal("exact"),
  asset: address,
  payTo: address,
  /** Price in the asset's smallest unit; what `exact` charges. "0" is a free deployment. */
  amount,
  /** Latest second at which the authorisation may be valid. */
  validBefore: seconds,
  requestDigest: hex32,
  /** Seconds by which late evidence must be logged, or null. */
  deadline: seconds.nullable(),
  madeAt: milliseconds,
  /** The offer is void after this second. */
  expires: seconds,
});

/** An offer's content. */
export type Offer = z.infer<typeof offerShape>;

/** Digest that payments, tags and receipts bind to. */
export function offerDigest(offer: Offer): Hex {
  return toHex(taggedHash("countersign/offer/v1", canonicalBytes(offer)));
}

/** Signs an offer as its gateway. */
export function signOffer(offer: Offer, gateway: Signer): Envelope {
  return signStatement(
    { name: "offer", subject: offerDigest(offer), predicateType: offerType, predicate: offer },
    gateway,
  );
}

/** Reads an offer and checks that the gateway it names signed it. @throws OFFER_SIGNATURE_INVALID */
export function readOffer(envelope: unknown, suite: Suite): Offer {
  const read = readStatement(envelope, { name: "offer", predicateType: offerType, predicate: offerShape });
  if (read.subject !== offerDigest(read.predicate) || !isSignedBy(read.envelope, read.predicate.gateway, suite)) {
    throw new CountersignError("OFFER_SIGNATURE_INVALID", {
      message: "The offer is not signed by the gateway that it names.",
      remedy: "Do not pay it. Ask the gateway again over a connection that you trust.",
    });
  }
  return read.predicate;
}

/** Digest of a request: what the payment and the offer commit to (A6). The policy is part of it: it decides the level. */
export function requestDigest(args: {
  /** 32 bytes; keeps the digest from being a dictionary oracle. */
  readonly clientNonce: Uint8Array;
  readonly method: string;
  readonly path: string;
  /** Canonical text of the effective demanded policy, and its release rule and deadline. */
  readonly policy: Uint8Array;
  readonly body: Uint8Array;
}): Uint8Array {
  const text = new TextEncoder();
  return taggedHash(
    "countersign/request/v1",
    args.clientNonce,
    text.encode(args.method),
    text.encode(args.path),
    args.policy,
    args.body,
  );
}

/** Public tag of one request under one offer: two entries with one tag are a contradiction (A4). */
export function requestTag(clientNonce: Uint8Array, offer: Hex): Uint8Array {
  return taggedHash("countersign/request-tag/v1", clientNonce, fromHex(offer));
}
