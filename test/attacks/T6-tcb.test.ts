import { makeCrl } from "@countersign/evidence-tee/make";
import { expect, test } from "vitest";
import { argsOf, makePki } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import {
  collateralOf,
  judgedAt,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "../../packages/evidence-tee/src/snp/snp.fixture.ts";
import { refusalOfDocument } from "./documents.ts";

const platform = (svn: number, pceSvn = 11) => makePki({ platform: { components: Array(16).fill(svn), pceSvn } });
const outdated = platform(3);
const revoked = platform(1, 5);
const accept = (statuses: readonly string[], advisories: readonly string[] = []) => ({
  tcb: { statuses, advisories, floors: {} },
});
const judge = (pki: ReturnType<typeof makePki>, over = {}) =>
  refusalOfDocument("sgx", argsOf({ form: "sgx-v3", pki }, over));

test("T6: what is out of date is refused unless status and advisories are named", () => {
  expect(judge(outdated)).toBe("TEE_TCB_OUT_OF_DATE");
  expect(judge(outdated, accept(["out-of-date"]))).toBe("TEE_TCB_OUT_OF_DATE");
  expect(judge(outdated, accept([], ["INTEL-SA-01"]))).toBe("TEE_TCB_OUT_OF_DATE");
  expect(judge(outdated, accept(["out-of-date"], ["INTEL-SA-01"]))).toBe("accepted");
});

test("T6: what is revoked is refused whatever is named", () => {
  expect(judge(revoked)).toBe("TEE_TCB_REVOKED");
  expect(judge(revoked, accept(["revoked", "out-of-date"], ["INTEL-SA-01", "INTEL-SA-02"]))).toBe("TEE_TCB_REVOKED");
});

test("T6: a platform below every level that the vendor lists", () => {
  expect(judge(platform(0, 0))).toBe("TEE_TCB_OUT_OF_DATE");
});

test("T6: an SNP platform below a floor, and a certificate for another level than the report's", () => {
  const amd = makeAmd("milan");
  const leaf = makeEndorsement(amd);
  const crl = makeCrl({
    issuer: amd.ark,
    signature: "rsa-pss-sha384",
    thisUpdate: judgedAt - 1000,
    nextUpdate: judgedAt + 1000,
    revoked: [],
  });
  const judged = (report: Uint8Array, floors: Readonly<Record<string, number>>) =>
    refusalOfDocument("sev-snp", {
      ...wanted(report, amd.root, collateralOf(amd, leaf.der, "vcek", crl)),
      tcb: { statuses: [], advisories: [], floors },
    });
  const honest = makeReport("milan", leaf.key);
  expect(judged(honest, { microcode: 213 })).toBe("accepted");
  expect(judged(honest, { microcode: 214 })).toBe("TEE_TCB_OUT_OF_DATE");
  // Without a floor nobody says what is good enough: that is no pass.
  expect(judged(honest, {})).toBe("TEE_CHECK_SKIPPED");
  const moved = makeReport("milan", leaf.key, (b) => b.set([0xff], 0x187));
  expect(judged(moved, { microcode: 213 })).toBe("TEE_TCB_CERT_MISMATCH");
  // What the guest was launched on counts as well as what runs now.
  const launched = makeReport("milan", leaf.key, (b) => b.set([1], 0x1f7));
  expect(judged(launched, { microcode: 213 })).toBe("TEE_TCB_OUT_OF_DATE");
});
