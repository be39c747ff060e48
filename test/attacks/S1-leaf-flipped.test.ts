import { fields } from "@countersign/core";
import { completeReceipt } from "@countersign/verify";
import { expect, test } from "vitest";
import { codesOf, honest, judgeIt } from "./receipts.ts";

const flip = (hex: string) => (hex.startsWith("0") ? "1" : "0") + hex.slice(1);

test.each(fields.map((name, i) => [name, i] as const))("S1: the leaf %s is signed", (_, i) => {
  const leaves = honest.receipt.leaves.map((leaf, at) => (at === i ? flip(leaf) : leaf));
  const verdict = judgeIt({ ...honest.receipt, leaves });
  expect(verdict.outcome).not.toBe("met");
  expect(codesOf(verdict)).toContain("STATEMENT_ROOT_MISMATCH");
});

const full = completeReceipt(honest.receipt, honest.delivered);
test.each(full.openings.map((o) => o.path))("S1: another value opened as %s does not fit its leaf", (path) => {
  const openings = full.openings.map((o) => (o.path === path ? { ...o, salt: flip(o.salt) } : o));
  const verdict = judgeIt({ ...full, openings });
  expect(codesOf(verdict)).toContain("STATEMENT_ROOT_MISMATCH");
});

test("S1: what the statement says in clear is what is committed", () => {
  expect(
    judgeIt(honest.receipt)
      .checks.filter((c) => c.id.startsWith("leaf."))
      .map((c) => c.status),
  ).toEqual(["passed", "passed", "passed"]);
});
