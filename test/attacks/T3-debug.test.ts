import { nodeSuite } from "@countersign/core/node";
import { pinnedRoots } from "@countersign/evidence-tee";
import { expect, test } from "vitest";
import { argsOf } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import {
  collateralOf,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "../../packages/evidence-tee/src/snp/snp.fixture.ts";
import { code, hardware, judgeEnclave, makeEnclave, outcomeOf, trusting } from "../fixtures/enclave.ts";
import { hasVectors, refusalOfDocument, vector } from "./documents.ts";

const zero = new Uint8Array(48);

test("T3: a debug enclave under the accepted root is refused, also when its zeros are named as accepted", () => {
  const debug = makeEnclave({ code: [zero, zero, zero] });
  expect(outcomeOf(judgeEnclave(debug))).toBe("TEE_DEBUG_MODE");
  const trust = trusting(hardware({ measurements: [], tcb: { statuses: ["debug"], advisories: [], floors: {} } }));
  expect(outcomeOf(judgeEnclave(debug, { trust }))).toBe("TEE_DEBUG_MODE");
});

test("T3: so is one that hides all but one of the three registers", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ code: [zero, code[1], zero] })))).toBe("TEE_DEBUG_MODE");
});

test("T3: the debug bit of an SNP guest's policy, of a TD and of an SGX enclave", () => {
  const amd = makeAmd("milan");
  const leaf = makeEndorsement(amd);
  const report = makeReport("milan", leaf.key, (_, view) => view.setBigUint64(8, 0x30000n | (1n << 19n), true));
  expect(refusalOfDocument("sev-snp", wanted(report, amd.root, collateralOf(amd, leaf.der)))).toBe("TEE_DEBUG_MODE");
  const flip = (at: number, bit: number) => (body: Uint8Array) => body.set([(body[at] as number) | bit], at);
  expect(refusalOfDocument("tdx", argsOf({ body: flip(120, 1) }))).toBe("TEE_DEBUG_MODE");
  expect(refusalOfDocument("sgx", argsOf({ form: "sgx-v3", body: flip(48, 2) }))).toBe("TEE_DEBUG_MODE");
});

test.skipIf(!hasVectors)("T3: a real debug enclave under AWS's own chain (shared vector)", () => {
  const args = {
    document: vector("nitro/debug.cose"),
    at: Date.parse("2025-12-25T08:20:50Z"),
    roots: pinnedRoots,
    collateral: [],
    measurements: null,
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding: null,
    nonce: null,
    maxAge: 300_000,
    suite: nodeSuite,
  };
  expect(refusalOfDocument("nitro", args)).toBe("TEE_DEBUG_MODE");
  expect(refusalOfDocument("nitro", { ...args, allowDebug: true })).toBe("accepted");
});
