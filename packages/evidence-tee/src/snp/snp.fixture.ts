import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { fromHex, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Collateral, DocumentArgs, Root } from "../attestation.ts";
import { type CertificateArgs, type IssuedCertificate, makeCertificate } from "../make/certificate.ts";
import { der } from "../make/der.ts";
import { parseCertificate } from "../x509.ts";
import { reportSize, signedSize } from "./report.ts";
import type { Family } from "./tcb.ts";

/** Everything generated here was valid then. */
export const judgedAt = Date.UTC(2026, 5, 1);
const span = { notBefore: judgedAt - 86_400_000, notAfter: judgedAt + 86_400_000 };
const rsa = () => ({ privateKey: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey });
const amd = (tail: string) => `1.3.6.1.4.1.3704.1.${tail}`;

export const chipId = fromHex("a5".repeat(64));
export const turinChipId = fromHex("c3".repeat(8) + "00".repeat(56));
/** As in TCB_VERSION: Milan and Genoa, then Turin. */
export const earlyTcb = fromHex("04000000000017d5");
export const lateTcb = fromHex("0102030400000048");
const early = ["3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"];
const late = ["3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8"];

/** A private root as AMD's is made, with the two keys below it that sign the two kinds of endorsement keys. */
export type PrivateAmd = {
  readonly family: Family;
  readonly ark: IssuedCertificate;
  readonly ask: IssuedCertificate;
  readonly asvk: IssuedCertificate;
  readonly root: Root;
};

export function makeAmd(family: Family, ca: Partial<CertificateArgs> = {}, subject?: string): PrivateAmd {
  const name = `${family[0]?.toUpperCase()}${family.slice(1)}`;
  const ark = makeCertificate({ subject: subject ?? `ARK-${name}`, keyType: rsa(), ...span, ca: true });
  const below = (cn: string, serial: bigint) =>
    makeCertificate({ subject: cn, issuer: ark, keyType: rsa(), ...span, ca: true, pathLength: 0, serial, ...ca });
  const digest = toHex(sha256(parseCertificate(ark.der).spki));
  return {
    family,
    ark,
    ask: below(`SEV-${name}`, 257n),
    asvk: below(`SEV-VLEK-${name}`, 258n),
    root: { format: "sev-snp", digest, assurance: "hardware", name: `private ARK-${name}`, family },
  };
}

export type EndorsementArgs = {
  readonly kind?: "vcek" | "vlek";
  readonly tcb?: Uint8Array;
  readonly hardwareId?: Uint8Array | null;
  readonly without?: string;
  readonly structVersion?: number;
  readonly certificate?: Partial<CertificateArgs>;
  readonly issuer?: IssuedCertificate;
};

/** A VCEK or VLEK with AMD's extensions. */
export function makeEndorsement(amdKeys: PrivateAmd, args: EndorsementArgs = {}): IssuedCertificate {
  const { kind = "vcek" } = args;
  const isLate = amdKeys.family === "turin";
  const tcb = args.tcb ?? (isLate ? lateTcb : earlyTcb);
  const id = args.hardwareId === undefined ? (isLate ? turinChipId.subarray(0, 8) : chipId) : args.hardwareId;
  const extensions = [
    [amd("1"), der.integer(args.structVersion ?? (isLate ? 1 : 0))],
    [amd("2"), der.raw(0x16, new TextEncoder().encode(`${amdKeys.family}-B0`))],
    ...(isLate ? late : early).map((tail, i) => [amd(tail), der.integer(tcb[i] as number)] as const),
    ...(kind === "vcek" && id ? [[amd("4"), id] as const] : []),
    ...(kind === "vlek" ? [[amd("5"), der.utf8("cloud.example")] as const] : []),
  ] as const;
  return makeCertificate({
    subject: kind === "vcek" ? "SEV-VCEK" : "SEV-VLEK",
    issuer: args.issuer ?? (kind === "vcek" ? amdKeys.ask : amdKeys.asvk),
    keyType: "P-384",
    ...span,
    ca: false,
    // AMD's have neither basic constraints nor key usage, and all have the serial 0.
    omitBasicConstraints: true,
    keyUsage: null,
    serial: 0n,
    extensions: extensions
      .filter(([oid]) => oid !== amd(args.without ?? "none"))
      .map(([oid, value]) => ({ oid, critical: false, value })),
    ...args.certificate,
  });
}

export const binding = sha256(new TextEncoder().encode("a statement"));

/** A report of version 3 (5 on Turin) that everything accepts, before `edit` and the signature. */
export function makeReport(
  family: Family,
  key: KeyObject,
  edit: (bytes: Uint8Array, view: DataView) => void = () => {},
  afterwards: (bytes: Uint8Array) => void = () => {},
): Uint8Array {
  const bytes = new Uint8Array(reportSize);
  const view = new DataView(bytes.buffer);
  const isLate = family === "turin";
  const tcb = isLate ? lateTcb : earlyTcb;
  view.setUint32(0, isLate ? 5 : 3, true);
  view.setBigUint64(8, 0x30000n, true);
  view.setUint32(0x34, 1, true);
  for (const at of [0x38, 0x180, 0x1e0, 0x1f0]) bytes.set(tcb, at);
  view.setBigUint64(0x40, 0x21n, true);
  bytes.set(binding, 0x50);
  bytes.set(new Uint8Array(48).fill(0x11), 0x90);
  bytes.set(new Uint8Array(32).fill(0x22), 0xc0);
  bytes.set(new Uint8Array(32).fill(0x33), 0x140);
  bytes.set(isLate ? [0x1a, 0x02, 0x01] : family === "genoa" ? [0x19, 0x11, 0x01] : [0x19, 0x01, 0x01], 0x188);
  bytes.set(isLate ? turinChipId : chipId, 0x1a0);
  edit(bytes, view);
  const signature = sign("sha384", bytes.subarray(0, signedSize), { key, dsaEncoding: "ieee-p1363" });
  bytes.set(new Uint8Array(signature.subarray(0, 48)).reverse(), signedSize);
  bytes.set(new Uint8Array(signature.subarray(48)).reverse(), signedSize + 72);
  afterwards(bytes);
  return bytes;
}

/** ASK or ASVK, then ARK. */
export function collateralOf(keys: PrivateAmd, leaf: Uint8Array, kind: "vcek" | "vlek" = "vcek", crl?: Uint8Array) {
  const below = kind === "vcek" ? keys.ask : keys.asvk;
  return [
    { kind: "amd-endorsement", data: leaf },
    { kind: "amd-chain", data: new TextEncoder().encode(below.pem + keys.ark.pem) },
    ...(crl ? [{ kind: "amd-crl" as const, data: crl }] : []),
  ] satisfies Collateral[];
}

/** What a caller asks for who wants everything that a report can show. */
export const wanted = (document: Uint8Array, root: Root, collateral: readonly Collateral[]): DocumentArgs => ({
  document,
  collateral,
  at: judgedAt,
  roots: [root],
  measurements: null,
  revoked: [],
  tcb: { statuses: ["unrated"], advisories: [], floors: {} },
  allowDebug: false,
  binding,
  nonce: null,
  maxAge: 300_000,
  suite: nodeSuite,
});
