import { CountersignError, type Hex, hex32, type Offer, toEnvelope, toHex } from "@countersign/core";
import {
  type CheckedPayment,
  checkFunds,
  checkPayment,
  decodePayment,
  encodeRequired,
  encodeSettlement,
  loadOffer,
  offerOf,
  paymentHeaderOf,
} from "@countersign/settlement";
import { paymentKeyText, type StoredAnswer } from "@countersign/store";
import * as z from "zod";
import type { Served } from "./catalogue.ts";
import type { Deps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import { digestOf, type Order } from "./order.ts";
import type { Offered } from "./quote.ts";

/** The payment header of an exchange, decoded later; undefined when nothing is paid. @throws PAYMENT_MALFORMED */
export function paymentOf(exchange: Exchange): string | undefined {
  const get = (name: string) => {
    const values = exchange.headers(name);
    if (values.length > 1) {
      throw new CountersignError("PAYMENT_MALFORMED", { message: `The header ${name} is there twice.` });
    }
    return values[0] ?? null;
  };
  return paymentHeaderOf({ get });
}

/** Answers 402: what to pay, for exactly this request, signed (silent failures O5). */
export function requirePayment(deps: Deps, exchange: Exchange, offered: Offered): void {
  const drawn = offered.nonceSource === "gateway" ? { clientNonce: offered.clientNonce } : {};
  const { header, body } = encodeRequired({
    url: exchange.url,
    description: `${offered.offer.model.id} at ${offered.offer.guarantee}`,
    requestDigest: offered.offer.requestDigest,
    ...drawn,
    token: deps.terms.token,
    offers: [offered],
  });
  const { error } = toEnvelope(
    new CountersignError("PAYMENT_REQUIRED", {
      message: `The request costs ${offered.offer.amount} units of ${deps.terms.token.name}.`,
      remedy: "Sign one of the payments in PAYMENT-REQUIRED and send the same bytes again with PAYMENT-SIGNATURE.",
      facts: { amount: offered.offer.amount, asset: offered.offer.asset, network: offered.offer.network },
    }),
  ).body;
  exchange.reply.start(402, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "payment-required": header,
    "x-countersign-nonce": offered.clientNonce,
  });
  exchange.reply.end(JSON.stringify({ error, x402: body }));
}

const remembered = z.strictObject({ clientNonce: hex32, nonceSource: z.enum(["client", "gateway"]) });

/** An offer that was accepted, with the deployment that will run it and the payment that holds it. */
export type Accepted = {
  readonly offered: Offered;
  readonly served: Served;
  readonly receiptId: Hex;
  readonly paid: CheckedPayment | null;
};

/** What became of a payment that came in: the caller holds it, or it was answered before. */
export type Taken =
  | { readonly state: "held"; readonly accepted: Accepted }
  | { readonly state: "answered"; readonly answer: StoredAnswer };

/**
 * Takes a payment for an order: checks it against the offer, reserves it durably before any work is done, and looks at
 * the wallet.
 *
 * @throws PAYMENT_*, OFFER_*, PAYER_MISMATCH, SIGNATURE_NOT_CANONICAL, DEADLINE_TOO_FAR, DEPLOYMENT_CHANGED,
 * NONCE_REPLAYED, FUNDS_INSUFFICIENT
 */
export async function takePayment(deps: Deps, order: Order, header: string): Promise<Taken> {
  const { store, identity, terms, suite } = deps;
  const payload = decodePayment(header);
  const { offer, stored } = await loadOffer(offerOf(payload), { offers: store.offers, gateway: identity.key, suite });
  const { clientNonce, nonceSource } = remembered.parse(stored.facts);
  const now = deps.now();
  if (order.clientNonce !== undefined && order.clientNonce !== clientNonce) throw otherNonce();
  const requestDigest = digestOf(order, clientNonce);
  // An answer that is already there is given again also after the offer's end: the money is gone, so time decides nothing.
  const { authorization } = payload.payload;
  const settled = await isSettled(deps, offer, authorization);
  const at = settled ? Math.max(offer.madeAt, (authorization.validAfter + 1) * 1000) : now;
  const paid = checkPayment({
    payload,
    offer,
    requestDigest,
    now: at,
    domain: terms.token,
    recover: deps.payments.recover,
  });
  const digest = offerOf(payload);
  const receiptId = toHex(deps.random(32));
  const held = await store.reservations.reserve({
    paymentKey: paid.key,
    offerDigest: digest,
    requestDigest,
    receiptId,
    validBefore: paid.payment.authorization.validBefore,
    now,
    clientNonce,
    amount: offer.amount,
  });
  if (held.state !== "reserved") return answerAgain(deps, paid, requestDigest, held.state, now);
  try {
    // With all that the payer has under way: a wallet that covers one price does not cover ten runs at once.
    const outstanding = await store.reservations.outstanding(paid.key);
    await checkFunds(deps.payments.rpc, { key: paid.key, amount: outstanding.toString() });
    const served = findDeployment(deps, offer);
    const offered: Offered = { offer, digest, envelope: stored.envelope, clientNonce, nonceSource };
    return { state: "held", accepted: { offered, served, receiptId, paid } };
  } catch (error) {
    await store.reservations.release(paid.key);
    throw error;
  }
}

async function isSettled(
  { store }: Deps,
  offer: Offer,
  { from, nonce }: { readonly from: string; readonly nonce: Hex },
): Promise<boolean> {
  const row = await store.reservations.get({ network: offer.network, asset: offer.asset, from, nonce });
  return row?.state === "settled";
}

const otherNonce = () =>
  new CountersignError("PAYMENT_NOT_BOUND", {
    message: "The payment was made for another request.",
    why: "X-Countersign-Nonce is not the nonce that the offer was made for.",
  });

/** The deployment that an offer names, if it is still served in that version. @throws DEPLOYMENT_CHANGED */
function findDeployment(deps: Deps, offer: Offer): Served {
  const found = deps.catalogue
    .served()
    .find(
      ({ node, deployment: d }) =>
        node === offer.node &&
        d.id === offer.deployment.id &&
        d.version === offer.deployment.version &&
        d.model.digest === offer.model.digest,
    );
  if (found) return found;
  throw new CountersignError("DEPLOYMENT_CHANGED", {
    message: "The deployment that was offered is no longer served in that version; nothing was charged.",
    remedy: "Ask for a new offer.",
  });
}

/** A payment that is used or in flight: the stored answer for the same request, else 409 (silent failures P1, P16). */
async function answerAgain(
  { store }: Deps,
  paid: CheckedPayment,
  requestDigest: Hex,
  state: "in-flight" | "used",
  now: number,
): Promise<Taken> {
  const row = await store.reservations.get(paid.key);
  if (row?.state === "settled" && row.requestDigest === requestDigest) {
    const answer = await store.answers.get(paid.key, requestDigest, now);
    const job = await store.settleJobs.get(paymentKeyText(paid.key));
    const transaction = job?.state === "final" ? job.transaction : undefined;
    if (answer) {
      const headers =
        transaction === undefined
          ? answer.headers
          : [...answer.headers, ["payment-response", settledHeader(paid, transaction)] as const];
      return { state: "answered", answer: { ...answer, headers } };
    }
  }
  throw new CountersignError("PAYMENT_REPLAYED", {
    message: state === "in-flight" ? "A run with this payment is under way." : "This payment was used before.",
    why: "One authorisation pays for one run.",
    remedy:
      state === "in-flight"
        ? "Wait for it, then send the same request again: the answer is kept for a while."
        : "Sign a new payment.",
    facts: { state },
  });
}

/** `PAYMENT-RESPONSE` of a settled payment. */
export const settledHeader = (paid: CheckedPayment, transaction: string): string =>
  encodeSettlement({
    success: true,
    payer: paid.payer,
    transaction,
    network: paid.payment.network,
    amount: paid.payment.chargeable,
  });
