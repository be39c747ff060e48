import { CountersignError, type EndpointPath, type Output, readRun } from "@countersign/core";
import {
  type Accepted,
  chooseDeployment,
  countersign,
  type Done,
  makeReceipt,
  type Order,
  offerFor,
  openDelivery,
  openExchange,
  readOrder,
  requirePayment,
  runOrder,
  sendError,
  takePayment,
} from "@countersign/gateway";
import { type CheckedJob, checkJob, execute, sealRun } from "@countersign/node";
import { listenOn, passOn, type Server } from "./proxy.ts";
import type { Stage } from "./stage.ts";

/** What gateway and node agreed to change in a job that was checked, and paid for, as it is. */
export type Twist = (checked: CheckedJob) => CheckedJob;

const lyingAt: EndpointPath = "/v1/chat/completions";

/**
 * A gateway and a node who lie together: they sell what was asked for, run what they like, and sign every part of it with
 * their registered keys. No check of theirs stands between the lie and the client.
 */
export async function openColludingGateway(stage: Stage, twist: Twist): Promise<Server> {
  const { deps } = stage.gateway;
  const pair = {
    ...deps,
    runOnNode: async function* (_url: string, job: unknown, signal: AbortSignal) {
      const twisted = twist(checkJob(job, stage.liar));
      const execution = yield* execute(twisted, stage.liar.engines, signal);
      for (const [choice, { output }] of execution.outputs.entries()) yield { type: "output" as const, choice, output };
      yield sealRun(twisted, execution, stage.liar);
    },
  };
  return listenOn(async (incoming, outgoing) => {
    // Its face is the honest gateway's, registration included: it is the same key that signs.
    if (incoming.method !== "POST" || incoming.url !== lyingAt) return passOn(stage.gateway.url, incoming, outgoing);
    const exchange = openExchange(incoming, outgoing);
    try {
      const order = readOrder(exchange, lyingAt, await exchange.readBody(1 << 20), deps.now());
      const [header] = exchange.headers("payment-signature");
      if (header === undefined)
        return await requirePayment(deps, exchange, await offerFor(deps, order, chooseDeployment(deps, order)));
      const taken = await takePayment(deps, order, header);
      if (taken.state !== "held") throw new CountersignError("PAYMENT_REPLAYED", { message: "Paid before." });
      await deliver(pair, exchange, order, taken.accepted);
    } catch (error) {
      await sendError(exchange, error);
    }
  });
}

async function deliver(
  deps: Stage["gateway"]["deps"],
  exchange: ReturnType<typeof openExchange>,
  order: Order,
  accepted: Accepted,
): Promise<void> {
  const { served, paid, receiptId } = accepted;
  const head = {
    id: receiptId,
    model: served.deployment.model.id,
    created: Math.floor(deps.now() / 1000),
    request: order.request.value,
  };
  const delivery = openDelivery({ exchange, order, head, receiptId, heartbeatMs: 60_000 });
  const { done, answer } = await runOrder(deps, exchange, order, accepted, delivery);
  const receipt = receiptOf(deps, accepted, done, answer.outputs);
  const verdict = { outcome: "met", summary: "Believe me." };
  await delivery.finish(answer, { receipt: receipt as never, verdict, payment: null }, {});
  // The play ends without charging; a real pair would submit the authorisation before it expires.
  if (paid) await deps.store.reservations.release(paid.key);
}

function receiptOf(
  { identity, now }: Stage["gateway"]["deps"],
  { offered, paid, receiptId }: Accepted,
  done: Done,
  outputs: readonly Output[],
) {
  const { predicate: statement, subject } = readRun(done.statement);
  const delivery = countersign(
    subject,
    {
      network: identity.network,
      offerDigest: offered.digest,
      requestTag: statement.requestTag,
      requestDigest: offered.offer.requestDigest,
      paymentDigest: paid?.paymentDigest ?? null,
      paymentBound: paid?.bound ?? false,
      deliveredAt: now(),
    },
    identity,
  );
  const { envelope: offer, clientNonce } = offered;
  const { registration } = identity;
  return makeReceipt({ done, statement, outputs, offer, delivery, registration, receiptId, clientNonce });
}
