import { CountersignError, type Hex, type JsonObject, toEnvelope, utf8, type Verdict } from "@countersign/core";
import { type Answer, type AnswerHead, type Delta, renderers, withField } from "@countersign/core/render";
import type { Exchange } from "./exchange.ts";
import type { Order } from "./order.ts";

/** The way of one answer to the caller: what leaves when, under which release rule. */
export type Delivery<D = Delta, A = Answer> = {
  /** A piece of the answer as the node gave it. */
  readonly delta: (delta: D) => Promise<void>;
  /** The answer in the form in which the caller reads it, for the own check. @throws OUTPUT_MISMATCH */
  readonly body: (answer: A) => Uint8Array;
  /** The whole answer as bytes, with the extra field: what is kept for a retry. */
  readonly whole: (answer: A, extra: JsonObject) => Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Releases what is held and ends the answer. */
  readonly finish: (answer: A, extra: JsonObject, late: Readonly<Record<string, string>>) => Promise<void>;
  /** An error instead of the answer, or, where its beginning is out, in place of its end. */
  readonly fail: (error: unknown) => Promise<void>;
};

export type DeliveryOptions = {
  readonly exchange: Exchange;
  readonly order: Order;
  readonly receiptId: Hex;
  /** Milliseconds until a held stream opens with heartbeats, and between two. */
  readonly heartbeatMs: number;
};

/** An answer as events, in text to write. */
export type EventText<D, A> = {
  readonly open: () => string;
  readonly delta: (delta: D) => string;
  readonly close: (answer: A) => string;
  readonly last: (answer: A, extra: JsonObject | undefined) => string;
};

/** The delivery for an order: a JSON body, held events or live events. */
export function openDelivery(options: DeliveryOptions & { readonly head: AnswerHead }): Delivery {
  const { json, stream } = renderers[options.order.path];
  if (!options.order.stream || !stream) return deliverJson(options, (answer) => json(options.head, answer));
  return deliverEvents(options, stream(options.head));
}

/** Delivers one JSON object. */
export function deliverJson<D, A>(
  { exchange, receiptId }: DeliveryOptions,
  json: (answer: A) => string,
): Delivery<D, A> {
  const headers = {
    "content-type": "application/json",
    "cache-control": "private",
    "x-countersign-receipt": receiptId,
  };
  let text: string | undefined;
  const render = (answer: A) => {
    text ??= json(answer);
    return text;
  };
  return {
    delta: async () => {},
    body: (answer) => utf8(render(answer)),
    whole: (answer, extra) => utf8(withField(render(answer), "countersign", extra)),
    headers,
    finish: async (answer, extra, late) => {
      exchange.reply.start(200, { ...headers, ...late });
      exchange.reply.end(withField(render(answer), "countersign", extra));
    },
    fail: async (error) => sendError(exchange, error),
  };
}

/** Delivers events: held until the verdict, or live. */
export function deliverEvents<D, A>(
  { exchange, order, receiptId, heartbeatMs }: DeliveryOptions,
  rendering: EventText<D, A>,
): Delivery<D, A> {
  const { reply } = exchange;
  const live = order.demand.release === "live";
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, private",
    "x-accel-buffering": "no",
    "x-countersign-receipt": receiptId,
  };
  // Everything that is, or will be, on the wire before the last events: what the own check reads.
  let sofar = rendering.open();
  let sent = 0;
  let closed = false;
  let heartbeat: NodeJS.Timeout | undefined;
  const open = (late: Readonly<Record<string, string>> = {}) => {
    if (!reply.started()) reply.start(200, { ...headers, ...late });
  };
  const flush = async () => {
    const text = sofar.slice(sent);
    sent = sofar.length;
    if (text !== "") await reply.write(text);
  };
  const beat = () => {
    open();
    void reply.write(": held until the verdict\n\n");
  };
  if (!live) heartbeat = setInterval(beat, heartbeatMs);
  const quiet = () => clearInterval(heartbeat);
  const close = (answer: A) => {
    if (!closed) sofar += rendering.close(answer);
    closed = true;
  };
  return {
    delta: async (delta) => {
      sofar += rendering.delta(delta);
      if (!live || sofar.length === sent) return;
      open();
      // Not waited for: a reader who reads slowly on purpose would drive a paid run into its time limit, and be paid back.
      // The text is in memory anyway, for the own check.
      void flush();
    },
    body: (answer) => {
      close(answer);
      return utf8(sofar + rendering.last(answer, undefined));
    },
    whole: (answer, extra) => {
      close(answer);
      return utf8(sofar + rendering.last(answer, extra));
    },
    headers,
    finish: async (answer, extra, late) => {
      quiet();
      close(answer);
      open(late);
      await flush();
      reply.end(rendering.last(answer, extra));
    },
    fail: async (error) => {
      quiet();
      if (!reply.started()) return sendError(exchange, error);
      await reply.write(`data: ${JSON.stringify(toEnvelope(error).body)}\n\n`);
      // No [DONE] and no proper end: a reader that ignores the error still sees that the stream was cut.
      await reply.cut();
    },
  };
}

/** Answers with an error, unless the caller is gone. */
export async function sendError(exchange: Exchange, error: unknown): Promise<void> {
  if (exchange.gone.aborted) return;
  if (exchange.reply.started()) return exchange.reply.cut();
  const { status, body } = toEnvelope(error);
  const extra: Record<string, string> = { "cache-control": "no-store" };
  if (CountersignError.is(error, "RATE_LIMITED") || CountersignError.is(error, "NOT_READY")) extra["retry-after"] = "1";
  exchange.reply.start(status, { "content-type": "application/json", ...extra });
  exchange.reply.end(JSON.stringify(body));
}

/** The gateway's own opinion, for people and for clients that check nothing. */
export const verdictField = ({ outcome, summary, policy }: Verdict): JsonObject => ({
  outcome,
  summary,
  policy: { demanded: policy.demanded, bought: policy.bought, judged: policy.judged },
});
