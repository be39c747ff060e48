import {
  CountersignError,
  type Envelope,
  fromHex,
  type Hex,
  isObject,
  type JsonObject,
  judgedPolicy,
  parsePolicy,
  parseReceipt,
  printPolicy,
  type Receipt,
  readDelivery,
  readRun,
  requestTag,
  type Statement,
  toHex,
  type Verdict,
} from "@countersign/core";
import { completeReceipt, type Delivered, refreshReceipt, verify } from "@countersign/verify";
import { standingOf } from "./lateness.ts";
import type { Accepted } from "./pay.ts";
import { fetchReceipt } from "./refresh.ts";
import type { Prepared } from "./request.ts";
import type { Settings } from "./settings.ts";

/** What the gateway says it charged. */
export type PaymentReport = {
  readonly transaction: string | null;
  readonly amount: string;
  readonly payer: string | null;
  readonly network: string | null;
};

/** An answer that was checked and may be read. */
export type Judged = {
  /** Complete: with the openings of request and answer, so that it can be checked alone. */
  readonly receipt: Receipt;
  readonly verdict: Verdict;
  readonly payment: PaymentReport | null;
};

/** What came with an answer, before anybody believed any of it. */
export type Unjudged = {
  readonly receipt: unknown;
  readonly payment: unknown;
  /** The answer as it will be handed on. */
  readonly body: Uint8Array;
  /** Digest over nonce and sealed chunks that it was opened from. */
  readonly answer?: Hex | undefined;
};

/** Reads the receipt if it can be read: what cannot be read proves nothing. */
export function tryReceipt(value: unknown): Receipt | undefined {
  try {
    return parseReceipt(value);
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}

/** A receipt without a sealed body that is none of ours: it would stand for one that this client never sealed. */
function own(receipt: Receipt | undefined, { sealed }: Prepared): Receipt | undefined {
  if (!receipt || sealed) return receipt;
  const { sealed: _, ...rest } = receipt;
  return rest;
}

/** Applies what was demanded and bought to a receipt and the content in hand. */
function judgeAnswer(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  args: { receipt: unknown; delivered: Delivered },
): Verdict {
  const { demand } = prepared;
  const policy = accepted ? judgedPolicy(demand.policy, parsePolicy(accepted.offer.guarantee)) : demand.policy;
  const { trust, allowDevelopment, suite } = settings;
  return verify({ ...args, policy, trust, at: settings.now(), allowDevelopment, suite });
}

type Standing = { readonly receipt: Receipt | undefined; readonly verdict: Verdict };

/** Waits for evidence that is still to come, as long as the settings allow and nothing releases the answer before. */
async function waitForEvidence(
  settings: Settings,
  start: Standing,
  isEnough: (verdict: Verdict) => boolean,
  again: (receipt: Receipt) => Verdict,
): Promise<Standing> {
  let { receipt, verdict } = start;
  let waited = 0;
  // Counted in waits, not by the clock: a clock that stands still must not make this endless.
  for (let delay = 100; receipt?.holder && !isEnough(verdict); delay = Math.min(2 * delay, 2000)) {
    if (standingOf(settings, verdict) !== "pending" || waited + delay > settings.waitFor) break;
    waited += delay;
    await settings.sleep(delay);
    const theirs = await fetchReceipt(settings, receipt);
    if (!theirs) continue;
    receipt = refreshReceipt(receipt, theirs);
    verdict = again(receipt);
  }
  return { receipt, verdict };
}

/** Whether request and answer are signed by a known node, whatever else is still to come. */
const isSigned = (verdict: Verdict) =>
  ["issuer", "request", "output"].every((claim) =>
    verdict.findings.some((f) => f.claim === claim && f.ground === "signature" && f.status === "proven"),
  );

/** Whether the release rule lets content through under this verdict (A11). */
function isReleased(settings: Settings, { demand }: Prepared, verdict: Verdict): boolean {
  if (verdict.outcome === "met") return true;
  // `signed` was asked for by name; `live` with late evidence was asked for by naming its deadline.
  const late = demand.release === "signed" || (demand.release === "live" && demand.deadline !== null);
  return late && standingOf(settings, verdict) === "pending" && isSigned(verdict);
}

const notMet = (verdict: Verdict, receipt: Receipt | undefined): CountersignError => {
  const codes = [
    ...verdict.checks.filter((c) => c.status === "failed"),
    ...verdict.findings.filter((f) => f.status === "refuted"),
  ].flatMap((c) => c.code ?? []);
  return new CountersignError("ASSURANCE_NOT_MET", {
    message: `The answer does not meet what was demanded and bought: ${verdict.outcome}. Its content is withheld.`,
    why: verdict.summary,
    remedy:
      "`facts.verdict` says what was found. The receipt is in the client's store: it is evidence. Nothing is owed for an unmet answer.",
    // Never the receipt itself: its holder's part opens the conversation, and errors end up in logs.
    facts: { verdict, codes: [...new Set(codes)], receiptId: receipt?.holder?.receiptId ?? null },
  });
};

/** That the receipt is about the offer that was accepted and the payment that was signed, not about another. */
function requireBinding(
  prepared: Prepared,
  accepted: Accepted | undefined,
  receipt: Receipt,
  statement: Statement,
  answer: Hex | undefined,
): void {
  if (statement.model.id !== prepared.model) {
    throw new CountersignError("MODEL_MISMATCH", {
      message: `The model ${statement.model.id} answered; asked was ${prepared.model}.`,
    });
  }
  requireChannel(prepared, statement, answer);
  if (!accepted) return;
  const { offer, offerDigest } = accepted;
  const { model, deployment } = statement;
  if (
    statement.issuer !== offer.node ||
    model.digest !== offer.model.digest ||
    deployment.id !== offer.deployment.id ||
    deployment.version !== offer.deployment.version
  ) {
    throw new CountersignError("DEPLOYMENT_SUBSTITUTED", {
      message: "Another deployment answered than the accepted offer names.",
      why: `${deployment.id} version ${deployment.version} by ${statement.issuer}, not ${offer.deployment.id} version ${offer.deployment.version} by ${offer.node}.`,
    });
  }
  const tag = toHex(requestTag(fromHex(prepared.clientNonce), offerDigest));
  if (statement.requestTag !== tag || !isForPayment(receipt.delivery, accepted)) {
    throw new CountersignError("PAYMENT_MISMATCH", {
      message: "The receipt is about another offer or payment than the one that was accepted and signed.",
    });
  }
}

/**
 * That the enclave whose attestation was checked answered, and signed for the very chunks that were opened. That it
 * opened the very body that was sent is the verdict's business: there it is a refutation.
 */
function requireChannel({ sealed }: Prepared, statement: Statement, answer: Hex | undefined): void {
  const { channel } = statement;
  if (!sealed) {
    if (!channel) return;
    // A gateway can seal what it has read: enclave and receipt are honest then, and `confidential` would stand as proven.
    throw new CountersignError("CHANNEL_PLAINTEXT", {
      message: "The receipt says that the request travelled sealed; it was sent in clear.",
      why: "Somebody on the way read it and sealed it himself.",
      remedy: 'Demand `confidential`, or give `channel: "sealed"`.',
    });
  }
  const { keys } = sealed;
  if (statement.issuer !== keys.receiptKey) {
    throw new CountersignError("TEE_KEY_NOT_BOUND", {
      message: "Another key signed the receipt than the one that was attested before the request was sealed.",
    });
  }
  if (channel?.keyset !== keys.keysetDigest || channel.key !== keys.channelKey) {
    throw new CountersignError("TEE_CHANNEL_NOT_BOUND", {
      message: "The receipt does not say that the attested key opened the request.",
    });
  }
  if (channel.answer !== answer) {
    throw new CountersignError("OUTPUT_MISMATCH", { message: "The receipt is about another sealed answer." });
  }
}

function isForPayment(envelope: Envelope | null, accepted: Accepted): boolean {
  if (envelope === null) return true;
  const delivery = readDelivery(envelope).predicate;
  return delivery.offerDigest === accepted.offerDigest && delivery.paymentDigest === accepted.paymentDigest;
}

/** What the gateway says it charged, held against what was signed. @throws OVERCHARGED */
function readCharge(value: unknown, accepted: Accepted | undefined): PaymentReport | null {
  if (!isObject(value) || !accepted) return null;
  const text = (name: string) => (typeof value[name] === "string" ? value[name] : null);
  const amount = text("amount") ?? "";
  if (!/^(?:0|[1-9][0-9]{0,77})$/.test(amount) || BigInt(amount) > BigInt(accepted.offer.amount)) {
    throw new CountersignError("OVERCHARGED", {
      message: `The gateway says that it charged ${amount || "an unknown amount"}; the accepted price is ${accepted.offer.amount}.`,
      remedy: "Keep the receipt and the offer: together they show it.",
      facts: { charged: amount, price: accepted.offer.amount },
    });
  }
  return { transaction: text("transaction"), amount, payer: text("payer"), network: text("network") };
}

/** What an answer stood on, in words that can be compared: `model:signature`, `production`. */
function strengthOf(verdict: Verdict): readonly string[] {
  // What depends on when one looks, or on who pays, says nothing about the deployment.
  const passing = new Set(["logged", "payment", "sampling"]);
  const proven = verdict.findings.filter((f) => f.status === "proven" && !passing.has(f.claim));
  return [
    ...new Set([...proven.map((f) => `${f.claim}:${f.ground}`), ...(verdict.development ? [] : ["production"])]),
  ].sort();
}

/** Remembers the best of each deployment and refuses what falls behind it (V5). @throws ASSURANCE_DOWNGRADED */
async function requireNoDowngrade(
  settings: Settings,
  prepared: Prepared,
  statement: Statement,
  verdict: Verdict,
): Promise<void> {
  const key = `${settings.trust.network} ${statement.model.id} ${statement.deployment.id} ${printPolicy(prepared.demand.policy)}`;
  const best = (await settings.receipts.recall(key)) ?? [];
  const now = strengthOf(verdict);
  const missing = best.filter((word) => !now.includes(word));
  await settings.receipts.remember(key, [...new Set([...best, ...now])].sort());
  if (missing.length === 0 || prepared.acceptDowngrade) return;
  throw new CountersignError("ASSURANCE_DOWNGRADED", {
    message: `The answer is weaker than what ${statement.deployment.id} gave before for the same demand.`,
    why: `Missing now: ${missing.join(", ")}.`,
    remedy: "Demand by policy what you rely on, or give `acceptDowngrade: true` if the change is known to you.",
    facts: { missing, verdict },
  });
}

/**
 * Checks an answer before it is handed on: verdict, release rule, the accepted offer, the charge, the deployment's past.
 *
 * @throws ASSURANCE_NOT_MET with the verdict in `facts.verdict`, MODEL_MISMATCH, DEPLOYMENT_SUBSTITUTED,
 * PAYMENT_MISMATCH, OVERCHARGED, ASSURANCE_DOWNGRADED
 */
export async function conclude(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  answer: Unjudged,
): Promise<Judged> {
  const delivered: Delivered = {
    request: { method: "POST", path: prepared.path, body: prepared.plain },
    output: { body: answer.body },
    clientNonce: prepared.clientNonce,
    ...(prepared.sealed && { sealed: { body: prepared.body } }),
  };
  const sent = own(tryReceipt(answer.receipt), prepared);
  const again = (receipt: unknown) => judgeAnswer(settings, prepared, accepted, { receipt, delivered });
  const start = { receipt: sent, verdict: again(sent ?? answer.receipt ?? null) };
  const isEnough = (verdict: Verdict) => isReleased(settings, prepared, verdict);
  const stood = await waitForEvidence(settings, start, isEnough, again);
  const { verdict } = stood;
  const receipt = stood.receipt && completeReceipt(stood.receipt, delivered);
  if (receipt) await keep(settings, accepted, receipt, verdict);
  if (!receipt || !isEnough(verdict)) throw notMet(verdict, receipt);
  const statement = readRun(receipt.statement).predicate;
  requireBinding(prepared, accepted, receipt, statement, answer.answer);
  // From here on the answer was what was bought: the price is owed even if it is refused for another reason.
  accepted?.hold.spend();
  const payment = readCharge(answer.payment, accepted);
  if (verdict.outcome === "met") await requireNoDowngrade(settings, prepared, statement, verdict);
  return { receipt, verdict, payment };
}

async function keep(
  settings: Settings,
  accepted: Accepted | undefined,
  receipt: Receipt,
  verdict: Verdict,
): Promise<void> {
  if (!receipt.holder) return;
  const logged = verdict.findings.find((f) => f.claim === "logged" && f.pendingUntil !== undefined);
  await settings.receipts.put({
    receiptId: receipt.holder.receiptId,
    receipt,
    offer: accepted?.envelope ?? receipt.offer,
    demanded: verdict.policy.judged,
    outcome: verdict.outcome,
    inclusionBy:
      logged?.pendingUntil === undefined ? settings.now() + settings.inclusionWithin : logged.pendingUntil * 1000,
    payment: accepted?.payment ?? null,
    at: settings.now(),
  });
}

/** The `countersign` member that is handed on: the complete receipt and our own verdict in place of the gateway's. */
export const handedOn = ({ receipt, verdict, payment }: Judged): JsonObject =>
  ({ receipt, verdict, payment }) as unknown as JsonObject;

/** Identity of a receipt for its holder. */
export const receiptIdOf = (receipt: Receipt): Hex | undefined => receipt.holder?.receiptId;
