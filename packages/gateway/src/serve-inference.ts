import {
  type Assurance,
  assurances,
  CountersignError,
  type EndpointPath,
  encodeEntry,
  type JsonObject,
  type Output,
  type Policy,
  type Receipt,
  toHex,
  type Verdict,
} from "@countersign/core";
import type { StoredAnswer } from "@countersign/store";
import { judge } from "@countersign/verify";
import { type Charge, type Charged, openCharge } from "./charge.ts";
import type { CheckedRun } from "./check-run.ts";
import { verdictField } from "./delivery.ts";
import type { Deps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import { needsLog, refusalOf, withoutLog } from "./judge.ts";
import { type Order, readOrder, refuseCallerDigests, refuseSettlementModes } from "./order.ts";
import { openClear, type Passage } from "./passage.ts";
import { type Accepted, paymentOf, requirePayment, settledHeader, takePayment } from "./payment.ts";
import { chooseDeployment, offerFor } from "./quote.ts";
import { countersign, type Done, makeReceipt } from "./receipt.ts";
import { receiptEntry } from "./receipt-entry.ts";
import { addInclusion, keepReceipt } from "./receipt-store.ts";
import { openSealed } from "./sealed/passage.ts";

/**
 * Bytes of a request up to which the node is asked before the payment. Nobody has paid for that question: one of a larger
 * body would keep the node from the runs of those who have, so a larger one is refused in its own run, uncharged.
 */
const askedBytes = 1 << 20;

/**
 * Serves one inference: the whole way from a request to its checked, logged and paid answer.
 *
 * Nothing is run before its payment is reserved on disk; under `met` and `signed` nothing of the answer leaves before the
 * own check; whatever fails on the way releases the payment.
 */
export async function serveInference(deps: Deps, exchange: Exchange, path: EndpointPath): Promise<void> {
  refuseCallerDigests(exchange.headerNames);
  refuseSettlementModes(exchange.headers("x-settlement-type"));
  const header = paymentOf(exchange);
  const body = await exchange.readBody(deps.limits.bodyBytes);
  const order = readOrder(exchange, path, body, deps.now());
  if (header === undefined) {
    const choice = chooseDeployment(deps, order);
    const { deployment, nodeUrl } = choice.served;
    // What the node would refuse is refused before anything is signed; a free run says it itself.
    if (choice.price > 0n && body.length <= askedBytes)
      await deps.checkOnNode?.(nodeUrl, { path, body, deployment: deployment.id });
    const offered = await offerFor(deps, order, choice);
    if (choice.price > 0n) return requirePayment(deps, exchange, offered);
    const receiptId = toHex(deps.random(32));
    return answerOrder(deps, exchange, order, { offered, served: choice.served, receiptId, paid: null });
  }
  const taken = await takePayment(deps, order, header);
  if (taken.state === "held") return answerOrder(deps, exchange, order, taken.accepted);
  sendAgain(exchange, taken.answer);
}

/** Gives out an answer that was kept. */
function sendAgain({ reply }: Exchange, { status, headers, body }: StoredAnswer): void {
  reply.start(status, Object.fromEntries(headers));
  reply.end(body);
}

/** A whole answer that was checked and kept, and not yet paid, because its caller left or its settlement failed. */
async function settleKept(
  deps: Deps,
  exchange: Exchange,
  { paid, offered }: Accepted,
  charge: Charge,
): Promise<boolean> {
  if (paid === null) return false;
  const kept = await deps.store.answers.get(paid.key, offered.offer.requestDigest, deps.now());
  if (!kept) return false;
  const charged = await charge.settle();
  const settled = charged?.transaction ? [["payment-response", settledHeader(paid, charged.transaction)] as const] : [];
  sendAgain(exchange, { ...kept, headers: [...kept.headers, ...settled] });
  return true;
}

/** Runs an accepted order and delivers what it gives, in clear or sealed as it came. */
function answerOrder(deps: Deps, exchange: Exchange, order: Order, accepted: Accepted): Promise<void> {
  const { sealed } = order;
  if (sealed) return pass(deps, exchange, order, accepted, openSealed(deps, exchange, { ...order, sealed }, accepted));
  return pass(deps, exchange, order, accepted, openClear(deps, exchange, order, accepted));
}

/** Runs, checks, logs, settles and delivers, or releases the payment. */
async function pass<A>(
  deps: Deps,
  exchange: Exchange,
  order: Order,
  accepted: Accepted,
  passage: Passage<A>,
): Promise<void> {
  const charge = openCharge(deps, accepted.paid);
  try {
    if (await settleKept(deps, exchange, accepted, charge)) return;
    const { done, answer } = await runPaid(exchange, order, accepted, passage, charge);
    const run = passage.check(done, answer);
    const receipt = receiptOf(deps, accepted, done, passage.outputs(answer), run, passage.saw);
    const check = (one: Receipt) => passage.judge(one, answer, run.statement);
    const policy = passage.policy(run.statement);
    const { first, kept } = judgeOperator(deps, policy, check(receipt));
    const logged = await logRun(deps, accepted, done, run, kept ? first : null);
    await keepReceipt(deps, receipt, accepted.receiptId, run.receiptRoot, logged);
    if (!kept) throw refusalOf(first);
    const judged = { receipt, policy, check };
    const { whole, verdict } = await judgeLogged(deps, order, run, judged, first, logged);
    const finished = { answer, receipt: whole, verdict };
    await settleAndFinish(deps, order, accepted, charge, passage.delivery, finished, exchange);
    if (verdict === first) followLog(deps, order, policy, logged, charge);
  } catch (error) {
    await charge.undo(CountersignError.is(error) ? error.code : "INTERNAL").catch(deps.onFault);
    await passage.delivery.fail(error);
    throw error;
  }
}

const atOnce = async () => {};

/**
 * Runs the order. A live stream that is paid for is paid first: no piece leaves before the money is there, else a wallet
 * that is emptied in between reads for nothing. Such a run goes to its end also when its reader hangs up: he has paid, the
 * whole answer is kept for him, and leaving before the last word is no way to get the money back.
 */
async function runPaid<A>(
  exchange: Exchange,
  order: Order,
  accepted: Accepted,
  passage: Passage<A>,
  charge: Charge,
): ReturnType<Passage<A>["run"]> {
  if (order.demand.release !== "live" || accepted.paid === null) return passage.run(exchange, atOnce);
  const begun = charge.begin();
  const stop = new AbortController();
  begun.catch(() => stop.abort());
  try {
    return await passage.run({ gone: stop.signal }, () => begun);
  } catch (error) {
    // A run that was stopped because nobody pays: the reason is the payment.
    if (stop.signal.aborted) await begun;
    throw error;
  }
}

/** The receipt of a run, countersigned as delivered. */
function receiptOf(
  deps: Deps,
  accepted: Accepted,
  done: Done,
  outputs: readonly Output[],
  run: CheckedRun,
  saw: Passage<unknown>["saw"],
): Receipt {
  const { offered, paid, receiptId } = accepted;
  const delivery = countersign(
    run.receiptRoot,
    {
      network: deps.identity.network,
      offerDigest: offered.digest,
      requestTag: run.statement.requestTag,
      requestDigest: offered.offer.requestDigest,
      paymentDigest: paid?.paymentDigest ?? null,
      paymentBound: paid?.bound ?? false,
      deliveredAt: deps.now(),
      ...saw,
    },
    deps.identity,
  );
  return makeReceipt({
    done,
    statement: run.statement,
    outputs,
    offer: offered.envelope,
    delivery,
    registration: deps.identity.registration,
    receiptId,
    clientNonce: offered.clientNonce,
  });
}

/** Judges all that needs no log: signature, commitment, content where it is there, offer, payment. */
function judgeOperator(
  { trust }: Deps,
  policy: Policy,
  first: Verdict,
): { readonly first: Verdict; readonly kept: boolean } {
  const rest = withoutLog(policy);
  const state = rest === undefined ? "met" : judge(rest, first.findings, trust.development).state;
  return { first, kept: first.outcome !== "refuted" && state === "met" };
}

/** A run's place in the log. */
type LoggedRun = { readonly index: number; readonly entry: Uint8Array };

/** Logs the run, also an unmet one: what was sold and not delivered is counted too (protocol-review B4). */
async function logRun(
  deps: Deps,
  { offered }: Accepted,
  done: Done,
  run: CheckedRun,
  kept: Verdict | null,
): Promise<LoggedRun> {
  const entry = encodeEntry(
    receiptEntry({
      receiptRoot: run.receiptRoot,
      envelope: done.statement,
      statement: run.statement,
      usage: done.result.usage,
      price: offered.offer.amount,
      unmet: kept === null,
      hardware: kept && assuranceOf(kept),
    }),
  );
  const { index } = await deps.log.append(entry);
  return { index, entry };
}

/** What the attestation stands on, as the own check found it. */
function assuranceOf({ findings }: Verdict): Assurance | null {
  const shown = findings.find((f) => f.ground === "hardware" && f.status === "proven")?.facts.assurance;
  return assurances.find((a) => a === shown) ?? null;
}

/** The verdict under the whole policy: waits for the witnesses where the policy asks for them and content is held. */
async function judgeLogged(
  deps: Deps,
  order: Order,
  { statement, receiptRoot }: CheckedRun,
  judged: {
    readonly receipt: Receipt;
    readonly policy: Policy;
    readonly check: (receipt: Receipt) => Verdict;
  },
  first: Verdict,
  logged: LoggedRun,
): Promise<{ readonly whole: Receipt; readonly verdict: Verdict }> {
  if (!needsLog(judged.policy) || order.demand.release === "signed") return { whole: judged.receipt, verdict: first };
  await deps.log.witnessed(logged.index, logged.entry, deps.limits.witnessMs);
  const proof = await deps.log.prove(logged.index);
  const included = proof === undefined ? judged.receipt : addInclusion(judged.receipt, logged.entry, proof);
  const snapshots = await deps.monitors.search(receiptRoot, [statement.issuer, deps.identity.key]);
  const whole = { ...included, snapshots };
  const verdict = judged.check(whole);
  if (verdict.outcome !== "met") throw refusalOf(verdict);
  return { whole, verdict };
}

/** Content that was released at the signature although the policy asks for the log: pays back if the log does not come. */
function followLog(deps: Deps, order: Order, policy: Policy, logged: LoggedRun, charge: Charge): void {
  if (order.demand.release !== "signed" || !needsLog(policy)) return;
  deps.log
    .witnessed(logged.index, logged.entry, deps.limits.witnessMs)
    .catch(() => charge.undo("CHECKPOINT_NOT_WITNESSED"))
    .catch(deps.onFault);
}

type Finished<A> = { readonly answer: A; readonly receipt: Receipt; readonly verdict: Verdict };

/** Keeps the answer for a retry, settles, and releases what is held. */
async function settleAndFinish<A>(
  deps: Deps,
  order: Order,
  { offered, paid }: Accepted,
  charge: Charge,
  delivery: Passage<A>["delivery"],
  { answer, receipt, verdict }: Finished<A>,
  exchange: Exchange,
): Promise<void> {
  const fieldOf = (payment: Charged | null): JsonObject => ({
    receipt: receipt as unknown as JsonObject,
    verdict: verdictField(verdict),
    payment,
  });
  const late: Record<string, string> = { "x-countersign-verdict": verdict.outcome };
  if (paid === null) return delivery.finish(answer, fieldOf(null), late);
  const unsettled: Charged = {
    transaction: null,
    amount: paid.payment.chargeable,
    payer: paid.payer,
    network: paid.payment.network,
  };
  // On disk before the money moves: from here on a broken connection costs nobody a second payment (P16).
  const isKept = await deps.store.answers.put(
    paid.key,
    offered.offer.requestDigest,
    {
      status: 200,
      headers: Object.entries({ ...delivery.headers, ...late }),
      body: delivery.whole(answer, fieldOf(unsettled)),
    },
    deps.now() + deps.limits.answerMs,
  );
  if (isKept) await deps.store.reservations.answer(paid.key);
  // Not for one who has left (protocol-review A11): should he come back with this payment, the kept answer is his.
  if (exchange.gone.aborted && order.demand.release !== "live") {
    throw new CountersignError("RUN_CANCELLED", { message: "The caller went away before the answer's end." });
  }
  const charged = await charge.settle();
  if (charged?.transaction) late["payment-response"] = settledHeader(paid, charged.transaction);
  await delivery.finish(answer, fieldOf(charged), late);
  if (!isKept) await deps.store.reservations.answer(paid.key);
}
