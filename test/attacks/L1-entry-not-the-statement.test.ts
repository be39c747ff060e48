import { expect, test } from "vitest";
import { makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";

test.each([
  ["hides the label development", { labels: ["development"] as const }],
  ["hides that the run was aborted", { outcome: "aborted" as const }],
  ["counts another hour", { issuedAt: 1_790_000_000_000 - 3 * 3_600_000 }],
])("L1: a logged entry that %s is not this receipt's", (_, statement) => {
  const { receipt, delivered } = makeReceipt({ statement: statement as never });
  const verdict = judgeIt(receipt, { delivered, policy: "logged" });
  expect(codesOf(verdict)).toContain("ENTRY_EVIDENCE_INVALID");
  expect(find(verdict, "logged", "log")).toBe("unproven");
});
