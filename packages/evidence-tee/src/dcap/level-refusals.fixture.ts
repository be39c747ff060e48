import { der } from "../make/der.ts";
import { makeDcap, makePck, makePki, now, pki } from "./dcap.fixture.ts";
import type { Refusal } from "./refusal.fixture.ts";

const stranger = makePki();
const set = (members: Record<string, unknown>) => ({ collateral: (c: object) => void Object.assign(c, members) });
const bytes =
  (at: number, ...values: number[]) =>
  (b: Uint8Array) =>
    void b.set(values, at);

/** Quotes that must be refused for what Intel says of the platform, and for how it says it. */
export const levelRefusals: readonly Refusal[] = [
  [
    "TCB info that was changed",
    "tcb",
    "TEE_SIGNATURE_INVALID",
    { collateral: (c) => Object.assign(c, { tcb_info: c.tcb_info.replace("2026-05", "2027-05") }) },
  ],
  [
    "TCB info written again",
    "tcb",
    "TEE_SIGNATURE_INVALID",
    { collateral: (c) => Object.assign(c, { tcb_info: JSON.stringify(JSON.parse(c.tcb_info), null, 1) }) },
  ],
  [
    "QE identity that was changed",
    "tcb",
    "TEE_SIGNATURE_INVALID",
    { collateral: (c) => Object.assign(c, { qe_identity: c.qe_identity.replace('"isvsvn":4', '"isvsvn":0') }) },
  ],
  [
    "the signatures exchanged",
    "tcb",
    "TEE_SIGNATURE_INVALID",
    { collateral: (c) => Object.assign(c, { qe_identity_signature: c.tcb_info_signature }) },
  ],
  [
    "QE identity in the place of TCB info",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { collateral: (c) => Object.assign(c, { tcb_info: c.qe_identity, tcb_info_signature: c.qe_identity_signature }) },
  ],
  ["TCB info's chain is the CA's", "tcb", "TEE_CERT_NOT_CA", set({ tcb_info_issuer_chain: pki.ca.pem + pki.root.pem })],
  [
    "TCB info signed by a platform's key",
    "tcb",
    "TEE_CHAIN_BROKEN",
    set({ tcb_info_issuer_chain: makePck(pki.root).pem + pki.root.pem }),
  ],
  [
    "TCB info's chain of three",
    "tcb",
    "TEE_CHAIN_BROKEN",
    set({ tcb_info_issuer_chain: pki.pck.pem + pki.ca.pem + pki.root.pem }),
  ],
  [
    "TCB info under another root",
    "tcb",
    "TEE_ROOT_UNTRUSTED",
    {
      collateral: (c) => {
        const { tcb_info, tcb_info_signature, tcb_info_issuer_chain } = makeDcap({ pki: stranger }).collateral;
        Object.assign(c, { tcb_info, tcb_info_signature, tcb_info_issuer_chain });
      },
    },
  ],
  [
    "QE identity under another root",
    "tcb",
    "TEE_ROOT_UNTRUSTED",
    set({ qe_identity_issuer_chain: stranger.signer.pem + stranger.root.pem }),
  ],
  ["a revoked signer", "tcb", "TEE_CERT_REVOKED", { lists: { root: { revoked: [0x7cb1n] } } }],
  ["an expired signer", "tcb", "TEE_CERT_EXPIRED", { pki: makePki({ signer: { notAfter: now - 1000 } }) }],
  [
    "TCB info that lapsed",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    { info: (i) => Object.assign(i, { nextUpdate: "2026-04-30T23:59:59Z" }) },
  ],
  [
    "TCB info of tomorrow",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    { info: (i) => Object.assign(i, { issueDate: "2026-05-02T00:00:00Z" }) },
  ],
  [
    "QE identity that lapsed",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    { identity: (i) => Object.assign(i, { nextUpdate: "2026-04-30T23:59:59Z" }) },
  ],
  [
    "QE identity of tomorrow",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    { identity: (i) => Object.assign(i, { issueDate: "2026-05-02T00:00:00Z" }) },
  ],
  [
    "a time that is none",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { info: (i) => Object.assign(i, { nextUpdate: "2026-06-31T00:00:00Z" }) },
  ],
  ["another family", "tcb", "TEE_TCB_CERT_MISMATCH", { info: (i) => Object.assign(i, { fmspc: "90C06F000000" }) }],
  ["another PCE", "tcb", "TEE_TCB_CERT_MISMATCH", { info: (i) => Object.assign(i, { pceId: "0001" }) }],
  [
    "a PCK that says nothing of its platform",
    "tcb",
    "TEE_TCB_CERT_MISMATCH",
    { pki: makePki({ pck: { extensions: [] } }) },
  ],
  [
    "a PCK with two families",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { pki: makePki({ platform: { more: ["4", der.octetString(new Uint8Array(6))] } }) },
  ],
  [
    "a PCK with a family of five bytes",
    "tcb",
    "TEE_TCB_CERT_MISMATCH",
    { pki: makePki({ platform: { fmspc: "b0c06f0000" } }) },
  ],
  [
    "a PCK with an SVN of 256",
    "tcb",
    "TEE_TCB_CERT_MISMATCH",
    { pki: makePki({ platform: { components: [256, ...Array(15).fill(5)] } }) },
  ],
  ["a PCK with a PCE SVN of 65536", "tcb", "TEE_TCB_CERT_MISMATCH", { pki: makePki({ platform: { pceSvn: 65_536 } }) }],
  [
    "TCB info of SGX for a domain",
    "tcb",
    "TEE_TCB_CERT_MISMATCH",
    {
      collateral: (c) => {
        const { tcb_info, tcb_info_signature } = makeDcap({ form: "sgx-v3" }).collateral;
        Object.assign(c, { tcb_info, tcb_info_signature });
      },
    },
  ],
  ["QE identity under SGX's name", "tcb", "TEE_QE_IDENTITY", { identity: (i) => Object.assign(i, { id: "QE" }) }],
  [
    "QE identity of SGX for a domain",
    "tcb",
    "TEE_QE_IDENTITY",
    {
      collateral: (c) => {
        const { qe_identity, qe_identity_signature } = makeDcap({ form: "sgx-v3" }).collateral;
        Object.assign(c, { qe_identity, qe_identity_signature });
      },
    },
  ],
  ["TCB info of another version", "tcb", "TEE_EVIDENCE_MALFORMED", { info: (i) => Object.assign(i, { version: 2 }) }],
  ["levels compared another way", "tcb", "TEE_EVIDENCE_MALFORMED", { info: (i) => Object.assign(i, { tcbType: 1 }) }],
  [
    "a member that version 3 had not",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { info: (i) => Object.assign(i, { tdxLoader: {} }) },
  ],
  [
    "a status that is not known",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { info: (i) => Object.assign(i.tcbLevels[0], { tcbStatus: "Fine" }) },
  ],
  ["fifteen components", "tcb", "TEE_EVIDENCE_MALFORMED", { info: (i) => i.tcbLevels[0].tcb.sgxtcbcomponents.pop() }],
  [
    "a key twice in TCB info",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { infoText: (t) => t.replace('"nextUpdate"', '"nextUpdate":"2026-04-30T00:00:00Z","nextUpdate"') },
  ],
  [
    "a key twice in the QE identity",
    "tcb",
    "TEE_EVIDENCE_MALFORMED",
    { identityText: (t) => t.replace('"mrsigner"', `"mrsigner":"${"0".repeat(64)}","mrsigner"`) },
  ],
  ["a quoting enclave of another signer", "tcb", "TEE_QE_IDENTITY", { qe: bytes(128, 0) }],
  ["a quoting enclave of another product", "tcb", "TEE_QE_IDENTITY", { qe: bytes(256, 9) }],
  ["a quoting enclave with another MISCSELECT", "tcb", "TEE_QE_IDENTITY", { qe: bytes(16, 1) }],
  ["a quoting enclave in debug mode", "tcb", "TEE_QE_IDENTITY", { qe: bytes(48, 0x17) }],
  ["a quoting enclave under every level", "tcb", "TEE_TCB_OUT_OF_DATE", { qe: bytes(258, 0) }],
  ["an old quoting enclave", "tcb", "TEE_TCB_OUT_OF_DATE", { qe: bytes(258, 3) }],
  [
    "a revoked quoting enclave",
    "tcb",
    "TEE_TCB_REVOKED",
    { qe: bytes(258, 2) },
    { tcb: { statuses: ["revoked"], advisories: [], floors: {} } },
  ],
  [
    "an old component of SGX",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    { pki: makePki({ platform: { components: [...Array(15).fill(5), 4] } }) },
  ],
  ["an old PCE", "tcb", "TEE_TCB_REVOKED", { pki: makePki({ platform: { pceSvn: 10 } }) }],
  [
    "a platform under every level",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    { pki: makePki({ platform: { components: Array(16).fill(0) } }) },
  ],
  [
    "a revoked platform",
    "tcb",
    "TEE_TCB_REVOKED",
    { pki: makePki({ platform: { components: Array(16).fill(1) } }) },
    { tcb: { statuses: ["revoked"], advisories: ["INTEL-SA-02"], floors: {} } },
  ],
  ["an old component of TDX", "tcb", "TEE_TCB_OUT_OF_DATE", { body: bytes(2, 4) }],
  ["an old module", "tcb", "TEE_TCB_OUT_OF_DATE", { body: bytes(0, 4) }],
  ["a revoked module", "tcb", "TEE_TCB_REVOKED", { body: bytes(0, 2) }],
  ["a module under every level", "tcb", "TEE_TCB_OUT_OF_DATE", { body: bytes(0, 0) }],
  ["a module that Intel does not name", "tcb", "TEE_QE_IDENTITY", { body: bytes(1, 2) }],
  ["a module of another signer", "tcb", "TEE_QE_IDENTITY", { body: bytes(64, 1) }],
  ["a debug module", "tcb", "TEE_QE_IDENTITY", { body: bytes(112, 1) }],
  [
    "a debug module that the mask would let pass",
    "tcb",
    "TEE_QE_IDENTITY",
    {
      body: bytes(112, 1),
      info: (i) => {
        i.tdxModuleIdentities[0].attributesMask = "0".repeat(16);
      },
    },
  ],
  [
    "a first module of another signer",
    "tcb",
    "TEE_QE_IDENTITY",
    {
      body: (b) => {
        b[1] = 0;
        b[64] = 1;
      },
    },
  ],
  [
    "an old first module, by the platform's components",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    {
      body: (b) => {
        b[1] = 0;
        b[0] = 4;
      },
    },
  ],
  [
    "advisories beside UpToDate",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    {
      info: (i) => {
        i.tcbLevels[0].advisoryIDs = ["INTEL-SA-09"];
      },
    },
  ],
  [
    "collateral of an old recovery",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    {},
    { tcb: { statuses: [], advisories: [], floors: { tcbEvaluationDataNumber: 18 } } },
  ],
  [
    "QE identity of an old recovery",
    "tcb",
    "TEE_COLLATERAL_EXPIRED",
    {
      identity: (i) => {
        i.tcbEvaluationDataNumber = 16;
      },
    },
    { tcb: { statuses: [], advisories: [], floors: { tcbEvaluationDataNumber: 17 } } },
  ],
  [
    "a PCE under the floor",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    {},
    { tcb: { statuses: [], advisories: [], floors: { pceSvn: 12 } } },
  ],
  [
    "a quoting enclave under the floor",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    {},
    { tcb: { statuses: [], advisories: [], floors: { qeSvn: 5 } } },
  ],
  [
    "a floor that is not known",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    {},
    { tcb: { statuses: [], advisories: [], floors: { microcode: 0 } } },
  ],
];
