import { concat, fromBase64, toHex, utf8 } from "@countersign/core";
import { formats } from "@countersign/evidence-tee";
import { expect, test } from "vitest";
import { argsOf } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import {
  collateralOf,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "../../packages/evidence-tee/src/snp/snp.fixture.ts";
import { judgeEnclave, makeEnclave, outcomeOf, trusting } from "../fixtures/enclave.ts";
import { refusalOfDocument } from "./documents.ts";

const amd = makeAmd("milan");
const leaf = makeEndorsement(amd);
const judgeReport = (report: Uint8Array) =>
  formats["sev-snp"].check(wanted(report, amd.root, collateralOf(amd, leaf.der)));
const failureOf = (report: Uint8Array) => judgeReport(report).checks.find((c) => c.result === "failed");

test("T12: behind the signed part of an SNP report every byte is zero", () => {
  const honest = makeReport("milan", leaf.key);
  expect(failureOf(honest)).toBeUndefined();
  // The upper 24 bytes of r and s, and everything behind them.
  const unsigned = [0x2a0 + 48, 0x2a0 + 71, 0x2e8 + 48, 0x2e8 + 71, 0x330, 0x400, 0x49f];
  for (const at of unsigned) {
    const changed = honest.slice();
    changed[at] = 1;
    expect(failureOf(changed)?.result).toBe("failed");
    expect(failureOf(changed)).toMatchObject({ code: "TEE_TRAILING_DATA" });
  }
});

test("T12: behind a quote stand zeros, and no text", () => {
  expect(refusalOfDocument("tdx", argsOf({ padding: new Uint8Array(3000) }))).toBe("accepted");
  expect(refusalOfDocument("tdx", argsOf({ padding: utf8("text") }))).toBe("TEE_TRAILING_DATA");
});

test("T12: behind a Nitro document stands nothing", () => {
  const enclave = makeEnclave();
  const roots = trusting().hardware.map((h) => ({
    format: h.format,
    digest: h.root,
    assurance: h.assurance,
    name: "",
  }));
  const args = { ...argsOf(), roots, binding: null, at: enclave.bundle.madeAt };
  expect(refusalOfDocument("nitro", { ...args, document: enclave.document })).toBe("accepted");
  for (const tail of [Uint8Array.of(0), utf8("x")]) {
    expect(refusalOfDocument("nitro", { ...args, document: concat(enclave.document, tail) })).not.toBe("accepted");
  }
});

test("T12: an attestation has one encoding", () => {
  const enclave = makeEnclave();
  const text = new TextDecoder().decode(enclave.attestation);
  for (const changed of [`${text}\n`, text.replace(":", ": "), ` ${text}`]) {
    expect(outcomeOf(judgeEnclave({ ...enclave, attestation: utf8(changed) }))).toBe("TEE_TRAILING_DATA");
  }
  expect(outcomeOf(judgeEnclave({ ...enclave, attestation: utf8(`${text}{}`) }))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("T12: a signature spelt anew makes other bytes and no other attester", () => {
  const order = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
  const { document, bundle } = makeEnclave();
  const s = BigInt(`0x${toHex(document.subarray(-48))}`);
  const other = (order - s).toString(16).padStart(96, "0");
  const spelt = concat(document.subarray(0, -48), Uint8Array.from(Buffer.from(other, "hex")));
  const roots = trusting().hardware.map((h) => ({
    format: h.format,
    digest: h.root,
    assurance: h.assurance,
    name: "",
  }));
  const judge = (bytes: Uint8Array) =>
    formats.nitro.check({ ...argsOf(), roots, binding: null, at: bundle.madeAt, document: bytes });
  expect(fromBase64(bundle.evidence[0]?.document as string)).toEqual(document);
  expect(spelt).not.toEqual(document);
  expect(judge(spelt).attester).toBe(judge(document).attester);
  expect(judge(spelt).measurement).toBe(judge(document).measurement);
});

test("T12: one flipped bit anywhere in an attested keyset, and none is accepted as another", () => {
  const enclave = makeEnclave();
  const honest = judgeEnclave(enclave).outcome;
  let accepted = 0;
  for (let at = 0; at < enclave.attestation.length; at += 7) {
    const attestation = enclave.attestation.slice();
    attestation[at] = (attestation[at] as number) ^ 1;
    const { outcome } = judgeEnclave({ ...enclave, attestation });
    if (outcome.status === "accepted") accepted += 1;
    // `madeAt` is the maker's word: it decides nothing, so changing it changes nothing.
    if (outcome.status === "accepted") expect(outcome).toEqual(honest);
  }
  expect(accepted).toBeLessThan(4);
});
