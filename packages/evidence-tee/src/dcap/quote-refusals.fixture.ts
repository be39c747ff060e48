import { fromHex, sha256Hex, utf8 } from "@countersign/core";
import { makeCertificate } from "../make/certificate.ts";
import { dcapOf, makeDcap, makePck, makePki, now, pki } from "./dcap.fixture.ts";
import type { Refusal } from "./refusal.fixture.ts";

const day = 86_400_000;
const stranger = makePki();
const real = makePki({ root: { subject: "A root" } });
const set = (members: Record<string, unknown>) => ({ collateral: (c: object) => void Object.assign(c, members) });
const bytes =
  (at: number, ...values: number[]) =>
  (b: Uint8Array) =>
    void b.set(values, at);
const good = makeDcap();
const issued = (edit: object) => ({ notBefore: now - 30 * day, notAfter: now + 365 * day, ...edit });

/** The same CA under another certificate. */
const again = makeCertificate({
  subject: "Intel SGX PCK Platform CA",
  issuer: pki.root,
  keyType: { privateKey: pki.ca.key },
  ca: true,
  serial: 0xca02n,
  ...issued({}),
});
/** The first byte of the quote's own signature, in version 4. */
const flipped = good.document.slice();
flipped[48 + 584 + 4] = (flipped[48 + 584 + 4] as number) ^ 1;

/** Quotes that must be refused for themselves, their chain, their lists, their signatures or their attributes. */
export const quoteRefusals: readonly Refusal[] = [
  // form
  ["no bytes", "form", "TEE_EVIDENCE_MALFORMED", {}, { document: new Uint8Array() }],
  ["another version", "form", "TEE_EVIDENCE_MALFORMED", { header: bytes(0, 6) }],
  ["a TDX body in version 3", "form", "TEE_EVIDENCE_MALFORMED", { header: bytes(0, 3) }],
  ["an unknown TEE type", "form", "TEE_EVIDENCE_MALFORMED", { form: "tdx-v5", header: bytes(4, 0x82) }],
  ["version 5 whose header says SGX", "form", "TEE_EVIDENCE_MALFORMED", { form: "tdx-v5", header: bytes(4, 0) }],
  ["text behind the signature data", "form", "TEE_TRAILING_DATA", { padding: utf8("extra") }],
  ["a PCK chain of two", "form", "TEE_CHAIN_BROKEN", { chain: (p) => p.pck.pem + p.root.pem }],
  ["a PCK chain of four", "form", "TEE_CHAIN_BROKEN", { chain: (p) => p.pck.pem + p.ca.pem + p.root.pem + p.root.pem }],
  [
    "text behind the PCK chain",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    { chain: (p) => `${p.pck.pem + p.ca.pem + p.root.pem}x` },
  ],
  [
    "another white space in the PCK chain",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    { chain: (p) => `${p.pck.pem}\v${p.ca.pem + p.root.pem}` },
  ],
  ["bytes behind the PCK chain", "form", "TEE_TRAILING_DATA", { behindChain: new Uint8Array(1) }],
  ["bytes behind the certification data", "form", "TEE_TRAILING_DATA", { behindCertification: new Uint8Array(1) }],
  [
    "bytes behind the PCK chain in version 3",
    "form",
    "TEE_TRAILING_DATA",
    { form: "sgx-v3", behindChain: new Uint8Array(1) },
  ],
  ["certification data of another type", "form", "TEE_EVIDENCE_MALFORMED", { certificationType: 1 }],
  ["no report of the quoting enclave", "form", "TEE_EVIDENCE_MALFORMED", { outerCertificationType: 5 }],
  ["too long", "form", "TEE_EVIDENCE_MALFORMED", { padding: new Uint8Array(40_000) }],
  // algorithm
  ["an attestation key of P-384", "algorithm", "TEE_ALG_NOT_ALLOWED", { header: bytes(2, 3) }],
  ["another vendor's quoting enclave", "algorithm", "TEE_QE_IDENTITY", { header: bytes(12, 0) }],
  // root
  ["a simulated root that is not pinned", "root", "TEE_SIMULATED_NOT_ALLOWED", {}, { roots: [] }],
  ["another root", "root", "TEE_ROOT_UNTRUSTED", { pki: real }, { roots: [] }],
  [
    "a root that is pinned for another format",
    "root",
    "TEE_SIMULATED_NOT_ALLOWED",
    {},
    { roots: [{ format: "sgx", digest: sha256Hex(pki.root.der), assurance: "simulated", name: "" }] },
  ],
  [
    "the genuine root over a stranger's chain",
    "chain",
    "TEE_CHAIN_BROKEN",
    { chain: () => stranger.pck.pem + stranger.ca.pem + pki.root.pem },
  ],
  // chain
  ["a stranger's leaf", "chain", "TEE_CHAIN_BROKEN", { chain: (p) => stranger.pck.pem + p.ca.pem + p.root.pem }],
  ["a CA that is none", "chain", "TEE_CERT_NOT_CA", { pki: makePki({ ca: { ca: false } }) }],
  ["a CA that may not sign certificates", "chain", "TEE_CERT_NOT_CA", { pki: makePki({ ca: { keyUsage: 0x80 } }) }],
  ["a leaf that is a CA", "chain", "TEE_CERT_NOT_CA", { pki: makePki({ pck: { ca: true } }) }],
  ["a key of P-384", "chain", "TEE_CERT_KEY", { pki: makePki({ ca: { keyType: "P-384" } }) }],
  ["a platform's key of P-384", "chain", "TEE_CERT_KEY", { pki: makePki({ pck: { keyType: "P-384" } }) }],
  [
    "a TCB signer as platform",
    "chain",
    "TEE_CHAIN_BROKEN",
    { pki: makePki({ pck: { subject: "Intel SGX TCB Signing" } }) },
  ],
  [
    "another CA of the root",
    "chain",
    "TEE_CHAIN_BROKEN",
    { pki: makePki({ ca: { subject: "Intel SGX Something CA" } }) },
  ],
  // validity
  ["an expired PCK", "validity", "TEE_CERT_EXPIRED", { pki: makePki({ pck: { notAfter: now - 1000 } }) }],
  ["a PCK of tomorrow", "validity", "TEE_CERT_NOT_YET_VALID", { pki: makePki({ pck: { notBefore: now + day } }) }],
  ["no time", "validity", "TEE_CERT_NOT_YET_VALID", {}, { at: Number.NaN }],
  // revocation
  ["no collateral", "revocation", "TEE_REVOCATION_UNKNOWN", {}, { collateral: [] }],
  [
    "two pieces of collateral",
    "revocation",
    "TEE_EVIDENCE_MALFORMED",
    {},
    { collateral: [dcapOf(good.collateral), dcapOf(good.collateral)] },
  ],
  ["no PCK list", "revocation", "TEE_REVOCATION_UNKNOWN", set({ pck_crl: undefined })],
  ["an empty PCK list", "revocation", "TEE_REVOCATION_UNKNOWN", set({ pck_crl: "" })],
  ["no root list", "revocation", "TEE_REVOCATION_UNKNOWN", set({ root_ca_crl: undefined })],
  ["an empty root list", "revocation", "TEE_REVOCATION_UNKNOWN", set({ root_ca_crl: "" })],
  [
    "lists swapped",
    "revocation",
    "TEE_REVOCATION_UNKNOWN",
    { collateral: (c) => Object.assign(c, { pck_crl: c.root_ca_crl, root_ca_crl: c.pck_crl }) },
  ],
  [
    "the PCK list of a stranger under our names",
    "revocation",
    "TEE_REVOCATION_UNKNOWN",
    set({ pck_crl: makeDcap({ pki: stranger }).collateral.pck_crl }),
  ],
  [
    "the root list of a stranger under our names",
    "revocation",
    "TEE_REVOCATION_UNKNOWN",
    set({ root_ca_crl: makeDcap({ pki: stranger }).collateral.root_ca_crl }),
  ],
  ["a PCK list that lapsed", "revocation", "TEE_COLLATERAL_EXPIRED", { lists: { pck: { nextUpdate: now - 1000 } } }],
  ["a root list that lapsed", "revocation", "TEE_COLLATERAL_EXPIRED", { lists: { root: { nextUpdate: now - 1000 } } }],
  ["a PCK list of tomorrow", "revocation", "TEE_COLLATERAL_EXPIRED", { lists: { pck: { thisUpdate: now + day } } }],
  ["a list that never lapses", "revocation", "TEE_REVOCATION_UNKNOWN", { lists: { pck: { nextUpdate: null } } }],
  ["a revoked PCK", "revocation", "TEE_CERT_REVOKED", { lists: { pck: { revoked: [1n, 0x9c1n] } } }],
  ["a revoked CA", "revocation", "TEE_CERT_REVOKED", { lists: { root: { revoked: [0xca01n] } } }],
  [
    "the list's chain under another root",
    "revocation",
    "TEE_ROOT_UNTRUSTED",
    set({ pck_crl_issuer_chain: stranger.ca.pem + stranger.root.pem }),
  ],
  [
    "the list's chain of a CA that was revoked",
    "revocation",
    "TEE_CERT_REVOKED",
    { ...set({ pck_crl_issuer_chain: again.pem + pki.root.pem }), lists: { root: { revoked: [0xca02n] } } },
  ],
  [
    "the list's chain of another CA",
    "revocation",
    "TEE_REVOCATION_UNKNOWN",
    set({
      pck_crl_issuer_chain:
        makeCertificate({
          subject: "Intel SGX PCK Processor CA",
          issuer: pki.root,
          keyType: "P-256",
          ca: true,
          ...issued({}),
        }).pem + pki.root.pem,
    }),
  ],
  [
    "the list's chain is the TCB signer's",
    "revocation",
    "TEE_CERT_NOT_CA",
    set({ pck_crl_issuer_chain: pki.signer.pem + pki.root.pem }),
  ],
  ["no chain for the list", "revocation", "TEE_EVIDENCE_MALFORMED", set({ pck_crl_issuer_chain: "" })],
  ["an unknown member", "revocation", "TEE_EVIDENCE_MALFORMED", set({ pck_certificate_chain: "" })],
  ["a member missing", "revocation", "TEE_EVIDENCE_MALFORMED", set({ tcb_info: undefined })],
  [
    "collateral with a key twice",
    "revocation",
    "TEE_EVIDENCE_MALFORMED",
    {},
    { collateral: [{ kind: "dcap", data: utf8(JSON.stringify(good.collateral).replace("{", '{"pck_crl":"00",')) }] },
  ],
  [
    "collateral that is no JSON",
    "revocation",
    "TEE_EVIDENCE_MALFORMED",
    {},
    { collateral: [{ kind: "dcap", data: Uint8Array.of(0xff) }] },
  ],
  // signature
  [
    "the quoting enclave's report of another platform",
    "signature",
    "TEE_SIGNATURE_INVALID",
    { chain: (p) => makePck(p.ca).pem + p.ca.pem + p.root.pem },
  ],
  ["an attestation key that the report does not name", "signature", "TEE_SIGNATURE_INVALID", { qe: bytes(320, 0) }],
  ["a quote that its key did not sign", "signature", "TEE_SIGNATURE_INVALID", {}, { document: flipped }],
  ["something behind the named key", "signature", "TEE_SIGNATURE_INVALID", { qe: bytes(383, 1) }],
  // debug
  ["a domain under debug", "debug", "TEE_DEBUG_MODE", { body: bytes(120, 1) }],
  ["a domain under profiling", "debug", "TEE_DEBUG_MODE", { body: bytes(120, 0x20) }],
  ["an enclave in debug mode", "debug", "TEE_DEBUG_MODE", { form: "sgx-v3", body: bytes(48, 0x07) }],
  // attributes
  ["a domain that may be moved", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(123, 0x30) }],
  ["a domain without SEPT_VE_DISABLE", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(123, 0) }],
  ["an unknown attribute", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(122, 0x80) }],
  ["a provisioning agent", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(127, 0x40) }],
  ["a reserved bit of XFAM", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(135, 1) }],
  ["XFAM without SSE", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { body: bytes(128, 1) }],
  ["a service domain", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { form: "tdx-v5-1.5", body: bytes(647, 1) }],
  ["the provisioning key", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { form: "sgx-v3", body: bytes(48, 0x15) }],
  ["the launch key", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { form: "sgx-v3", body: bytes(48, 0x25) }],
  [
    "an enclave that was not initialised",
    "attributes",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    { form: "sgx-v3", body: bytes(48, 0x04) },
  ],
  ["an unknown flag of SGX", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { form: "sgx-v3", body: bytes(55, 1) }],
  ["a reserved bit of XFRM", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", { form: "sgx-v3", body: bytes(63, 1) }],
  [
    "a reserved byte of an enclave's report",
    "attributes",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    { form: "sgx-v3", body: bytes(96, 1) },
  ],
  // binding
  ["another statement", "binding", "TEE_REPORT_DATA_MISMATCH", {}, { binding: fromHex("b2".repeat(32)) }],
  ["something behind the statement", "binding", "TEE_REPORT_DATA_MISMATCH", { body: bytes(583, 1) }],
];
