import { expect, test } from "vitest";
import {
  hardware,
  judgeEnclave,
  makeEnclave,
  makeEnclaveReceipt,
  outcomeOf,
  registerPlace,
  trusting,
} from "../fixtures/enclave.ts";
import { keyOf } from "../fixtures/receipt.ts";
import { codesOf, judgeIt } from "./receipts.ts";

const enclave = makeEnclave();
const judge = (registrations: ReturnType<typeof registerPlace>[], custody = ["named-datacentre" as const]) =>
  outcomeOf(judgeEnclave(enclave, { registrations, trust: trusting(hardware({ custody })) }));

test("T15: genuine hardware of which nobody says where it stands is not taken for a data centre's", () => {
  expect(judge([])).toBe("TEE_CUSTODY_NOT_ALLOWED");
  expect(judge([registerPlace(enclave)])).toBe("accepted");
});

test.each(["self-hosted", "unknown", "hyperscaler"] as const)("T15: custody %s where another is asked", (custody) => {
  expect(judge([registerPlace(enclave, custody)])).toBe("TEE_CUSTODY_NOT_ALLOWED");
});

test("T15: an empty list of places accepts none", () => {
  expect(judge([registerPlace(enclave)], [])).toBe("TEE_CUSTODY_NOT_ALLOWED");
});

test("T15: a word that no registrar of the trust gave, or about another key", () => {
  expect(judge([registerPlace(enclave, "named-datacentre", keyOf("a friend"))])).toBe("TEE_CUSTODY_NOT_ALLOWED");
  const other = makeEnclave({ signer: keyOf("another enclave") });
  expect(judge([registerPlace(other)])).toBe("TEE_CUSTODY_NOT_ALLOWED");
});

test("T15: a policy may ask for a place by itself, whatever the trust accepts", () => {
  const trust = trusting(hardware({ custody: ["self-hosted", "named-datacentre"] }));
  const { receipt, delivered } = makeEnclaveReceipt(enclave, {}, "self-hosted");
  const judged = (policy: string) => judgeIt(receipt, { trust, delivered, policy });
  expect(judged("execution:hardware(custody=self-hosted)").outcome).toBe("met");
  expect(judged("execution:hardware(custody=named-datacentre)").outcome).toBe("unmet");
  expect(judged("execution:hardware(custody=self-hosted,tcb=up-to-date)").outcome).toBe("unmet");
  expect(judged("execution:hardware(assurance=hardware,platform=nitro,operator=acme)").outcome).toBe("met");
});

test("T15: the receipt's own registration decides, not the reader's wish", () => {
  const { receipt, delivered } = makeEnclaveReceipt(enclave, {}, "unknown");
  const verdict = judgeIt(receipt, { trust: trusting(), delivered, policy: "tee" });
  expect(codesOf(verdict)).toContain("TEE_CUSTODY_NOT_ALLOWED");
  expect(verdict.outcome).toBe("unmet");
});
