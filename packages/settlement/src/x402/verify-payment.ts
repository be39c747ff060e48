import {
  authorizationDigest,
  CountersignError,
  domainSeparator,
  type Hex,
  type Offer,
  offerDigest,
  type Payment,
  paymentNonce,
  readOffer,
  recoverAddress,
  type Suite,
  splitSignature,
  type TokenDomain,
  toHex,
} from "@countersign/core";
import type { PaymentKey, Store } from "@countersign/store";
import type { Recover } from "./recover-native.ts";
import type { PaymentPayload, Requirements } from "./wire.ts";

/** A payment that passed every check which needs no chain. */
export type CheckedPayment = {
  /** The committed form: leaf `payment` of the statement. */
  readonly payment: Payment;
  /** What it is reserved under. */
  readonly key: PaymentKey;
  /** Who signed: recovered, and equal to `from`. */
  readonly payer: string;
  /** EIP-712 digest that the payer signed. */
  readonly paymentDigest: Hex;
  /** Whether the payer's own signature binds it to offer and request; false for stock clients, whose nonce is random. */
  readonly bound: boolean;
};

const mismatch = (field: string, got: unknown, want: unknown) =>
  new CountersignError("PAYMENT_MISMATCH", {
    message: "The payment does not match the offer.",
    why: `${field} is ${String(got)}; the offer says ${String(want)}.`,
    remedy: "Sign the offer as it is, or ask for a new one.",
    param: field,
  });

/** The digest of the offer that a payment answers. @throws OFFER_UNKNOWN, PAYMENT_MISMATCH */
export function offerOf(payload: PaymentPayload): Hex {
  const accepted = payload.accepted.extra.offer;
  if (accepted === undefined) {
    throw new CountersignError("OFFER_UNKNOWN", {
      message: "The payment does not say which offer it accepts.",
      why: "`accepted.extra.offer` is missing: the accepted entry was not echoed as it was sent.",
    });
  }
  return accepted;
}

/**
 * Loads the offer that this gateway made, and checks its signature again: a changed row is no offer.
 *
 * @throws OFFER_UNKNOWN, OFFER_SIGNATURE_INVALID
 */
export async function loadOffer(
  digest: Hex,
  args: { readonly offers: Store["offers"]; readonly gateway: Hex; readonly suite: Suite },
): Promise<{ readonly offer: Offer; readonly stored: NonNullable<Awaited<ReturnType<Store["offers"]["get"]>>> }> {
  const stored = await args.offers.get(digest);
  if (!stored) {
    throw new CountersignError("OFFER_UNKNOWN", {
      message: "This gateway did not make the offer that the payment names.",
      remedy: "Send the request without a payment to get a fresh offer.",
    });
  }
  const offer = readOffer(stored.envelope, args.suite);
  if (offerDigest(offer) !== digest || offer.gateway !== args.gateway) {
    throw new CountersignError("OFFER_SIGNATURE_INVALID", {
      message: "The stored offer is not the one that the payment names, or another gateway signed it.",
    });
  }
  return { offer, stored };
}

/** Who may submit the authorisation, for what, until when: the part that needs no offer of ours. */
export function checkAuthorization(args: {
  readonly payload: PaymentPayload;
  readonly requirements: Requirements;
  readonly domain: TokenDomain;
  /** Milliseconds. */
  readonly now: number;
  /** Seconds that the authorisation must still live. Default 6: time to reach a block. */
  readonly margin?: number;
  readonly recover?: Recover;
}): { readonly payer: string; readonly paymentDigest: Hex; readonly key: PaymentKey } {
  const { payload, requirements: want, domain } = args;
  const { authorization, signature } = payload.payload;
  const { accepted } = payload;
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ["accepted.network", accepted.network, want.network],
    ["accepted.asset", accepted.asset, want.asset],
    ["accepted.amount", accepted.amount, want.amount],
    ["accepted.payTo", accepted.payTo, want.payTo],
    ["authorization.to", authorization.to, want.payTo],
    ["authorization.value", authorization.value, want.amount],
    // The domain is ours: what the client thinks the token is called decides nothing, but a difference is told.
    ["accepted.extra.name", accepted.extra.name, domain.name],
    ["accepted.extra.version", accepted.extra.version, domain.version],
    ["network", want.network, `eip155:${domain.chainId}`],
    ["asset", want.asset, domain.verifyingContract],
  ];
  for (const [field, got, wanted] of pairs) if (got !== wanted) throw mismatch(field, got, wanted);

  const second = Math.floor(args.now / 1000);
  if (authorization.validAfter >= second) {
    throw new CountersignError("PAYMENT_INVALID", {
      message: "The payment authorisation is not valid yet.",
      why: `It is valid after ${authorization.validAfter}; now is ${second}.`,
    });
  }
  if (authorization.validBefore <= second + (args.margin ?? 6)) {
    throw new CountersignError("PAYMENT_INVALID", {
      message: "The payment authorisation has expired, or expires before it could be settled.",
      why: `It is valid before ${authorization.validBefore}; now is ${second}.`,
      remedy: "Sign a new one.",
    });
  }

  splitSignature(signature);
  const digest = authorizationDigest(authorization, domainSeparator(domain));
  const payer = recover(args.recover ?? recoverAddress, digest, signature);
  if (payer !== authorization.from) {
    throw new CountersignError("PAYER_MISMATCH", {
      message: "The payment authorisation is not signed by the wallet that it takes the money from.",
      why: `The signature recovers to ${payer}; \`from\` is ${authorization.from}.`,
      remedy: "Sign with the key of `from`, over the token's own EIP-712 domain.",
    });
  }
  const key = { network: want.network, asset: want.asset, from: payer, nonce: authorization.nonce };
  return { payer, paymentDigest: toHex(digest), key };
}

function recover(by: Recover, digest: Uint8Array, signature: string): string {
  try {
    return by(digest, signature);
  } catch (error) {
    if (CountersignError.is(error)) throw error;
    throw new CountersignError("PAYMENT_INVALID", {
      message: "No key belongs to the payment signature.",
      cause: error,
    });
  }
}

/**
 * Checks a payment against the offer that it names and the request that it came with. Pure: no chain, no store.
 *
 * @param args.requestDigest digest of the request as received, computed here and never by the caller
 * @param args.now milliseconds
 * @throws OFFER_EXPIRED, OFFER_UNKNOWN, PAYMENT_MISMATCH, DEADLINE_TOO_FAR, PAYMENT_INVALID, PAYER_MISMATCH,
 * PAYMENT_NOT_BOUND, SIGNATURE_NOT_CANONICAL
 */
export function checkPayment(args: {
  readonly payload: PaymentPayload;
  readonly offer: Offer;
  readonly requestDigest: Hex;
  readonly now: number;
  readonly domain: TokenDomain;
  readonly margin?: number;
  readonly recover?: Recover;
}): CheckedPayment {
  const { payload, offer, domain } = args;
  const { authorization, signature } = payload.payload;
  const digest = offerDigest(offer);
  const info = payload.extensions?.countersign?.info;
  if (offerOf(payload) !== digest) throw mismatch("accepted.extra.offer", payload.accepted.extra.offer, digest);
  if (Math.floor(args.now / 1000) > offer.expires) {
    throw new CountersignError("OFFER_EXPIRED", {
      message: "The offer has expired.",
      why: `It was good until ${offer.expires}.`,
      remedy: "Send the request without a payment to get a fresh offer.",
    });
  }
  if (offer.requestDigest !== args.requestDigest) throw unbound("The offer was made for another request.");
  if (authorization.validBefore > offer.validBefore) {
    throw new CountersignError("DEADLINE_TOO_FAR", {
      message: "The payment authorisation lives longer than the offer asks for.",
      why: `It is valid before ${authorization.validBefore}; the offer says ${offer.validBefore} at the latest.`,
      remedy: "Correct your clock, or sign a shorter one: until then anybody who holds it may submit it.",
    });
  }
  const requirements: Requirements = {
    scheme: "exact",
    network: offer.network,
    amount: offer.amount,
    asset: offer.asset,
    payTo: offer.payTo,
    maxTimeoutSeconds: payload.accepted.maxTimeoutSeconds,
    extra: { name: domain.name, version: domain.version },
  };
  const passed = checkAuthorization({ ...args, requirements });
  const salt = info?.salt ?? null;
  if (salt !== null && paymentNonce(digest, args.requestDigest, salt) !== authorization.nonce) {
    throw unbound("Its nonce does not commit to this offer, this request and the salt that came with it.");
  }
  return {
    ...passed,
    bound: salt !== null,
    payment: {
      scheme: "exact",
      network: offer.network,
      token: { address: offer.asset, name: domain.name, version: domain.version },
      authorization,
      signature,
      salt,
      chargeable: offer.amount,
    },
  };
}

const unbound = (why: string) =>
  new CountersignError("PAYMENT_NOT_BOUND", {
    message: "The payment was made for another request.",
    why,
    remedy: "Send the very bytes that the offer was made for, or ask for a new offer.",
  });
