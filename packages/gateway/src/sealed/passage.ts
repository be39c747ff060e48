import type { SealedRequest } from "@countersign/channel";
import type { JsonObject } from "@countersign/core";
import { deliverEvents, deliverJson } from "../delivery.ts";
import type { Deps } from "../deps.ts";
import type { Exchange } from "../exchange.ts";
import type { Order } from "../order.ts";
import type { Passage } from "../passage.ts";
import type { Accepted } from "../payment.ts";
import { checkSealed, judgeSealed, sealedPolicy } from "./check-sealed.ts";
import { attestedFor } from "./read-order.ts";
import { relayRun, type SealedAnswer, type SealedPiece } from "./relay.ts";

const event = (value: JsonObject) => `data: ${JSON.stringify(value)}\n\n`;

/** A sealed answer in one piece. */
const wholeText = ({ nonce, chunks, last }: SealedAnswer) =>
  JSON.stringify({ sealed: { nonce, chunks: [...chunks, last] } });

/** A sealed answer as events: the same frames at every endpoint, around text that is the endpoint's own. */
const frames = {
  open: () => "",
  delta: (piece: SealedPiece) => event({ sealed: piece }),
  close: () => "",
  last: ({ last }: SealedAnswer, extra: JsonObject | undefined) =>
    `${event({ choices: [], sealed: { chunk: last }, ...(extra && { countersign: extra }) })}data: [DONE]\n\n`,
};

/** The passage of a sealed request: ciphertext in, ciphertext out, and a countersignature that says so. */
export function openSealed(
  deps: Deps,
  exchange: Exchange,
  order: Order & { readonly sealed: SealedRequest },
  accepted: Accepted,
): Passage<SealedAnswer> {
  const { offered, served, receiptId } = accepted;
  const options = { exchange, order, receiptId, heartbeatMs: deps.limits.heartbeatMs };
  const delivery = order.stream
    ? deliverEvents<SealedPiece, SealedAnswer>(options, frames)
    : deliverJson<SealedPiece, SealedAnswer>(options, wholeText);
  return {
    delivery,
    run: async (from, gate) => {
      // Between the offer and its payment the enclave may have got other keys.
      attestedFor(order.sealed, [served]);
      return relayRun(deps, from, order, accepted, async (piece) => {
        await gate();
        await delivery.delta(piece);
      });
    },
    check: (done, answer) => checkSealed(done, answer, order, accepted),
    outputs: () => [],
    saw: { saw: "ciphertext" },
    judge: (receipt, _, statement) => judgeSealed(receipt, statement, offered.clientNonce, deps),
    policy: sealedPolicy,
  };
}
