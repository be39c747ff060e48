// TEE_SCOPE_PROXY_ONLY comes with hardware evidence; what holds today is that a relay grounds `origin` and nothing more.
import { expect, test } from "vitest";
import { makeReceipt } from "../fixtures/receipt.ts";
import { find, judgeIt } from "./receipts.ts";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("O3: a relay sells `origin`, never a level that says which model answered", async () => {
  for (const level of ["signature", "tee", "zkml", "reexecution"]) {
    expect(await world.refused(chatBody({ model: `relay-model:${level}` }))).toBe("412 ASSURANCE_NOT_OFFERED");
  }
  expect((await send(world.url(), chatBody({ model: "relay-model:origin" }))).status).toBe(200);
});

test("O3: a receipt of a relay proves no model and no execution, whatever it calls bought", () => {
  const { receipt, delivered } = makeReceipt({ statement: { scope: "origin" } });
  const verdict = judgeIt(receipt, { delivered });
  expect(find(verdict, "model")).toBe("unproven");
  expect(find(verdict, "execution")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
  expect(judgeIt(receipt, { delivered, policy: "tee" }).outcome).not.toBe("met");
});
