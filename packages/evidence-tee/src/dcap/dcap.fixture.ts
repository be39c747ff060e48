// Quotes and collateral of a platform that never was, under a private root: genuine forms, for tests alone.
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { concat, fromHex, type JsonObject, sha256Hex, toHex, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import type { Collateral, DocumentArgs } from "../attestation.ts";
import { type IssuedCertificate, makeCertificate, makeCrl } from "../make/certificate.ts";
import { der } from "../make/der.ts";

export const now = Date.UTC(2026, 4, 1);
const day = 86_400_000;
const lifetime = { notBefore: now - 30 * day, notAfter: now + 365 * day };
const time = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");

/** Little-endian. */
const le = (value: number, width: number) => Uint8Array.from({ length: width }, (_, i) => (value / 256 ** i) & 0xff);
const point = (key: KeyObject): Uint8Array => {
  const { x, y } = key.export({ format: "jwk" }) as { x: string; y: string };
  return new Uint8Array(Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]));
};
const ecdsa = (bytes: Uint8Array, key: KeyObject) =>
  new Uint8Array(sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }));
const freshKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

export type PlatformEdit = {
  readonly components?: readonly number[];
  readonly pceSvn?: number;
  readonly fmspc?: string;
  readonly pceId?: string;
  /** A pair more, by the end of its identifier. */
  readonly more?: readonly [path: string, value: Uint8Array];
};
const sgxOid = "1.2.840.113741.1.13.1";

/** The SGX extension of a PCK certificate. */
export function sgxExtension(edit: PlatformEdit = {}): Uint8Array {
  const { components = Array(16).fill(5), pceSvn = 11, fmspc = "b0c06f000000", pceId = "0000" } = edit;
  const pair = (path: string, value: Uint8Array) => der.sequence(der.oid(`${sgxOid}.${path}`), value);
  return der.sequence(
    pair("1", der.octetString(fromHex("00112233445566778899aabbccddeeff"))),
    pair(
      "2",
      der.sequence(
        ...components.map((svn, i) => pair(`2.${i + 1}`, der.integer(svn))),
        pair("2.17", der.integer(pceSvn)),
        pair("2.18", der.octetString(Uint8Array.from(components))),
      ),
    ),
    pair("3", der.octetString(fromHex(pceId))),
    pair("4", der.octetString(fromHex(fmspc))),
    pair("5", der.raw(10, Uint8Array.of(0))),
    ...(edit.more ? [pair(...edit.more)] : []),
  );
}

export const rootName = "SIMULATED-NOT-A-TEE fixture root";
type Issue = Partial<Parameters<typeof makeCertificate>[0]>;

/** Certificates of one private vendor. */
export function makePki(edit: { root?: Issue; ca?: Issue; pck?: Issue; signer?: Issue; platform?: PlatformEdit } = {}) {
  const root = makeCertificate({
    subject: rootName,
    keyType: "P-256",
    ca: true,
    pathLength: 1,
    ...lifetime,
    ...edit.root,
  });
  const ca = makeCertificate({
    subject: "Intel SGX PCK Platform CA",
    issuer: root,
    keyType: "P-256",
    ca: true,
    pathLength: 0,
    serial: 0xca01n,
    ...lifetime,
    ...edit.ca,
  });
  const pck = makePck(ca, edit.platform, edit.pck);
  const signer = makeCertificate({
    subject: "Intel SGX TCB Signing",
    issuer: root,
    keyType: "P-256",
    ca: false,
    serial: 0x7cb1n,
    ...lifetime,
    ...edit.signer,
  });
  return { root, ca, pck, signer };
}
export type Pki = ReturnType<typeof makePki>;

export function makePck(ca: IssuedCertificate, platform: PlatformEdit = {}, edit: Issue = {}): IssuedCertificate {
  return makeCertificate({
    subject: "Intel SGX PCK Certificate",
    issuer: ca,
    keyType: "P-256",
    ca: false,
    serial: 0x9c1n,
    extensions: [{ oid: sgxOid, critical: false, value: sgxExtension(platform) }],
    ...lifetime,
    ...edit,
  });
}

const levels = (svn: number) => Array.from({ length: 16 }, () => ({ svn }));
type Edit<T> = (value: T) => unknown;
// biome-ignore lint/suspicious/noExplicitAny: tests break the shape on purpose.
type Loose = any;

/** TCB info: up to date from SVN 5 on, out of date from 3, revoked from 1. */
function tcbInfo(tdx: boolean): Loose {
  const level = (svn: number, pcesvn: number, tcbStatus: string, advisoryIDs?: string[]) => ({
    tcb: {
      sgxtcbcomponents: levels(svn),
      pcesvn,
      ...(tdx && { tdxtcbcomponents: levels(svn).map((c, i) => (i === 1 ? { svn: 0 } : c)) }),
    },
    tcbDate: "2026-01-01T00:00:00Z",
    tcbStatus,
    ...(advisoryIDs && { advisoryIDs }),
  });
  const identity = { mrsigner: "0".repeat(96), attributes: "0".repeat(16), attributesMask: "F".repeat(16) };
  const moduleLevel = (isvsvn: number, tcbStatus: string, advisoryIDs?: string[]) => ({
    tcb: { isvsvn },
    tcbDate: "2026-01-01T00:00:00Z",
    tcbStatus,
    ...(advisoryIDs && { advisoryIDs }),
  });
  return {
    id: tdx ? "TDX" : "SGX",
    version: 3,
    issueDate: time(now - day),
    nextUpdate: time(now + 29 * day),
    fmspc: "B0C06F000000",
    pceId: "0000",
    tcbType: 0,
    tcbEvaluationDataNumber: 17,
    ...(tdx && {
      tdxModule: identity,
      tdxModuleIdentities: [
        {
          id: "TDX_01",
          ...identity,
          tcbLevels: [
            moduleLevel(5, "UpToDate"),
            moduleLevel(3, "OutOfDate", ["INTEL-SA-03"]),
            moduleLevel(1, "Revoked"),
          ],
        },
      ],
    }),
    tcbLevels: [
      level(5, 11, "UpToDate"),
      level(3, 11, "OutOfDate", ["INTEL-SA-01"]),
      level(1, 5, "Revoked", ["INTEL-SA-02"]),
    ],
  };
}

const qeSigner = "c1".repeat(32);
function qeIdentity(tdx: boolean): Loose {
  const level = (isvsvn: number, tcbStatus: string, advisoryIDs?: string[]) => ({
    tcb: { isvsvn },
    tcbDate: "2026-01-01T00:00:00Z",
    tcbStatus,
    ...(advisoryIDs && { advisoryIDs }),
  });
  return {
    id: tdx ? "TD_QE" : "QE",
    version: 2,
    issueDate: time(now - day),
    nextUpdate: time(now + 29 * day),
    tcbEvaluationDataNumber: 17,
    miscselect: "00000000",
    miscselectMask: "FFFFFFFF",
    attributes: "11000000000000000000000000000000",
    attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
    mrsigner: qeSigner.toUpperCase(),
    isvprodid: tdx ? 2 : 1,
    tcbLevels: [level(4, "UpToDate"), level(3, "OutOfDate", ["INTEL-SA-04"]), level(1, "Revoked")],
  };
}

function sgxReport(fields: { attributes: string; mrSigner: string; prodId: number; svn: number; data: Uint8Array }) {
  const out = new Uint8Array(384);
  out.set(new Uint8Array(16).fill(5), 0);
  out.set(fromHex(fields.attributes), 48);
  out.set(fromHex("ee".repeat(32)), 64);
  out.set(fromHex(fields.mrSigner), 128);
  out.set(le(fields.prodId, 2), 256);
  out.set(le(fields.svn, 2), 258);
  out.set(fields.data, 320);
  return out;
}

function tdReport(size: 584 | 648, reportData: Uint8Array) {
  const out = new Uint8Array(size);
  // Module 1.5 of level 5, everything else at 5.
  out.set(new Uint8Array(16).fill(5), 0);
  out[1] = 1;
  out.set(fromHex("0000001000000000"), 120);
  out.set(fromHex("e702060000000000"), 128);
  for (let i = 0; i < 48; i++) out[136 + i] = 0xa0;
  for (let r = 0; r < 4; r++) for (let i = 0; i < 48; i++) out[328 + 48 * r + i] = r + 1;
  out.set(reportData, 520);
  if (size === 648) {
    out.set(new Uint8Array(16).fill(5), 584);
    out[585] = 1;
  }
  return out;
}

export type QuoteForm = "tdx-v4" | "tdx-v5" | "tdx-v5-1.5" | "sgx-v3" | "sgx-v4" | "sgx-v5";
export const binding = fromHex("b1".repeat(32));

export type FixtureEdit = {
  readonly form?: QuoteForm;
  readonly pki?: Pki;
  /** Before signing. */
  readonly header?: Edit<Uint8Array>;
  readonly body?: Edit<Uint8Array>;
  readonly qe?: Edit<Uint8Array>;
  readonly info?: Edit<Loose>;
  readonly identity?: Edit<Loose>;
  /** The texts as they are signed. */
  readonly infoText?: (text: string) => string;
  readonly identityText?: (text: string) => string;
  readonly lists?: {
    readonly root?: Partial<Parameters<typeof makeCrl>[0]>;
    readonly pck?: Partial<Parameters<typeof makeCrl>[0]>;
  };
  /** Text of the PCK chain. */
  readonly chain?: (pki: Pki) => string;
  readonly certificationType?: number;
  readonly outerCertificationType?: number;
  /** Behind the chain, inside the certification data; and behind that, inside the signature data. */
  readonly behindChain?: Uint8Array;
  readonly behindCertification?: Uint8Array;
  readonly padding?: Uint8Array;
  /** After signing. */
  readonly collateral?: Edit<Loose>;
};

const attestationKey = freshKey();
export const pki = makePki();

/** A quote and its collateral; everything holds unless an edit breaks it. */
export function makeDcap(edit: FixtureEdit = {}): { readonly document: Uint8Array; readonly collateral: JsonObject } {
  const form = edit.form ?? "tdx-v4";
  const tdx = form.startsWith("tdx");
  const version = form.includes("v3") ? 3 : form.includes("v4") ? 4 : 5;
  const used = edit.pki ?? pki;
  const reportData = concat(binding, new Uint8Array(32));
  const header = concat(
    le(version, 2),
    le(2, 2),
    le(tdx ? 0x81 : 0, 4),
    new Uint8Array(4),
    fromHex("939a7233f79c4ca9940a0db3957f0607"),
    new Uint8Array(20).fill(0x77),
  );
  edit.header?.(header);
  const size = form === "tdx-v5-1.5" ? 648 : 584;
  const body = tdx
    ? tdReport(size, reportData)
    : sgxReport({
        attributes: "0500000000000000e700000000000000",
        mrSigner: "d5".repeat(32),
        prodId: 7,
        svn: 3,
        data: reportData,
      });
  edit.body?.(body);
  const bodyType = !tdx ? 1 : size === 648 ? 3 : 2;
  const signed = concat(header, ...(version === 5 ? [le(bodyType, 2), le(body.length, 4)] : []), body);
  const auth = Uint8Array.from({ length: 32 }, (_, i) => i);
  const key = point(attestationKey);
  const hash = new Uint8Array(createHash("sha256").update(key).update(auth).digest());
  const qe = sgxReport({
    attributes: "1500000000000000e700000000000000",
    mrSigner: qeSigner,
    prodId: tdx ? 2 : 1,
    svn: 4,
    data: concat(hash, new Uint8Array(32)),
  });
  edit.qe?.(qe);
  const chain = utf8(edit.chain?.(used) ?? used.pck.pem + used.ca.pem + used.root.pem);
  const inner = concat(
    qe,
    // A key of another curve signs longer than the form has room for.
    ecdsa(qe, used.pck.key).subarray(0, 64),
    le(auth.length, 2),
    auth,
    le(edit.certificationType ?? 5, 2),
    le(chain.length, 4),
    chain,
    edit.behindChain ?? new Uint8Array(),
  );
  const certification =
    version === 3 ? inner : concat(le(edit.outerCertificationType ?? 6, 2), le(inner.length, 4), inner);
  const behind = edit.behindCertification ?? new Uint8Array();
  const data = concat(ecdsa(signed, attestationKey), key, certification, behind);
  const document = concat(signed, le(data.length, 4), data, edit.padding ?? new Uint8Array(70));
  return { document, collateral: makeCollateral(edit, tdx, used) };
}

function makeCollateral(edit: FixtureEdit, tdx: boolean, used: Pki): JsonObject {
  const info = tcbInfo(tdx);
  edit.info?.(info);
  const identity = qeIdentity(tdx);
  edit.identity?.(identity);
  const infoText = (edit.infoText ?? String)(JSON.stringify(info));
  const identityText = (edit.identityText ?? String)(JSON.stringify(identity));
  const dates = { thisUpdate: now - day, nextUpdate: now + 29 * day };
  const out = {
    pck_crl_issuer_chain: used.ca.pem + used.root.pem,
    root_ca_crl: toHex(makeCrl({ issuer: used.root, ...dates, revoked: [], ...edit.lists?.root })),
    pck_crl: toHex(makeCrl({ issuer: used.ca, ...dates, revoked: [0xdeadn], ...edit.lists?.pck })),
    tcb_info_issuer_chain: used.signer.pem + used.root.pem,
    tcb_info: infoText,
    tcb_info_signature: toHex(ecdsa(utf8(infoText), used.signer.key)),
    qe_identity_issuer_chain: used.signer.pem + used.root.pem,
    qe_identity: identityText,
    qe_identity_signature: toHex(ecdsa(utf8(identityText), used.signer.key)),
  };
  edit.collateral?.(out);
  return out;
}

export const dcapOf = (collateral: JsonObject): Collateral => ({
  kind: "dcap",
  data: utf8(JSON.stringify(collateral)),
});

/** Arguments under which a fixture holds. */
export function argsOf(edit: FixtureEdit = {}, over: Partial<DocumentArgs> = {}): DocumentArgs {
  const { document, collateral } = makeDcap(edit);
  const used = edit.pki ?? pki;
  const digest = sha256Hex(used.root.der);
  return {
    document,
    at: now,
    roots: (["tdx", "sgx"] as const).map((format) => ({ format, digest, assurance: "simulated", name: "fixture" })),
    collateral: [dcapOf(collateral)],
    measurements: null,
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding,
    nonce: null,
    maxAge: 300_000,
    suite: nodeSuite,
    ...over,
  };
}
