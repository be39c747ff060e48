import {
  authorizationDigest,
  CountersignError,
  demandBytes,
  domainSeparator,
  endpoints,
  fromBase64,
  fromHex,
  type Hex,
  type Job,
  jobShape,
  type Offer,
  offerDigest,
  type ParsedRequest,
  parsePolicy,
  parseRequest,
  paymentNonce,
  printPolicy,
  type Requirement,
  readOffer,
  recoverAddress,
  requestDigest,
  requestTag,
  type Suite,
  toHex,
  ways,
} from "@countersign/core";
import * as z from "zod";
import type { ChannelKey } from "./sealed/channel-key.ts";
import { refuseSealed } from "./sealed/read-sealed.ts";
import type { Served } from "./served.ts";

/** What a node knows when it judges a job. */
export type JobRules = {
  /** This node's public key. */
  readonly key: Hex;
  readonly network: string;
  /** Gateways whose offers it works for. */
  readonly gateways: readonly Hex[];
  readonly served: readonly Served[];
  readonly suite: Suite;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The attested key that opens sealed requests, where this node runs in an enclave. */
  readonly channel?: ChannelKey | undefined;
};

/** A job after every check: the offer is ours and in force, and request and payment are the ones it was made for. */
export type CheckedJob = {
  readonly job: Job;
  readonly served: Served;
  readonly request: ParsedRequest;
  readonly offer: Offer;
  readonly offerDigest: Hex;
  readonly requestDigest: Uint8Array;
  readonly requestTag: Hex;
  readonly policy: Uint8Array;
};

/** A job whose body was compared with offer and payment, and not read yet: it may be sealed. */
export type OuterJob = Omit<CheckedJob, "request"> & { readonly body: Uint8Array };

/**
 * Checks what a gateway hands over. The node signs `rawRequest`, `offer` and `payment` with its own key, so it takes the
 * gateway's word for none of them (B8).
 *
 * @throws REQUEST_MALFORMED, OFFER_SIGNATURE_INVALID, UNAUTHENTICATED, OFFER_UNKNOWN, OFFER_EXPIRED, DEPLOYMENT_CHANGED,
 *   REQUEST_MISMATCH, MODEL_MISMATCH, MODEL_TASK_MISMATCH, PAYMENT_REQUIRED, PAYMENT_MISMATCH, PAYMENT_NOT_BOUND,
 *   PAYMENT_INVALID, SIGNATURE_NOT_CANONICAL, CHANNEL_MALFORMED for a sealed body and what `parseRequest` throws
 */
export function checkJob(input: unknown, rules: JobRules): CheckedJob {
  const outer = checkOuter(input, rules);
  return readInner(outer, outer.body);
}

/** The part of `checkJob` before the body is read. */
export function checkOuter(input: unknown, rules: JobRules): OuterJob {
  const parsed = jobShape.safeParse(input);
  if (!parsed.success) {
    throw new CountersignError("REQUEST_MALFORMED", {
      message: "This is not a job of this version.",
      why: z.prettifyError(parsed.error).split("\n").slice(0, 3).join(" "),
      cause: parsed.error,
    });
  }
  const job = parsed.data as Job;
  const { offer, served } = checkOffer(job, rules);
  const digest = offerDigest(offer);
  const body = decode(job.body);
  const policy = checkDemand(job, offer);
  const clientNonce = fromHex(job.clientNonce);
  const request = requestDigest({ clientNonce, method: "POST", path: job.path, policy, body });
  if (toHex(request) !== offer.requestDigest) {
    throw new CountersignError("REQUEST_MISMATCH", {
      message: "The request is not the one that the offer was made for.",
      why: "Its digest over nonce, path, policy and body differs from the offer's.",
    });
  }
  checkPayment(job, offer, digest);
  return {
    job,
    body,
    served,
    offer,
    offerDigest: digest,
    requestDigest: request,
    requestTag: toHex(requestTag(clientNonce, digest)),
    policy,
  };
}

/** Reads the request that a job is about: its body, or what was sealed in it. */
export function readInner({ body: _, ...outer }: OuterJob, body: Uint8Array): CheckedJob {
  const { job, offer, served } = outer;
  const read = parseRequest(job.path, body);
  refuseSealed(read.value);
  if (read.model !== offer.model.id) {
    throw new CountersignError("MODEL_MISMATCH", {
      message: `The request asks for ${read.model} and the offer is for ${offer.model.id}.`,
    });
  }
  const { task } = endpoints[job.path];
  if (!served.deployment.tasks.includes(task)) {
    throw new CountersignError("MODEL_TASK_MISMATCH", {
      message: `${offer.model.id} does ${served.deployment.tasks.join(", ")}, not ${task}.`,
      param: "model",
    });
  }
  return { ...outer, request: read };
}

function decode(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch (cause) {
    throw new CountersignError("REQUEST_MALFORMED", { message: "The job's body is not canonical base64.", cause });
  }
}

function checkOffer(job: Job, rules: JobRules): { readonly offer: Offer; readonly served: Served } {
  const offer = readOffer(job.offer, rules.suite);
  if (!rules.gateways.includes(offer.gateway)) {
    throw new CountersignError("UNAUTHENTICATED", {
      message: "This node does not work for the gateway that made the offer.",
      remedy: "Add the gateway's key to the node's configuration if it should.",
    });
  }
  if (offer.node !== rules.key || offer.network !== rules.network) {
    throw new CountersignError("OFFER_UNKNOWN", { message: "The offer is for another node or another network." });
  }
  if (rules.now() > offer.expires * 1000) {
    throw new CountersignError("OFFER_EXPIRED", { message: "The offer has expired; ask for a new one." });
  }
  const served = rules.served.find((s) => s.deployment.id === offer.deployment.id);
  if (!served) {
    throw new CountersignError("MODEL_UNKNOWN", { message: `This node has no deployment ${offer.deployment.id}.` });
  }
  const { deployment } = served;
  if (
    deployment.version !== offer.deployment.version ||
    deployment.model.id !== offer.model.id ||
    deployment.model.digest !== offer.model.digest
  ) {
    throw new CountersignError("DEPLOYMENT_CHANGED", {
      message: `${deployment.id} is at version ${deployment.version} now; the offer is for version ${offer.deployment.version}.`,
      remedy: "Ask for a new offer.",
    });
  }
  if (!isDelivered(offer.guarantee, deployment.guarantees, rules.channel !== undefined)) {
    throw new CountersignError("ASSURANCE_NOT_OFFERED", {
      message: "The offer guarantees what this deployment does not deliver.",
      why: offer.guarantee,
    });
  }
  return { offer, served };
}

/** What others make good for any deployment: the log and its witnesses, the payer, and the caller's own nonce. */
const others = new Set(["logged:log", "payment:signature", "sampling:signature"]);
/** What the attestation and the channel of an enclave add, with whatever facts the attestation shows. */
const enclosed = new Set(["request", "origin", "confidential"]);

/** Whether a guarantee is one that this deployment delivers, with at most what others add to it. */
function isDelivered(guarantee: string, delivered: readonly string[], enclave: boolean): boolean {
  if (delivered.includes(guarantee)) return true;
  const isAdded = (part: Requirement) =>
    others.has(printPolicy(part)) || (enclave && part.ground === "hardware" && enclosed.has(part.claim));
  const owns = ways(parsePolicy(guarantee)).map((way) => way.filter((part) => !isAdded(part)));
  return owns.every((own) => own.length > 0 && delivered.includes(printPolicy({ all: own })));
}

/** The demand's canonical bytes; the offer must repeat its terms. */
function checkDemand({ demand }: Job, offer: Offer): Uint8Array {
  const policy = parsePolicy(demand.require);
  if (printPolicy(policy) !== demand.require) {
    throw new CountersignError("POLICY_MALFORMED", { message: "The job's policy is not in its canonical text." });
  }
  if (demand.release !== offer.release || demand.deadline !== offer.deadline) {
    throw new CountersignError("REQUEST_MISMATCH", {
      message: "Release rule or deadline of the job are not those of the offer.",
    });
  }
  return demandBytes({ policy, release: demand.release, deadline: demand.deadline, source: demand.source });
}

function checkPayment({ payment }: Job, offer: Offer, digest: Hex): void {
  if (payment === null) {
    if (offer.amount === "0") return;
    throw new CountersignError("PAYMENT_REQUIRED", { message: "The offer has a price and no payment came with it." });
  }
  const { authorization: a, token, salt } = payment;
  const fits =
    payment.network === offer.network &&
    token.address === offer.asset &&
    a.to === offer.payTo &&
    a.value === offer.amount &&
    a.validBefore <= offer.validBefore &&
    BigInt(payment.chargeable) <= BigInt(offer.amount);
  if (!fits) {
    throw new CountersignError("PAYMENT_MISMATCH", {
      message: "The payment's asset, receiver, amount or lifetime is not the offer's.",
    });
  }
  // A stock x402 client draws its own nonce: then nothing binds the payment, and the receipt's holder can see that.
  if (salt !== null && a.nonce !== paymentNonce(digest, offer.requestDigest, salt)) {
    throw new CountersignError("PAYMENT_NOT_BOUND", {
      message: "The payment's nonce commits to another offer or request.",
    });
  }
  const separator = domainSeparator({
    name: token.name,
    version: token.version,
    chainId: Number(payment.network.slice("eip155:".length)),
    verifyingContract: token.address,
  });
  if (signerOf(authorizationDigest(a, separator), payment.signature) !== a.from) {
    throw new CountersignError("PAYMENT_INVALID", { message: "The payer did not sign this authorisation." });
  }
}

/** The address that signed, or undefined: not every r is a point of the curve, and then nobody did. */
function signerOf(digest: Uint8Array, signature: string): string | undefined {
  try {
    return recoverAddress(digest, signature);
  } catch (error) {
    if (CountersignError.is(error)) throw error;
    return undefined;
  }
}
