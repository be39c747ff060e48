import { expect, test } from "vitest";
import { trust } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { honest, judgeIt } from "./receipts.ts";

test("V3: stand-ins ground nothing unless somebody allows them by name", async () => {
  const verdict = judgeIt(honest.receipt, { allowDevelopment: false });
  expect(verdict.outcome).toBe("unmet");
  expect(verdict.summary).toMatch(/stand-in/);
  const { client, seen } = meet({}, { allowDevelopment: false });
  expect(await refusalOf(client.chat(question))).toEqual(["DEVELOPMENT_TRUST_NOT_ALLOWED"]);
  expect(seen.requests).toEqual([]);
});

test("V3: allowed, they are marked on the verdict and on every finding they ground", () => {
  const verdict = judgeIt(honest.receipt);
  expect(verdict.development).toBe(true);
  expect(verdict.findings.filter((f) => f.status === "proven").every((f) => f.development)).toBe(true);
});

test("V3: a trust file that hides the mark does not make its network's statements production ones", async () => {
  const { makeReceipt } = await import("../fixtures/receipt.ts");
  const { receipt, delivered } = makeReceipt({ statement: { labels: ["development"] } });
  const verdict = judgeIt(receipt, { delivered, trust: { ...trust, development: false }, allowDevelopment: false });
  expect(verdict.outcome).toBe("unmet");
});
