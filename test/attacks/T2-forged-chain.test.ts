import { makeCertificate, makeNitroAuthority, type NitroSigner } from "@countersign/evidence-tee/make";
import { expect, test } from "vitest";
import { judgeEnclave, makeEnclave, now, outcomeOf, simulation, vendor } from "../fixtures/enclave.ts";

const stranger = makeNitroAuthority({ now, subjectPrefix: "AWS" });

test("T2: a chain that is sound in itself and ends at a self-made root is refused", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ authority: stranger })))).toBe("TEE_ROOT_UNTRUSTED");
});

test("T2: a root that says of itself that it is a simulation is told apart, and refused all the same", () => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ authority: simulation })))).toBe("TEE_SIMULATED_NOT_ALLOWED");
});

type Chain = NitroSigner["chain"];
const own = stranger.issueSigner(stranger.issueZone(now), now).chain;
const genuine = vendor.issueSigner(vendor.issueZone(now), now).chain;

test.each([
  ["the genuine root in front of one's own chain", [genuine[0], own[0], own[1], own[2]]],
  ["the genuine root instead of one's own", [genuine[0], own[1], own[2]]],
  ["a genuine bundle with one's own leaf", [genuine[0], genuine[1], own[2]]],
] as const)("T2: %s: the document's certificates link, and are never trusted", (_what, chain) => {
  expect(outcomeOf(judgeEnclave(makeEnclave({ chain: chain as Chain })))).toBe("TEE_CHAIN_BROKEN");
});

test("T2: a leaf that issues another leaf is no authority", () => {
  const below = makeCertificate({
    subject: "another enclave",
    issuer: genuine[2] as Chain[number],
    keyType: "P-384",
    notBefore: now - 1000,
    notAfter: now + 3_600_000,
    ca: false,
  });
  expect(outcomeOf(judgeEnclave(makeEnclave({ chain: [...genuine, below] })))).toBe("TEE_CERT_NOT_CA");
});
