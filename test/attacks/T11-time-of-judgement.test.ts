import { expect, test } from "vitest";
import { makeEnclave, makeEnclaveReceipt, now, trusting } from "../fixtures/enclave.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";

const hour = 3_600_000;
const trust = trusting();
const { receipt, delivered } = makeEnclaveReceipt(makeEnclave());
const later = now + 6 * hour;

test("T11: a receipt that was logged while its document held is still met when the document has lapsed", () => {
  const verdict = judgeIt(receipt, { policy: "tee", trust, delivered, at: later });
  expect(verdict.outcome).toBe("met");
  const check = verdict.checks.find((c) => c.id === "tee.now");
  expect(check?.status).toBe("not-run");
  expect(check?.detail).toMatch(/TEE_CERT_EXPIRED/);
});

test("T11: one that was never logged is judged for now", () => {
  const verdict = judgeIt({ ...receipt, inclusion: [], snapshots: [] }, { policy: "tee", trust, delivered, at: later });
  expect(codesOf(verdict)).toContain("TEE_CERT_EXPIRED");
  expect(find(verdict, "execution", "hardware")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
});

test("T11: a document that was made after the receipt was logged cannot have been there", () => {
  const tomorrow = makeEnclave({ at: now + 5 * hour });
  const late = makeEnclaveReceipt(tomorrow);
  const verdict = judgeIt(late.receipt, { policy: "tee", trust, delivered: late.delivered, at: later });
  expect(codesOf(verdict)).toContain("TEE_CERT_NOT_YET_VALID");
  expect(verdict.outcome).toBe("unmet");
});

test("T11: both judgements stand side by side while the document holds", () => {
  const verdict = judgeIt(receipt, { policy: "tee", trust, delivered });
  expect(verdict.checks.find((c) => c.id === "tee.now")?.status).toBe("passed");
});
