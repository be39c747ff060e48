import { readDelivery } from "@countersign/core";
import { expect, test } from "vitest";
import { makeReceipt } from "../fixtures/receipt.ts";
import { find, judgeIt } from "./receipts.ts";
import { paid, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("P5: a payment made for one request buys no other", async () => {
  const header = await world.sign(await world.required(paid()));
  for (const other of [
    { seed: 1 },
    { messages: [{ role: "user", content: "Something longer." }] },
    { temperature: 1 },
  ]) {
    expect(await world.refused(paid(other), { "payment-signature": header })).toBe("402 PAYMENT_NOT_BOUND");
  }
});

test("P5: where a stock client bound nothing, the receipt does not claim that he did", async () => {
  const header = await world.sign(await world.required(paid()), { bound: false });
  const response = await send(world.url(), paid(), { headers: { "payment-signature": header } });
  expect(response.status).toBe(200);
  const { receipt } = ((await response.json()) as { countersign: { receipt: { delivery: never } } }).countersign;
  expect(readDelivery(receipt.delivery).predicate.paymentBound).toBe(false);
});

test("P5: a committed payment whose nonce is bound to something else proves no payment", () => {
  const { receipt, delivered } = makeReceipt({ payment: (p) => ({ ...p, salt: "00".repeat(32) }) });
  expect(find(judgeIt(receipt, { delivered }), "payment")).not.toBe("proven");
});
