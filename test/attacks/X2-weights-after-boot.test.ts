import { expect, test } from "vitest";
import { judgeEnclave, makeEnclave, makeEnclaveReceipt, model, outcomeOf, trusting } from "../fixtures/enclave.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";

const other = "ab".repeat(32);

test("X2: a keyset whose models are not those in the measured register", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ measured: [] })))).toBe("TEE_MODEL_NOT_MEASURED");
  expect(outcomeOf(judgeEnclave(makeEnclave({ measured: [other] })))).toBe("TEE_MODEL_NOT_MEASURED");
  expect(outcomeOf(judgeEnclave(makeEnclave({ measured: [model, other] })))).toBe("TEE_MODEL_NOT_MEASURED");
});

test("X2: a keyset that names no model and calls itself inference", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ keyset: { models: [] } })))).toBe("TEE_MODEL_NOT_MEASURED");
});

test("X2: a receipt for a model that came after the keys were made", () => {
  const enclave = makeEnclave({ keyset: { models: [other] } });
  const { receipt, delivered } = makeEnclaveReceipt(enclave);
  const verdict = judgeIt(receipt, { policy: "tee", trust: trusting(), delivered });
  expect(codesOf(verdict)).toContain("TEE_MODEL_NOT_MEASURED");
  for (const claim of ["model", "execution", "prompt"] as const)
    expect(find(verdict, claim, "hardware")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
});
