import {
  CountersignError,
  type Deployment,
  type Envelope,
  fromHex,
  type Hex,
  type Offer,
  type Policy,
  printPolicy,
  requestTag,
  toHex,
} from "@countersign/core";
import { makeOffer, quote, type UsageBound } from "@countersign/settlement";
import { findModel, type Served } from "./catalogue.ts";
import type { Deps } from "./deps.ts";
import { type Match, matchGuarantee, notOffered } from "./guarantee.ts";
import { digestOf, type Order } from "./order.ts";
import { attestedFor } from "./sealed/read-order.ts";

/** The deployment that will run an order, and what is bought with it. */
export type Choice = {
  readonly served: Served;
  readonly bought: Policy;
  readonly price: bigint;
  readonly usage: UsageBound;
};

/** An offer as made: what a payment, a run and a receipt bind to. */
export type Offered = {
  readonly offer: Offer;
  readonly digest: Hex;
  readonly envelope: Envelope;
  readonly clientNonce: Hex;
  readonly nonceSource: "client" | "gateway";
};

/** Most tokens that the caller asks for, or undefined. */
function askedTokens(order: Pick<Order, "request">): number | undefined {
  const { value } = order.request;
  for (const param of ["max_completion_tokens", "max_tokens", "max_output_tokens"]) {
    const asked = value[param];
    if (asked === undefined || asked === null) continue;
    if (typeof asked === "number" && Number.isSafeInteger(asked) && asked > 0) return asked;
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: `\`${param}\` must be a whole number above 0.`,
      param,
    });
  }
  return undefined;
}

/** Choices that the caller asks for. */
function askedChoices({ request }: Pick<Order, "request">): number {
  const { n } = request.value;
  if (n === undefined || n === null) return 1;
  if (typeof n === "number" && Number.isSafeInteger(n) && n >= 1 && n <= 128) return n;
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: "`n` must be a whole number from 1 to 128.",
    param: "n",
  });
}

/**
 * What an order can use at most: its bytes, and max_tokens for each choice, the deployment's most where none is named.
 *
 * @throws PARAMETER_NOT_SUPPORTED for more tokens than the deployment gives
 */
export function usageBound({ limits }: Pick<Deployment, "limits">, order: Pick<Order, "request" | "body">): UsageBound {
  const asked = askedTokens(order);
  if (asked !== undefined && limits.maxOutput !== null && asked > limits.maxOutput) {
    throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
      message: `${asked} tokens are asked for; the deployment gives out at most ${limits.maxOutput}.`,
      param: "max_tokens",
      facts: { maxOutput: limits.maxOutput },
    });
  }
  return { inputBytes: order.body.length, maxTokens: (asked ?? limits.maxOutput ?? 0) * askedChoices(order) };
}

/**
 * The cheapest deployment that can keep what is demanded.
 *
 * @throws MODEL_UNKNOWN, MODEL_TASK_MISMATCH, ASSURANCE_NOT_OFFERED naming what is missing, PARAMETER_NOT_SUPPORTED,
 * NODE_NOT_ATTESTED and TEE_CHANNEL_NOT_BOUND for a sealed request
 */
export function chooseDeployment(deps: Pick<Deps, "catalogue" | "log">, order: Order): Choice {
  const named = findModel(deps.catalogue.served(), order.request.model, order.path);
  const candidates = order.sealed ? attestedFor(order.sealed, named) : named;
  let shortest: Extract<Match, { state: "short" }> | undefined;
  let choice: Choice | undefined;
  let tooMuch: unknown;
  for (const served of candidates) {
    const match = matchGuarantee(order.demand, served, order, { logged: deps.log.witnesses > 0 });
    if (match.state === "short") {
      if (shortest === undefined || match.missing.length < shortest.missing.length) shortest = match;
      continue;
    }
    try {
      const usage = usageBound(served.deployment, order);
      const price = BigInt(quote(served.deployment.price, usage));
      if (choice === undefined || price < choice.price) choice = { served, bought: match.bought, price, usage };
    } catch (error) {
      tooMuch = error;
    }
  }
  if (choice) return choice;
  if (tooMuch !== undefined) throw tooMuch;
  throw notOffered(order.request.model, shortest ?? { state: "short", missing: [] }, candidates);
}

/** Makes and signs the offer for an order; an offer that must be paid is on disk before anybody sees it. */
export async function offerFor(
  deps: Pick<Deps, "identity" | "terms" | "now" | "random" | "store">,
  order: Order,
  { served, bought, usage, price }: Choice,
): Promise<Offered> {
  const { identity, terms } = deps;
  const { deployment, node } = served;
  const clientNonce = order.clientNonce ?? toHex(deps.random(32));
  const nonceSource = order.clientNonce === undefined ? "gateway" : "client";
  const signed = await makeOffer({
    facts: {
      node,
      model: deployment.model,
      deployment: { id: deployment.id, version: deployment.version },
      prices: deployment.price,
    },
    usage,
    guarantee: printPolicy(bought),
    release: order.demand.release,
    unmet: "promised",
    requestDigest: digestOf(order, clientNonce),
    deadline: order.demand.deadline,
    network: identity.network,
    asset: terms.token.verifyingContract,
    payTo: terms.payTo,
    gateway: identity.signer,
    // Never the same millisecond twice: two offers alike would give two requests one tag (protocol-review A4).
    now: identity.tick(deps.now()),
    store: price === 0n ? memoryless : deps.store,
    remember: { clientNonce, nonceSource },
    life: terms.offerSeconds,
    authorizationLife: terms.paymentSeconds,
  });
  return { ...signed, clientNonce, nonceSource };
}

// A free offer is accepted where it is made: nobody comes back with it.
const memoryless = { offers: { put: async () => {}, get: async () => undefined, purge: async () => 0 } };

/** Tag of a request under its offer. */
export const tagOf = (offered: Pick<Offered, "clientNonce" | "digest">): Hex =>
  toHex(requestTag(fromHex(offered.clientNonce), offered.digest));
