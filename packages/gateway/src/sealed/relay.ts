import { CountersignError, concat, fromBase64, fromHex, type Hex, sha256, sha256Hex, toHex } from "@countersign/core";
import type { Deps } from "../deps.ts";
import type { Exchange } from "../exchange.ts";
import type { Order } from "../order.ts";
import type { Accepted } from "../payment.ts";
import type { Done } from "../receipt.ts";
import { jobOf, nodeFault } from "../run-order.ts";

/** A piece on the wire: the answer's nonce first, then its chunks. */
export type SealedPiece = { readonly nonce: Hex } | { readonly chunk: string };

/** A sealed answer: what the gateway ever has of it. */
export type SealedAnswer = {
  readonly nonce: Hex;
  /** Base64, all but the last. */
  readonly chunks: readonly string[];
  /** The chunk with the end mark: what only the holder gets of the receipt. */
  readonly last: string;
  /** SHA-256 over the nonce and the SHA-256 of each chunk, the last included: what the node's statement names. */
  readonly digest: Hex;
};

/** An authentication tag alone. */
const leastChunk = 16;

/**
 * Runs a sealed order on its node and passes on what comes, chunk by chunk.
 *
 * @throws CHANNEL_PLAINTEXT for anything of the answer in clear, CHANNEL_TRUNCATED without the chunk behind the signed end,
 *   CHANNEL_MALFORMED
 */
export async function relayRun(
  deps: Pick<Deps, "runOnNode" | "log" | "trust">,
  exchange: Pick<Exchange, "gone">,
  order: Order,
  accepted: Accepted,
  pass: (piece: SealedPiece) => Promise<void>,
): Promise<{ readonly done: Done; readonly answer: SealedAnswer }> {
  let nonce: Hex | undefined;
  let done: Done | undefined;
  const chunks: string[] = [];
  const hashes: Uint8Array[] = [];
  for await (const event of deps.runOnNode(accepted.served.nodeUrl, jobOf(deps, order, accepted), exchange.gone)) {
    switch (event.type) {
      case "delta":
      case "output":
        throw plaintext("It sent a part of the answer.");
      case "sealed": {
        const bytes = decode(event.data);
        if (nonce === undefined) {
          if (bytes.length !== 32 || done) throw malformed("It does not begin with the answer's nonce.");
          nonce = toHex(bytes);
          await pass({ nonce });
        } else if (bytes.length < leastChunk) {
          throw malformed("A chunk is shorter than its own seal.");
        } else if (done) {
          const digest = sha256Hex(concat(fromHex(nonce), ...hashes, sha256(bytes)));
          return { done, answer: { nonce, chunks, last: event.data, digest } };
        } else {
          chunks.push(event.data);
          hashes.push(sha256(bytes));
          await pass({ chunk: event.data });
        }
        break;
      }
      case "done":
        if (done) throw malformed("It has two ends.");
        if (event.receiptSecret !== null) throw plaintext("It sent the receipt's secret.");
        done = event;
        break;
      case "error":
        throw nodeFault(event);
    }
  }
  throw new CountersignError("CHANNEL_TRUNCATED", {
    message: "The node's sealed answer has no end; nothing was charged.",
  });
}

export const plaintext = (why: string) =>
  new CountersignError("CHANNEL_PLAINTEXT", {
    message:
      "The node answered in clear where the request came sealed; the answer is withheld and nothing was charged.",
    why,
  });

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("CHANNEL_MALFORMED", { message: "The node's sealed answer cannot be read.", why, cause });

function decode(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch (cause) {
    throw malformed("A chunk is not canonical base64.", cause);
  }
}
