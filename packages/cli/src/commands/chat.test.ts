import { expect, test } from "vitest";
import { makeEnclave, makeEnclaveReceipt } from "../../../../test/fixtures/enclave.ts";
import { shortLived } from "./chat.ts";

test("a receipt with an attestation and no place in the log is said to be short-lived; no other is", () => {
  const { receipt } = makeEnclaveReceipt(makeEnclave());
  const inclusion = [{ entry: "ZW50cnk", proof: "proof" }];
  expect(shortLived({ ...receipt, inclusion: [] })).toContain("not logged");
  expect(shortLived({ ...receipt, inclusion })).toBeUndefined();
  expect(shortLived({ ...receipt, inclusion: [], evidence: [] })).toBeUndefined();
});
