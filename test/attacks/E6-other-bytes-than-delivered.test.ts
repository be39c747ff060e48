import type { Output } from "@countersign/core";
import { completeReceipt } from "@countersign/verify";
import { expect, test } from "vitest";
import { answer, answerBody } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { codesOf, find, honest, judgeIt } from "./receipts.ts";

const lyon: Output = { ...(answer as Extract<Output, { kind: "message" }>), content: "Lyon" };

test("E6: what is compared are the delivered bytes", () => {
  const full = completeReceipt(honest.receipt, honest.delivered);
  for (const output of [{ body: answerBody(lyon) }, { text: "Lyon" }, { text: "Paris " }, { text: "" }]) {
    const verdict = judgeIt(full, { delivered: { ...honest.delivered, output } });
    expect(verdict.outcome).toBe("refuted");
    expect(find(verdict, "output")).toBe("refuted");
    expect(codesOf(verdict)).toContain("OUTPUT_MISMATCH");
  }
});

test("E6: plain text that cannot be compared, since the committed answer is closed, is not met either", () => {
  const verdict = judgeIt(honest.receipt, { delivered: { ...honest.delivered, output: { text: "Lyon" } } });
  expect(verdict.outcome).toBe("unmet");
  expect(codesOf(verdict)).toContain("OUTPUT_MISMATCH");
});

test("E6: a receipt that is right about another text does not help the delivered one", async () => {
  const change = { body: (b: object) => JSON.parse(JSON.stringify(b).replaceAll('"Paris"', '"Lyon"')) };
  const codes = await refusalOf(meet(change).client.chat(question));
  expect(codes[0]).toBe("ASSURANCE_NOT_MET");
  expect(codes).toContain("OUTPUT_MISMATCH");
});

test("E6: without the delivered answer nothing is said about it", () => {
  const verdict = judgeIt(honest.receipt, { delivered: {} });
  expect(find(verdict, "output")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
});
