import { expect, test } from "vitest";
import { paid, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("P16: who hangs up in the middle is not charged, and the same payment still buys one answer", async () => {
  const before = await world.balance();
  const body = paid({ stream: true });
  const headers = { "payment-signature": await world.sign(await world.required(body)) };
  const left = new AbortController();
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  world.get().node.behave({
    pause: async () => {
      left.abort();
      await stopped;
    },
    onAbort: resolve,
  });
  await expect(send(world.url(), body, { headers, signal: left.signal })).rejects.toThrow();
  await stopped;
  world.get().node.behave({});
  expect(await world.balance()).toBe(before);
  // The reservation is given back when the gateway has seen the hang-up.
  let response = await send(world.url(), body, { headers });
  for (let i = 0; response.status === 409 && i < 1000; i++) response = await send(world.url(), body, { headers });
  expect(response.status).toBe(200);
  await response.text();
  const price = before - (await world.balance());
  expect(price).toBeGreaterThan(0n);
  const again = await send(world.url(), body, { headers });
  expect(again.status).toBe(200);
  expect(before - (await world.balance())).toBe(price);
});
