import { expect, test } from "vitest";
import { makeReceipt, now } from "../fixtures/receipt.ts";
import { at, codesOf, judgeIt } from "./receipts.ts";

const hour = 3_600_000;

test("S4: a statement from an hour after its log's time was not made when it says", () => {
  const { receipt, delivered } = makeReceipt({ statement: { issuedAt: now + hour } });
  const verdict = judgeIt(receipt, { delivered });
  expect(verdict.outcome).not.toBe("met");
  expect(codesOf(verdict)).toContain("TIME_NOT_ANCHORED");
  // Later it is no better: the witnesses saw it before it says it was made.
  expect(codesOf(judgeIt(receipt, { delivered, at: at + 2 * hour }))).toContain("TIME_NOT_ANCHORED");
});

test("S4: nor does a clock that is an hour slow date a run back past its offer", () => {
  const { receipt, delivered } = makeReceipt({ statement: { issuedAt: now - hour } });
  expect(judgeIt(receipt, { delivered }).outcome).not.toBe("met");
});

test("S4: without a log the time is the issuer's word, and a key past its term says nothing", () => {
  const { receipt, delivered } = makeReceipt();
  const alone = { ...receipt, inclusion: [], snapshots: [] };
  expect(judgeIt(alone, { delivered, at: now + 30 * 24 * hour }).outcome).toBe("unmet");
  expect(judgeIt(receipt, { delivered, at: now + 30 * 24 * hour }).outcome).toBe("met");
});
