import { noTrust, parseTrust } from "@countersign/core";
import { expect, test } from "vitest";
import {
  attach,
  hardware,
  judgeEnclave,
  makeEnclave,
  makeEnclaveReceipt,
  outcomeOf,
  simulation,
  trusting,
} from "../fixtures/enclave.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";

const stub = makeEnclave({ authority: simulation });
const named = hardware({ root: simulation.rootDigest, assurance: "simulated" });

test("E5: a simulated enclave is refused by every trust that does not name its root", () => {
  expect(outcomeOf(judgeEnclave(stub))).toBe("TEE_SIMULATED_NOT_ALLOWED");
  expect(outcomeOf(judgeEnclave(stub, { trust: noTrust }))).toBe("TEE_SIMULATED_NOT_ALLOWED");
  expect(outcomeOf(judgeEnclave(stub, { allowDevelopment: true }))).toBe("TEE_SIMULATED_NOT_ALLOWED");
});

test("E5: named, it still needs development to be allowed by name", () => {
  const trust = trusting(named);
  expect(outcomeOf(judgeEnclave(stub, { trust }))).toBe("TEE_SIMULATED_NOT_ALLOWED");
  expect(outcomeOf(judgeEnclave(stub, { trust, allowDevelopment: true }))).toBe("accepted");
});

test("E5: its assurance is the root's, so that no policy takes it for hardware", () => {
  const { receipt, delivered } = makeEnclaveReceipt(stub);
  const judge = (policy: string) => judgeIt(receipt, { policy, delivered, trust: trusting(named) });
  expect(judge("tee").outcome).toBe("met");
  expect(
    judge("tee")
      .findings.filter((f) => f.ground === "hardware")
      .every((f) => f.development),
  ).toBe(true);
  expect(judge("execution:hardware(assurance=hardware)").outcome).toBe("unmet");
  expect(judge("execution:hardware(assurance=simulated)").outcome).toBe("met");
});

test("E5: a trust that names a simulation and hides that it is for development cannot be read", () => {
  const trust = { ...trusting(named), development: false };
  expect(() => parseTrust(trust)).toThrow(expect.objectContaining({ code: "TRUST_MALFORMED" }));
});

test("E5: a receipt with a stub's document under an ordinary trust proves nothing on hardware", () => {
  const { receipt, delivered, receiptRoot } = makeEnclaveReceipt(stub);
  const verdict = judgeIt({ ...receipt, evidence: [attach(receiptRoot, stub)] }, { policy: "tee", delivered });
  expect(codesOf(verdict)).toContain("TEE_SIMULATED_NOT_ALLOWED");
  expect(find(verdict, "execution", "hardware")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
});

test("E5: what an item says of itself decides nothing", () => {
  const { receipt, delivered } = makeEnclaveReceipt(makeEnclave());
  const [item] = receipt.evidence;
  const empty = { ...item, blob: null } as (typeof receipt.evidence)[number];
  const verdict = judgeIt({ ...receipt, evidence: [empty] }, { policy: "tee", delivered, trust: trusting() });
  expect(verdict.outcome).toBe("unmet");
  expect(find(verdict, "execution", "hardware")).not.toBe("proven");
});
