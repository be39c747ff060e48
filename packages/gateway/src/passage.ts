import type { Delivery as Countersigned, Output, Policy, Receipt, Statement, Verdict } from "@countersign/core";
import type { Answer } from "@countersign/core/render";
import { type CheckedRun, checkRun } from "./check-run.ts";
import { type Delivery, openDelivery } from "./delivery.ts";
import type { Deps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import { judgeWhole, policyOf } from "./judge.ts";
import type { Order } from "./order.ts";
import type { Accepted } from "./payment.ts";
import type { Done } from "./receipt.ts";
import { runOrder } from "./run-order.ts";

/** How an answer passes through the gateway: in clear, where it is read and compared, or sealed, where it is only relayed. */
export type Passage<A> = {
  readonly delivery: Pick<Delivery<never, A>, "whole" | "headers" | "finish" | "fail">;
  /** Runs the order on its node. @param gate Waited for before a piece of the answer may leave. */
  readonly run: (
    exchange: Pick<Exchange, "gone">,
    gate: () => Promise<void>,
  ) => Promise<{ readonly done: Done; readonly answer: A }>;
  /** Compares what the node signed with what was offered. @throws what `checkRun` throws, CHANNEL_*, TEE_CHANNEL_NOT_BOUND */
  readonly check: (done: Done, answer: A) => CheckedRun;
  /** Answers that the gateway read; none where it could not. */
  readonly outputs: (answer: A) => readonly Output[];
  /** What the countersignature says of them. */
  readonly saw: Pick<Countersigned, "saw">;
  /** The own check. */
  readonly judge: (receipt: Receipt, answer: A, statement: Statement) => Verdict;
  /** What of demanded and bought the own check can decide. */
  readonly policy: (statement: Statement) => Policy;
};

/** The passage of a request in clear. */
export function openClear(deps: Deps, exchange: Exchange, order: Order, accepted: Accepted): Passage<Answer> {
  const { offered, served, receiptId } = accepted;
  const head = {
    id: receiptId,
    model: served.deployment.model.id,
    created: Math.floor(deps.now() / 1000),
    request: order.request.value,
  };
  const delivery = openDelivery({ exchange, order, head, receiptId, heartbeatMs: deps.limits.heartbeatMs });
  return {
    delivery,
    run: (from, gate) =>
      runOrder(deps, from, order, accepted, {
        delta: async (piece) => {
          await gate();
          await delivery.delta(piece);
        },
      }),
    check: (done, { outputs }) => checkRun(done, outputs, order, offered, served),
    outputs: ({ outputs }) => outputs,
    saw: {},
    judge: (receipt, answer) =>
      judgeWhole({ receipt, order, clientNonce: offered.clientNonce, answer: delivery.body(answer) }, deps),
    policy: policyOf,
  };
}
