import {
  type Envelope,
  type Hex,
  type Json,
  type Offer,
  offerDigest,
  type Signer,
  signOffer,
  toHex,
} from "@countersign/core";
import type { Store } from "@countersign/store";
import { type PriceTable, quote, type UsageBound } from "./price.ts";
import { longestTimeout } from "./x402/wire.ts";

/** An offer with its signature and digest. */
export type SignedOffer = { readonly offer: Offer; readonly digest: Hex; readonly envelope: Envelope };

/** What the gateway knows about a deployment when it makes an offer. */
export type DeploymentFacts = {
  readonly node: Hex;
  readonly model: { readonly id: string; readonly digest: Hex };
  readonly deployment: { readonly id: string; readonly version: number };
  readonly prices: PriceTable;
};

/** Seconds that an offer is good for. */
export const offerLife = 120;
/** Seconds that an authorisation may live after it was signed: enough for one answer and its settlement. */
export const authorizationLife = 300;

/**
 * Makes and signs an offer for one request at the quoted price, and stores it until it is paid or void.
 *
 * `validBefore` is the offer's end plus the authorisation's life: a client adds `maxTimeoutSeconds` to its own clock,
 * and one that pays in the offer's last second must still be within it.
 */
export async function makeOffer(args: {
  readonly facts: DeploymentFacts;
  readonly usage: UsageBound;
  /** Canonical policy text. */
  readonly guarantee: string;
  readonly release: Offer["release"];
  readonly unmet: Offer["unmet"];
  readonly requestDigest: Hex;
  /** Seconds by which late evidence must be logged, or null. */
  readonly deadline: number | null;
  readonly network: string;
  readonly asset: string;
  readonly payTo: string;
  readonly gateway: Signer;
  /** Milliseconds. */
  readonly now: number;
  readonly store: Pick<Store, "offers">;
  /** Kept beside the offer, such as the client nonce that the gateway drew. */
  readonly remember?: Json;
  /** Seconds. */
  readonly life?: number;
  readonly authorizationLife?: number;
}): Promise<SignedOffer> {
  const second = Math.floor(args.now / 1000);
  const expires = second + (args.life ?? offerLife);
  const offer: Offer = {
    suite: "countersign/offer/v1",
    network: args.network,
    gateway: toHex(args.gateway.publicKey),
    node: args.facts.node,
    model: args.facts.model,
    deployment: args.facts.deployment,
    guarantee: args.guarantee,
    release: args.release,
    unmet: args.unmet,
    scheme: "exact",
    asset: args.asset,
    payTo: args.payTo,
    amount: quote(args.facts.prices, args.usage),
    validBefore: expires + Math.min(longestTimeout, args.authorizationLife ?? authorizationLife),
    requestDigest: args.requestDigest,
    deadline: args.deadline,
    madeAt: args.now,
    expires,
  };
  const envelope = signOffer(offer, args.gateway);
  const digest = offerDigest(offer);
  await args.store.offers.put(digest, envelope, args.remember ?? null, expires);
  return { offer, digest, envelope };
}
