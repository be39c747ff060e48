import { makeCrl } from "@countersign/evidence-tee/make";
import { expect, test } from "vitest";
import { argsOf, makePki, now } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import {
  collateralOf,
  judgedAt,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "../../packages/evidence-tee/src/snp/snp.fixture.ts";
import { refusalOfDocument } from "./documents.ts";

const day = 86_400_000;
const amd = makeAmd("genoa");
const leaf = makeEndorsement(amd);
const report = makeReport("genoa", leaf.key);
const list = (over: Partial<Parameters<typeof makeCrl>[0]> = {}) =>
  makeCrl({
    issuer: amd.ark,
    signature: "rsa-pss-sha384",
    thisUpdate: judgedAt - day,
    nextUpdate: judgedAt + day,
    revoked: [],
    ...over,
  });
const judge = (crl?: Uint8Array) =>
  refusalOfDocument("sev-snp", wanted(report, amd.root, collateralOf(amd, leaf.der, "vcek", crl)));

test("T4: a signed, current list that names nobody lets it pass", () => expect(judge(list())).toBe("accepted"));

test("T4: left out, it is a check that did not run, and whoever shows the document cannot choose that", () => {
  expect(judge()).toBe("TEE_CHECK_SKIPPED");
});

test("T4: a named certificate is refused", () => expect(judge(list({ revoked: [257n] }))).toBe("TEE_CERT_REVOKED"));

test.each([
  ["signed by somebody else", () => list({ issuer: makeAmd("genoa").ark })],
  ["lapsed", () => list({ nextUpdate: judgedAt - 1000 })],
  ["of the future", () => list({ thisUpdate: judgedAt + 1000 })],
  ["without an end", () => list({ nextUpdate: null })],
] as const)("T4: a list %s shows nothing", (_what, make) => expect(judge(make())).toBe("TEE_REVOCATION_UNKNOWN"));

test("T4: one changed bit anywhere in the list, and none is accepted", () => {
  const honest = list({ revoked: [257n] });
  for (let at = 0; at < honest.length; at += 3) {
    const changed = honest.slice();
    changed[at] = (changed[at] as number) ^ 1;
    expect(judge(changed)).not.toBe("accepted");
  }
});

test("T4: no list at all in place of one: no bytes, or Intel's lists signed by a stranger or lapsed", () => {
  expect(judge(new Uint8Array())).not.toBe("accepted");
  const stranger = makePki();
  const lists = [
    { pck: { issuer: stranger.ca } },
    { root: { issuer: stranger.root } },
    { pck: { nextUpdate: now - 1000 } },
    { root: { nextUpdate: null } },
  ];
  for (const over of lists) {
    expect(["TEE_REVOCATION_UNKNOWN", "TEE_COLLATERAL_EXPIRED"]).toContain(
      refusalOfDocument("tdx", argsOf({ lists: over })),
    );
  }
  expect(refusalOfDocument("tdx", argsOf({}, { collateral: [] }))).toBe("TEE_REVOCATION_UNKNOWN");
  expect(refusalOfDocument("tdx", argsOf({ lists: { pck: { revoked: [0x9c1n] } } }))).toBe("TEE_CERT_REVOKED");
});
