// As protocol-review A3 has it: a flip never proves, mathematics over signed bytes refutes whatever else holds, and
// garbage pinned to a receipt neither defeats nor rescues it.
import { fromHex, parsePolicy, readSnapshot, signSnapshot, toBase64Url, toHex } from "@countersign/core";
import { buildSortedSet, encodeSetProof } from "@countersign/log";
import { expect, test } from "vitest";
import { answer, answerBody, demandSignature, keys, makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, find, honest, judgeIt } from "./receipts.ts";

const other = { ...honest.delivered, output: { body: answerBody({ ...answer, content: "Lyon" } as typeof answer) } };

test("V2: a proven log entry does not hide a refuted answer, also where the policy asks for the log alone", () => {
  for (const policy of ["logged", "signature", "audit", "logged | signature"]) {
    const verdict = judgeIt(honest.receipt, { delivered: other, policy });
    expect(find(verdict, "logged", "log")).toBe("proven");
    expect(find(verdict, "output")).toBe("refuted");
    expect(verdict.outcome).toBe("refuted");
  }
});

test("V2: nor where nobody demanded or bought anything about the answer", () => {
  const demand = { ...demandSignature, policy: parsePolicy("logged") };
  const { receipt, delivered } = makeReceipt({ demand });
  expect(judgeIt(receipt, { delivered }).outcome).toBe("met");
  expect(judgeIt(receipt, { delivered: { ...delivered, output: other.output } }).outcome).toBe("refuted");
});

test("V2: a refutation that a quorum of monitors found withdraws a receipt that is otherwise in order", () => {
  const [item] = honest.receipt.snapshots as [(typeof honest.receipt.snapshots)[number]];
  const { predicate, subject } = readSnapshot(item.envelope);
  const refuted = buildSortedSet({ keys: [fromHex(honest.receiptRoot)] });
  const envelope = signSnapshot(
    subject,
    { ...predicate, refuted: { size: 1, root: toHex(refuted.root) } },
    keys.monitor,
  );
  const proofs = { ...item.proofs, refuted: toBase64Url(encodeSetProof(refuted.prove(fromHex(honest.receiptRoot)))) };
  const verdict = judgeIt({ ...honest.receipt, snapshots: [{ envelope, proofs }] });
  expect(codesOf(verdict)).toContain("CLAIM_REFUTED");
  expect(verdict.outcome).toBe("unmet");
  // Under a key that no trust names the same list says nothing.
  const stranger = signSnapshot(
    subject,
    { ...predicate, refuted: { size: 1, root: toHex(refuted.root) } },
    keys.witness,
  );
  expect(judgeIt({ ...honest.receipt, snapshots: [{ envelope: stranger, proofs }] }).outcome).toBe("met");
});

test("V2: a bad signature beside good proofs proves nothing", () => {
  const { statement } = honest.receipt;
  const [signature] = statement.signatures as [{ keyid: string; sig: string }];
  const bytes = Buffer.from(signature.sig, "base64");
  bytes[10] = (bytes[10] as number) ^ 1;
  const flipped = { ...statement, signatures: [{ ...signature, sig: bytes.toString("base64") }] };
  const verdict = judgeIt({ ...honest.receipt, statement: flipped });
  expect(verdict.outcome).toBe("unmet");
  for (const claim of ["issuer", "model", "output", "prompt", "request"] as const)
    expect(find(verdict, claim)).not.toBe("proven");
});
