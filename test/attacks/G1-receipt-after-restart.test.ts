import { expect, test } from "vitest";
import { chatBody, codeOf, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("G1: a receipt reads the same after a restart, by its id alone", async () => {
  const response = await send(world.url(), chatBody());
  const id = response.headers.get("x-countersign-receipt");
  await response.text();
  const read = async () => (await fetch(new URL(`/v1/receipts/${id}`, world.url()))).text();
  let before = await read();
  for (
    const last = performance.now() + 10_000;
    JSON.parse(before).receipt.inclusion.length === 0;
    before = await read()
  ) {
    expect(performance.now()).toBeLessThan(last);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await world.get().restart();
  expect(await read()).toBe(before);
  expect(JSON.parse(before).receipt.holder).toBeNull();
  for (const unknown of ["0".repeat(64), "ab".repeat(32), "..", "%2e%2e"]) {
    const missing = await fetch(new URL(`/v1/receipts/${unknown}`, world.url()));
    expect(missing.status).toBe(404);
  }
  const missing = await fetch(new URL(`/v1/receipts/${"ab".repeat(32)}`, world.url()));
  expect(`${missing.status} ${await codeOf(missing)}`).toBe("404 RECEIPT_NOT_FOUND");
});

test("G1: the public root is no key to a receipt (A7)", async () => {
  const answer = (await (await send(world.url(), chatBody())).json()) as {
    countersign: { receipt: { statement: { payload: string } } };
  };
  const statement = JSON.parse(Buffer.from(answer.countersign.receipt.statement.payload, "base64").toString());
  const root = statement.subject[0].digest.sha256;
  expect((await fetch(new URL(`/v1/receipts/${root}`, world.url()))).status).toBe(404);
  const shown = await (await fetch(new URL(`/v1/receipts/by-root/${root}`, world.url()))).text();
  expect(shown).not.toMatch(/openings|payer|Count to three/);
});
