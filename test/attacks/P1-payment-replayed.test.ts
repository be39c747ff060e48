import { expect, test } from "vitest";
import { codeOf, paid, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("P1: one payload sent five times at once runs and pays once", async () => {
  const { node } = world.get();
  const [before, runs] = [await world.balance(), node.runs()];
  const body = paid();
  const headers = { "payment-signature": await world.sign(await world.required(body)) };
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  node.behave({ pause: () => gate });
  let refused = 0;
  const five = Array.from({ length: 5 }, async () => {
    const response = await send(world.url(), body, { headers });
    // The one that runs answers only when the four others were refused.
    if (response.status === 409 && ++refused === 4) open();
    return response.status === 200 ? "200" : `${response.status} ${await codeOf(response)}`;
  });
  expect((await Promise.all(five)).sort()).toEqual(["200", ...Array(4).fill("409 PAYMENT_REPLAYED")]);
  expect(node.runs() - runs).toBe(1);
  const price = before - (await world.balance());
  expect(price).toBeGreaterThan(0n);
  // Another request cannot use it either, and the same one gets the kept answer without a second run or charge.
  expect(await world.refused(paid({ seed: 1 }), headers)).toBe("402 PAYMENT_NOT_BOUND");
  expect((await send(world.url(), body, { headers })).status).toBe(200);
  expect(node.runs() - runs).toBe(1);
  expect(before - (await world.balance())).toBe(price);
});
