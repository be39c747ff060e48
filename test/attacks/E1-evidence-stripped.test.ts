import { signEvidence, toHex } from "@countersign/core";
import { expect, test } from "vitest";
import { keys } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { codesOf, honest, judgeIt } from "./receipts.ts";

test.each(["keys", "inclusion", "openings"] as const)(
  "E1: without its %s a receipt is worth less, never a warning",
  (part) => {
    const verdict = judgeIt({ ...honest.receipt, [part]: [] }, { policy: "audit" });
    expect(verdict.outcome).not.toBe("met");
    expect(verdict.checks.some((c) => c.status !== "passed")).toBe(true);
  },
);

test.each(["offer", "holder"] as const)("E1: without its %s it proves less than the audit preset asks", (part) => {
  const verdict = judgeIt({ ...honest.receipt, [part]: null }, { policy: "audit" });
  expect(verdict.outcome === "met" && verdict.final).toBe(false);
});

test("E1: without the gateway's countersignature the check did not run, and says so", () => {
  const check = judgeIt({ ...honest.receipt, delivery: null }).checks.find((c) => c.id === "delivery.countersigned");
  expect(check?.status).toBe("not-run");
});

test("E1: evidence of a kind that is not there proves nothing, and the policy that asks for it is not met", () => {
  for (const policy of ["tee", "zkml", "reexecution"]) {
    expect(judgeIt(honest.receipt, { policy }).outcome).toBe("unmet");
  }
});

test("E1: an attached item that is garbage is listed as missing, and neither helps nor hurts", () => {
  const envelope = honest.receipt.delivery;
  const verdict = judgeIt({ ...honest.receipt, evidence: [{ envelope, blob: null }] });
  expect(codesOf(verdict)).toContain("EVIDENCE_MISSING");
  expect(verdict.outcome).toBe("met");
  expect(judgeIt({ ...honest.receipt, evidence: [{ envelope, blob: null }] }, { policy: "tee" }).outcome).toBe("unmet");
});

test("E1: nor does a well-formed item that is about another receipt, or that its issuer did not sign", () => {
  const evidence = {
    suite: "countersign/evidence/v1",
    network: honest.statement.network,
    kind: "tee",
    format: "test",
    issuer: toHex(keys.node.publicKey),
    says: "supports",
    blob: null,
    binds: "",
    facts: {},
    producedAt: honest.statement.issuedAt,
  } as const;
  const about = (root: string, signer: typeof keys.node) => ({
    envelope: signEvidence(root, evidence, signer),
    blob: null,
  });
  for (const item of [about("ab".repeat(32), keys.node), about(honest.receiptRoot, keys.gateway)]) {
    const verdict = judgeIt({ ...honest.receipt, evidence: [item] });
    expect(codesOf(verdict)).toContain("EVIDENCE_MISSING");
  }
  const good = judgeIt({ ...honest.receipt, evidence: [about(honest.receiptRoot, keys.node)] });
  expect(codesOf(good)).not.toContain("EVIDENCE_MISSING");
  // A kind that nothing here can check proves nothing, however well it is signed.
  expect(
    judgeIt({ ...honest.receipt, evidence: [about(honest.receiptRoot, keys.node)] }, { policy: "tee" }).outcome,
  ).toBe("unmet");
});

test("E1: an answer without a receipt is not handed on", async () => {
  const { client } = meet({ body: ({ countersign: _, ...b }) => b });
  expect(await refusalOf(client.chat(question))).toEqual(["ASSURANCE_NOT_MET", "RECEIPT_MALFORMED"]);
});
