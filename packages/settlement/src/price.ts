import { amount, CountersignError } from "@countersign/core";
import * as z from "zod";

/** What a deployment costs, in the asset's smallest unit (micro-dollars for a token of 6 decimals). */
export const priceTableShape = z.strictObject({
  /** For each request. */
  base: amount,
  /** For each KiB of request body that was begun. */
  perInputKiB: amount,
  /** For each token that the answer may have. */
  perOutputToken: amount,
});
export type PriceTable = z.infer<typeof priceTableShape>;

/** What a request can use at most: known before it runs, and to anybody who has the request. */
export type UsageBound = {
  /** Bytes of the request body as received. */
  readonly inputBytes: number;
  /** Output tokens over all choices; 0 where the answer has none. */
  readonly maxTokens: number;
};

/** The price of a request: `base + perInputKiB · ⌈bytes/1024⌉ + perOutputToken · maxTokens`, in the smallest unit. @throws RangeError */
export function quote(table: PriceTable, bound: UsageBound): string {
  for (const n of [bound.inputBytes, bound.maxTokens]) {
    if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is no count.`);
  }
  const kib = BigInt(Math.ceil(bound.inputBytes / 1024));
  const sum =
    BigInt(table.base) + BigInt(table.perInputKiB) * kib + BigInt(table.perOutputToken) * BigInt(bound.maxTokens);
  if (sum >= 1n << 256n) throw new RangeError("The price does not fit into 256 bits.");
  return sum.toString();
}

/**
 * Recomputes a quote from the public price table, as any client can.
 *
 * @throws OVERCHARGED when the charge is higher; a lower one is the seller's matter
 */
export function recomputeQuote(charge: string, table: PriceTable, bound: UsageBound): void {
  const price = quote(table, bound);
  if (BigInt(charge) <= BigInt(price)) return;
  throw new CountersignError("OVERCHARGED", {
    message: "The charge is higher than the price table says.",
    why: `It is ${charge}; ${bound.inputBytes} bytes and at most ${bound.maxTokens} tokens cost ${price}.`,
    remedy: "Do not pay it; show the offer and the price table to whoever runs the gateway.",
    facts: { charge, price },
  });
}
