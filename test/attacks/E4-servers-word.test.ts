import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";
import { judgeIt } from "./receipts.ts";

test("E4: `verified: true` from the server proves nothing", async () => {
  for (const receipt of [{ verified: true }, { outcome: "met", verdict: "met" }, null, "met"]) {
    const { client } = meet({ receipt: () => receipt });
    expect(await refusalOf(client.chat(question))).toEqual(["ASSURANCE_NOT_MET", "RECEIPT_MALFORMED"]);
    expect(judgeIt(receipt).outcome).toBe("unmet");
  }
});

test("E4: the verdict that is handed on is the client's own, not the gateway's", async () => {
  const { verdict } = await meet().client.chat(question);
  expect(verdict.summary).not.toContain("Believe me");
  expect(verdict.checks.length).toBeGreaterThan(5);
});

test("E4: checking asks nobody: no request leaves while a receipt is judged", async () => {
  const { client, seen } = meet();
  const { receipt } = await client.chat(question);
  const before = seen.requests.length;
  expect(client.verify(receipt).outcome).toBe("met");
  expect(seen.requests.length).toBe(before);
});
