import {
  CountersignError,
  type Job,
  type Output,
  printPolicy,
  type RunEvent,
  type TokenLogprob,
  toBase64,
} from "@countersign/core";
import type { Answer } from "@countersign/core/render";
import type { Delivery } from "./delivery.ts";
import type { Deps } from "./deps.ts";
import type { Exchange } from "./exchange.ts";
import type { Order } from "./order.ts";
import type { Accepted } from "./payment.ts";
import type { Done } from "./receipt.ts";

/** The job of an accepted order, as its node gets it. */
export function jobOf({ log, trust }: Pick<Deps, "log" | "trust">, order: Order, { offered, paid }: Accepted): Job {
  const labels: Job["labels"][number][] = [];
  if (trust.development) labels.push("development");
  if (order.synthetic) labels.push("synthetic");
  return {
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
    log: log.origin,
    labels,
  };
}

/** Runs the order on the node and gathers the answer; what may leave at once, leaves. */
export async function runOrder(
  deps: Pick<Deps, "runOnNode" | "log" | "trust">,
  exchange: Pick<Exchange, "gone">,
  order: Order,
  accepted: Accepted,
  delivery: Pick<Delivery, "delta">,
): Promise<{ readonly done: Done; readonly answer: Answer }> {
  const outputs: Output[] = [];
  const logprobs = new Map<number, TokenLogprob[]>();
  for await (const event of deps.runOnNode(accepted.served.nodeUrl, jobOf(deps, order, accepted), exchange.gone)) {
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
        if (event.receiptSecret === null) throw unasked();
        return { done: event, answer: { outputs, result: event.result, logprobs } };
      case "sealed":
        throw unasked();
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

const unasked = () =>
  new CountersignError("UPSTREAM_MALFORMED", {
    message: "The node's answer cannot be read.",
    why: "It sealed an answer to a request that came in clear.",
  });

/** A node's error event as the caller gets it. */
export const nodeFault = ({ code, message, param }: Extract<RunEvent, { readonly type: "error" }>) =>
  new CountersignError(code, { message: message.split("\n")[0] as string, ...(param !== undefined && { param }) });
