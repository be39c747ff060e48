import { nodeSuite } from "@countersign/core/node";
import { rememberVendorSignatures } from "@countersign/evidence-tee";
import { expect, test } from "vitest";
import { code, hardware, judgeEnclave, makeEnclave, now, outcomeOf, trusting } from "../fixtures/enclave.ts";

const zero = new Uint8Array(48);
/** One suite for a verifier's whole life, as a gateway and a reader have it. */
const suite = rememberVendorSignatures(nodeSuite);
const enclave = makeEnclave();
const judge = (which = enclave, more: Partial<Parameters<typeof judgeEnclave>[1]> = {}) =>
  outcomeOf(judgeEnclave(which, { suite, ...more }));

test("E8: what was accepted once is judged anew: time, roots, measurements, custody", () => {
  expect(judge()).toBe("accepted");
  expect(judge()).toBe("accepted");
  expect(judge(enclave, { at: now + 6 * 3_600_000 })).toBe("TEE_CERT_EXPIRED");
  expect(judge(enclave, { trust: trusting(hardware({ root: "ab".repeat(32) })) })).toBe("TEE_ROOT_UNTRUSTED");
  expect(judge(enclave, { trust: trusting(hardware({ measurements: [] })) })).toBe("TEE_MEASUREMENT_POLICY_EMPTY");
  expect(judge(enclave, { registrations: [] })).toBe("TEE_CUSTODY_NOT_ALLOWED");
  expect(judge()).toBe("accepted");
});

test("E8: another document of a key that is known already is checked, not waved through", () => {
  expect(judge(makeEnclave({ code: [code[0], code[1], new Uint8Array(48).fill(9)] }))).toBe("TEE_MEASUREMENT_UNKNOWN");
  expect(judge(makeEnclave({ code: [zero, zero, zero] }))).toBe("TEE_DEBUG_MODE");
});

test("E8: one flipped bit in what was accepted before", () => {
  const text = enclave.bundle.evidence[0]?.document as string;
  const bytes = Buffer.from(text, "base64");
  for (let at = 0; at < bytes.length; at += 5) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 1;
    const evidence = [{ format: "nitro" as const, document: changed.toString("base64") }];
    expect(judge(makeEnclave({ bundle: { evidence } })), `byte ${at}`).not.toBe("accepted");
  }
});
