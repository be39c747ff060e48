import { parseReceipt } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { verify } from "@countersign/verify";
import { expect, test } from "vitest";
import { at } from "../fixtures/fake-gateway.ts";
import { trust } from "../fixtures/receipt.ts";
import { meet, question } from "./clients.ts";

test("G3: what the SDK hands on can be checked later, offline and alone", async () => {
  const { receipt } = await meet().client.chat(question);
  const kept = parseReceipt(JSON.stringify(receipt));
  const later = { trust, at: at + 60_000, allowDevelopment: true, suite: nodeSuite };
  const verdict = verify({
    receipt: kept,
    policy: "audit",
    ...later,
    delivered: { clientNonce: kept.holder?.clientNonce },
  });
  expect(verdict.outcome).toBe("met");
  // Without the content in it the same check is not met: it is the openings that carry it.
  const without = { ...kept, openings: [], holder: null };
  expect(verify({ receipt: without, policy: "audit", ...later }).outcome).not.toBe("met");
});
