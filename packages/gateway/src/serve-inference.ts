import {
  CountersignError,
  type EndpointPath,
  encodeEntry,
  type Job,
  type JsonObject,
  type Output,
  printPolicy,
  type Receipt,
  type TokenLogprob,
  toBase64,
  toHex,
  type Verdict,
} from "@countersign/core";
import type { StoredAnswer } from "@countersign/store";
import { judge } from "@countersign/verify";
import { type Charge, type Charged, openCharge } from "./charge.ts";
import { type CheckedRun, checkRun } from "./check-run.ts";
import { type Delivery, openDelivery, verdictField } from "./delivery.ts";
import type { Deps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import { judgeWhole, needsLog, policyOf, refusalOf, withoutLog } from "./judge.ts";
import { type Order, readOrder, refuseCallerDigests, refuseSettlementModes } from "./order.ts";
import { type Accepted, paymentOf, requirePayment, settledHeader, takePayment } from "./payment.ts";
import { chooseDeployment, offerFor } from "./quote.ts";
import { countersign, type Done, makeReceipt } from "./receipt.ts";
import { receiptEntry } from "./receipt-entry.ts";
import { addInclusion, keepReceipt } from "./receipt-store.ts";
import type { Answer } from "./render/rendering.ts";

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

/** Runs an accepted order and delivers what it gives, or releases the payment. */
async function answerOrder(deps: Deps, exchange: Exchange, order: Order, accepted: Accepted): Promise<void> {
  const { offered, served, receiptId, paid } = accepted;
  const charge = openCharge(deps, paid);
  const head = {
    id: receiptId,
    model: served.deployment.model.id,
    created: Math.floor(deps.now() / 1000),
    request: order.request.value,
  };
  const delivery = openDelivery({ exchange, order, head, receiptId, heartbeatMs: deps.limits.heartbeatMs });
  try {
    if (await settleKept(deps, exchange, accepted, charge)) return;
    const { done, answer } = await runPaid(deps, exchange, order, accepted, delivery, charge);
    const run = checkRun(done, answer.outputs, order, offered, served);
    const receipt = receiptOf(deps, accepted, done, answer.outputs, run);
    const judged = { receipt, order, clientNonce: offered.clientNonce, answer: delivery.body(answer) };
    const { first, kept } = judgeOperator(deps, judged, run);
    const logged = await logRun(deps, accepted, done, run, !kept);
    await keepReceipt(deps, receipt, receiptId, run.receiptRoot, logged);
    if (!kept) throw refusalOf(first);
    const { whole, verdict } = await judgeLogged(deps, order, run, judged, first, logged);
    await settleAndFinish(deps, order, accepted, charge, delivery, { answer, receipt: whole, verdict }, exchange);
    if (verdict === first) followLog(deps, order, run, logged, charge);
  } catch (error) {
    await charge.undo(CountersignError.is(error) ? error.code : "INTERNAL").catch(deps.onFault);
    await delivery.fail(error);
    throw error;
  }
}

/**
 * Runs the order. A live stream that is paid for is paid first: no piece leaves before the money is there, else a wallet
 * that is emptied in between reads for nothing. Such a run goes to its end also when its reader hangs up: he has paid, the
 * whole answer is kept for him, and leaving before the last word is no way to get the money back.
 */
async function runPaid(
  deps: Deps,
  exchange: Exchange,
  order: Order,
  accepted: Accepted,
  delivery: Delivery,
  charge: Charge,
): ReturnType<typeof runOrder> {
  if (order.demand.release !== "live" || accepted.paid === null)
    return runOrder(deps, exchange, order, accepted, delivery);
  const begun = charge.begin();
  const stop = new AbortController();
  begun.catch(() => stop.abort());
  const gated: Pick<Delivery, "delta"> = {
    delta: async (piece) => {
      await begun;
      await delivery.delta(piece);
    },
  };
  try {
    return await runOrder(deps, { gone: stop.signal }, order, accepted, gated);
  } catch (error) {
    // A run that was stopped because nobody pays: the reason is the payment.
    if (stop.signal.aborted) await begun;
    throw error;
  }
}

/** Runs the order on the node and gathers the answer; what may leave at once, leaves. */
export async function runOrder(
  deps: Pick<Deps, "runOnNode" | "log" | "trust">,
  exchange: Pick<Exchange, "gone">,
  order: Order,
  { offered, served, paid }: Accepted,
  delivery: Pick<Delivery, "delta">,
): Promise<{ readonly done: Done; readonly answer: Answer }> {
  const labels: Job["labels"][number][] = [];
  if (deps.trust.development) labels.push("development");
  if (order.synthetic) labels.push("synthetic");
  const job: Job = {
    path: order.path,
    body: toBase64(order.body),
    clientNonce: offered.clientNonce,
    nonceSource: offered.nonceSource,
    demand: {
      require: printPolicy(order.demand.policy),
      release: order.demand.release,
      deadline: order.demand.deadline,
      source: order.demand.source,
    },
    offer: offered.envelope,
    payment: paid?.payment ?? null,
    log: deps.log.origin,
    labels,
  };
  const outputs: Output[] = [];
  const logprobs = new Map<number, TokenLogprob[]>();
  for await (const event of deps.runOnNode(served.nodeUrl, job, exchange.gone)) {
    switch (event.type) {
      case "delta":
        if (event.logprobs) {
          const list = logprobs.get(event.choice) ?? [];
          for (const one of event.logprobs) list.push(one);
          logprobs.set(event.choice, list);
        }
        await delivery.delta(event);
        break;
      case "output":
        // In order and each once: a second word for one choice would leave open which one is meant.
        if (event.choice !== outputs.length) throw truncated("Its answers are out of order.");
        outputs.push(event.output);
        break;
      case "done":
        return { done: event, answer: { outputs, result: event.result, logprobs } };
      case "error":
        throw nodeFault(event);
    }
  }
  throw truncated("It ended before its signed end.");
}

const truncated = (why: string) =>
  new CountersignError("STREAM_TRUNCATED", {
    message: "The node's answer has no signed end; nothing was charged.",
    why,
  });

const nodeFault = ({
  code,
  message,
  param,
}: {
  readonly code: CountersignError["code"];
  readonly message: string;
  readonly param?: string;
}) => new CountersignError(code, { message: message.split("\n")[0] as string, ...(param !== undefined && { param }) });

/** The receipt of a run, countersigned as delivered. */
function receiptOf(deps: Deps, accepted: Accepted, done: Done, outputs: readonly Output[], run: CheckedRun): Receipt {
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

/** Judges all that needs no log: signature, commitment, content, offer, payment. */
function judgeOperator(
  deps: Deps,
  judged: Parameters<typeof judgeWhole>[0],
  { statement }: CheckedRun,
): { readonly first: Verdict; readonly kept: boolean } {
  const first = judgeWhole(judged, deps);
  const rest = withoutLog(policyOf(statement));
  const state = rest === undefined ? "met" : judge(rest, first.findings, deps.trust.development).state;
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
  unmet: boolean,
): Promise<LoggedRun> {
  const entry = encodeEntry(
    receiptEntry({
      receiptRoot: run.receiptRoot,
      envelope: done.statement,
      statement: run.statement,
      usage: done.result.usage,
      price: offered.offer.amount,
      unmet,
    }),
  );
  const { index } = await deps.log.append(entry);
  return { index, entry };
}

/** The verdict under the whole policy: waits for the witnesses where the policy asks for them and content is held. */
async function judgeLogged(
  deps: Deps,
  order: Order,
  { statement, receiptRoot }: CheckedRun,
  judged: Parameters<typeof judgeWhole>[0],
  first: Verdict,
  logged: LoggedRun,
): Promise<{ readonly whole: Receipt; readonly verdict: Verdict }> {
  if (!needsLog(policyOf(statement)) || order.demand.release === "signed")
    return { whole: judged.receipt, verdict: first };
  await deps.log.witnessed(logged.index, logged.entry, deps.limits.witnessMs);
  const proof = await deps.log.prove(logged.index);
  const included = proof === undefined ? judged.receipt : addInclusion(judged.receipt, logged.entry, proof);
  const snapshots = await deps.monitors.search(receiptRoot, [statement.issuer, deps.identity.key]);
  const whole = { ...included, snapshots };
  const verdict = judgeWhole({ ...judged, receipt: whole }, deps);
  if (verdict.outcome !== "met") throw refusalOf(verdict);
  return { whole, verdict };
}

/** Content that was released at the signature although the policy asks for the log: pays back if the log does not come. */
function followLog(deps: Deps, order: Order, { statement }: CheckedRun, logged: LoggedRun, charge: Charge): void {
  if (order.demand.release !== "signed" || !needsLog(policyOf(statement))) return;
  deps.log
    .witnessed(logged.index, logged.entry, deps.limits.witnessMs)
    .catch(() => charge.undo("CHECKPOINT_NOT_WITNESSED"))
    .catch(deps.onFault);
}

type Finished = { readonly answer: Answer; readonly receipt: Receipt; readonly verdict: Verdict };

/** Keeps the answer for a retry, settles, and releases what is held. */
async function settleAndFinish(
  deps: Deps,
  order: Order,
  { offered, paid }: Accepted,
  charge: Charge,
  delivery: Delivery,
  { answer, receipt, verdict }: Finished,
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
