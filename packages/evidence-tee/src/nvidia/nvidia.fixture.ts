import { type KeyObject, randomBytes, sign } from "node:crypto";
import { concat, fromHex, gpuNonce, toBase64, toHex, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import type { DocumentArgs, Root } from "../attestation.ts";
import { type CertificateArgs, type IssuedCertificate, makeCertificate } from "../make/certificate.ts";
import { der } from "../make/der.ts";

/** Everything generated here was valid then. */
export const judgedAt = Date.UTC(2026, 5, 1);
const span = { notBefore: judgedAt - 86_400_000, notAfter: judgedAt + 86_400_000 };

/** Order of P-384 (FIPS 186-5): with s, n − s signs as well. */
export const orderP384 = BigInt(
  "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);

/** The 32 bytes of a CPU's statement, and the nonce that belongs to it. */
export const binding = fromHex("5a".repeat(32));
export const boundNonce = gpuNonce(binding);
export const firmware = fromHex("f1".repeat(48));

export const firmwareEntry = (digest: Uint8Array, hash = "2.16.840.1.101.3.4.2.2", ...more: Uint8Array[]) =>
  der.sequence(der.oid(hash), der.octetString(digest), ...more);
/** As on Hopper and as on Blackwell. */
export const firmwareExtensions = {
  hopper: (digest: Uint8Array) => ({
    oid: "2.23.133.5.4.1",
    critical: false,
    value: der.sequence(der.integer(1), der.sequence(), firmwareEntry(digest)),
  }),
  blackwell: (digest: Uint8Array) => ({
    oid: "2.23.133.5.4.1.1",
    critical: false,
    value: der.sequence(
      der.context(0, false, utf8("NVIDIA")),
      der.context(6, true, concat(firmwareEntry(digest), firmwareEntry(new Uint8Array(48)))),
    ),
  }),
};

/** A private root as NVIDIA's is made, with one device below it. */
export type Gpu = {
  /** Root first. */
  readonly chain: readonly IssuedCertificate[];
  readonly root: Root;
  /** Leaf first. */
  readonly pem: string;
  readonly key: KeyObject;
};

/** Changes to a level of the chain: 0 is the root, 4 the leaf. */
export type ChainEdit = (level: number, made: readonly IssuedCertificate[]) => Partial<CertificateArgs>;

export function makeGpu(edit: ChainEdit = () => ({}), rootName = "Test Device Identity CA"): Gpu {
  const chain: IssuedCertificate[] = [];
  const names = [rootName, "Test Identity", "Test Provisioner", "GH100 A01 GSP BROM", "GH100 A01 GSP FMC LF"];
  for (const [level, subject] of names.entries()) {
    const leaf = level === 4;
    const issuer = chain.at(-1);
    chain.push(
      makeCertificate({
        subject,
        ...(issuer && { issuer }),
        keyType: "P-384",
        ...span,
        ca: !leaf,
        ...(leaf && { omitBasicConstraints: true, extensions: [firmwareExtensions.hopper(firmware)] }),
        ...edit(level, chain),
      }),
    );
  }
  const [top] = chain as [IssuedCertificate];
  return {
    chain,
    root: { format: "nvidia", digest: toHex(sha256(top.der)), assurance: "hardware", name: "a test's" },
    pem: [...chain]
      .reverse()
      .map((c) => c.pem)
      .join(""),
    key: (chain.at(-1) as IssuedCertificate).key,
  };
}

const u16 = (n: number) => Uint8Array.of(n & 255, n >> 8);
const u24 = (n: number) => Uint8Array.of(n & 255, (n >> 8) & 255, n >> 16);
const field = (type: number, value: Uint8Array) => concat(u16(type), u16(value.length), value);
const block = (index: number, digest: Uint8Array, type = 1, more = new Uint8Array()) =>
  concat(
    Uint8Array.of(index, 1),
    u16(3 + digest.length + more.length),
    Uint8Array.of(type),
    u16(digest.length),
    digest,
    more,
  );

/** The parts of a report, before it is signed; vendor fields by their number. */
export type ReportParts = {
  readonly request: Uint8Array;
  readonly nonce: Uint8Array;
  readonly slot: number;
  readonly answer: Uint8Array;
  readonly blocks: readonly Uint8Array[];
  readonly count: number;
  readonly opaque: Readonly<Record<number, Uint8Array>>;
  /** Stands behind the vendor fields. */
  readonly moreOpaque: Uint8Array;
  /** Stands behind the signature. */
  readonly tail: Uint8Array;
};

export const digestOf = (index: number) => new Uint8Array(48).fill(index);
export const blockOf = block;
export const fieldOf = field;

export const vendorFields: ReportParts["opaque"] = {
  3: utf8("590.12\0"),
  6: fromHex("00a5009601000000"),
  15: utf8("885\0\0\0"),
  17: utf8("G520\0"),
  20: firmware,
};
export const blocks: ReportParts["blocks"] = Array.from({ length: 64 }, (_, i) => block(i + 1, digestOf(i + 1)));

/** One GPU's signed report. */
export function makeReport(key: KeyObject, changed: Partial<ReportParts> = {}): Uint8Array {
  const parts: ReportParts = {
    request: fromHex("11e001ff"),
    nonce: boundNonce,
    slot: 0,
    answer: fromHex("11600000"),
    blocks,
    count: 64,
    opaque: vendorFields,
    moreOpaque: new Uint8Array(),
    tail: new Uint8Array(),
    ...changed,
  };
  const record = concat(...parts.blocks);
  const opaque = concat(...Object.entries(parts.opaque).map(([n, v]) => field(Number(n), v)), parts.moreOpaque);
  const signed = concat(
    parts.request,
    parts.nonce,
    Uint8Array.of(parts.slot),
    parts.answer,
    Uint8Array.of(parts.count),
    u24(record.length),
    record,
    randomBytes(32),
    u16(opaque.length),
    opaque,
  );
  const signature = new Uint8Array(sign("sha384", signed, { key, dsaEncoding: "ieee-p1363" }));
  return concat(signed, signature, parts.tail);
}

/** NVIDIA's own list of one GPU. */
export const frameOf = (report: Uint8Array, pem: string, changed: Record<string, unknown> = {}): Uint8Array =>
  utf8(
    JSON.stringify([
      {
        arch: "HOPPER",
        certificate: toBase64(utf8(pem)),
        evidence: toBase64(report),
        nonce: toHex(report.subarray(4, 36)),
        ...changed,
      },
    ]),
  );

/** What a caller asks who wants everything. */
export const wanted = (document: Uint8Array, root: Root): DocumentArgs => ({
  document,
  at: judgedAt,
  roots: [root],
  collateral: [],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding,
  nonce: boundNonce,
  maxAge: 300_000,
  suite: nodeSuite,
});
