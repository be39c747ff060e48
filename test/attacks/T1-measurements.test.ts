import { expect, test } from "vitest";
import { checkTdx } from "../../packages/evidence-tee/src/dcap/check.ts";
import { argsOf } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import { code, hardware, judgeEnclave, makeEnclave, measurement, outcomeOf, trusting } from "../fixtures/enclave.ts";

const other = new Uint8Array(48).fill(9);

test("T1: the accepted image is accepted", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave()))).toBe("accepted");
});

test("T1: an empty list of measurements accepts nothing", () => {
  const report = judgeEnclave(makeEnclave(), { trust: trusting(hardware({ measurements: [] })) });
  expect(outcomeOf(report)).toBe("TEE_MEASUREMENT_POLICY_EMPTY");
});

test.each([0, 1, 2])("T1: another value of PCR %i is another image, whatever the others are", (index) => {
  const changed = code.map((register, i) => (i === index ? other : register));
  expect(outcomeOf(judgeEnclave(makeEnclave({ code: changed })))).toBe("TEE_MEASUREMENT_UNKNOWN");
});

test("T1: an image that was accepted once is refused by its own code", () => {
  const report = judgeEnclave(makeEnclave(), { trust: trusting(hardware({ revoked: [measurement] })) });
  expect(outcomeOf(report)).toBe("TEE_MEASUREMENT_REVOKED");
});

test("T1: an image accepted under another root's entry does not pass for this one's", () => {
  const trust = trusting(
    hardware({ measurements: ["ab".repeat(32)] }),
    hardware({ root: "cd".repeat(32), measurements: [measurement] }),
  );
  expect(outcomeOf(judgeEnclave(makeEnclave(), { trust }))).toBe("TEE_MEASUREMENT_UNKNOWN");
});

test("T1: so it is for a quote: MRTD and each measured register together", () => {
  const honest = checkTdx(argsOf());
  const accept = { measurements: [honest.measurement as string] };
  const failure = (body?: (b: Uint8Array) => void) =>
    checkTdx(argsOf({ ...(body && { body }) }, accept)).checks.find((c) => c.result === "failed");
  expect(failure()).toBeUndefined();
  // MRTD, MRCONFIGID, RTMR0, RTMR1, RTMR2
  for (const at of [136, 184, 328, 376, 424]) {
    expect(failure((b) => void b.set([0x77], at))).toMatchObject({ code: "TEE_MEASUREMENT_UNKNOWN" });
  }
});
