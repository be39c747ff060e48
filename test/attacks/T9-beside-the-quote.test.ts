import type { Statement } from "@countersign/core";
import { expect, test } from "vitest";
import {
  attach,
  edited,
  judgeEnclave,
  makeEnclave,
  makeEnclaveReceipt,
  now,
  outcomeOf,
  trusting,
} from "../fixtures/enclave.ts";
import { keyOf, makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";

const enclave = makeEnclave();
const trust = trusting();
const ask = { policy: "tee", trust };

test("T9: the honest receipt of an enclave meets tee", () => {
  const { receipt, delivered } = makeEnclaveReceipt(enclave);
  const verdict = judgeIt(receipt, { ...ask, delivered });
  expect(verdict.outcome).toBe("met");
  expect(find(verdict, "execution", "hardware")).toBe("proven");
});

test("T9: a key put beside the quote is not in it: the document attests another keyset", () => {
  const swap = edited(enclave, (b) => ({
    ...b,
    keyset: {
      ...b.keyset,
      keys: b.keyset.keys.map((k) => (k.use === "channel" ? { ...k, key: "ee".repeat(32) } : k)) as never,
    },
  }));
  expect(outcomeOf(judgeEnclave(swap))).toBe("TEE_REPORT_DATA_MISMATCH");
});

test.each([
  ["a longer life", { notAfter: now + 20 * 3_600_000 }],
  ["another model", { models: ["ab".repeat(32)] }],
  ["another scope", { scope: "proxy" as const }],
])("T9: %s written into the keyset afterwards", (_what, change) => {
  const swap = edited(enclave, (b) => ({ ...b, keyset: { ...b.keyset, ...change } }));
  expect(outcomeOf(judgeEnclave(swap))).toBe("TEE_REPORT_DATA_MISMATCH");
});

test("T9: a receipt by an ordinary key, with a genuine enclave's document pinned to it", () => {
  const { receipt, delivered, receiptRoot } = makeReceipt();
  const verdict = judgeIt(
    { ...receipt, evidence: [attach(receiptRoot, enclave, keyOf("node"))] },
    { ...ask, delivered },
  );
  expect(codesOf(verdict)).toContain("TEE_CUSTODY_NOT_ALLOWED");
  expect(find(verdict, "execution", "hardware")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
});

test("T9: a receipt by one enclave's key with another's document, both genuine and registered", () => {
  const other = makeEnclave({ signer: keyOf("another enclave") });
  const honest = makeEnclaveReceipt(enclave);
  const { receipt, receiptRoot, delivered } = honest;
  const { receipt: theirs } = makeEnclaveReceipt(other);
  const keys = [...receipt.keys, ...theirs.keys];
  const verdict = judgeIt(
    { ...receipt, keys, evidence: [attach(receiptRoot, other, enclave.signer)] },
    { ...ask, delivered },
  );
  expect(codesOf(verdict)).toContain("TEE_KEY_NOT_BOUND");
  expect(verdict.outcome).toBe("unmet");
});

test("T9: a request that was opened by a key outside of the attested keyset is not confidential", () => {
  const channel = (over: Partial<NonNullable<Statement["channel"]>>): Partial<Statement> => ({
    channel: {
      suite: "countersign/channel/v1",
      keyset: enclave.digest,
      key: "c0".repeat(32),
      request: "00".repeat(32),
      answer: "00".repeat(32),
      ...over,
    },
  });
  for (const over of [{ key: "ee".repeat(32) }, { keyset: "ee".repeat(32) }]) {
    const { receipt, delivered } = makeEnclaveReceipt(enclave, { statement: channel(over) });
    const verdict = judgeIt(receipt, { ...ask, delivered, policy: "confidential:hardware" });
    expect(codesOf(verdict)).toContain("TEE_CHANNEL_NOT_BOUND");
    expect(verdict.outcome).toBe("unmet");
  }
});
