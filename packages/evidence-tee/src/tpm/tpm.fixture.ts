import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { canonicalBytes, concat, toBase64, toHex, uint, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Collateral, DocumentArgs, Root } from "../attestation.ts";
import { type CertificateArgs, makeCertificate, pemOf } from "../make/certificate.ts";
import { der } from "../make/der.ts";
import { tpmDocument } from "./document.ts";

/** Everything generated here was valid then. */
export const judgedAt = Date.UTC(2026, 5, 1);
const span = { notBefore: judgedAt - 86_400_000, notAfter: judgedAt + 86_400_000 };
export const binding = sha256(utf8("a statement"));

export type QuoteArgs = {
  readonly magic?: number;
  readonly kind?: number;
  readonly extraData?: Uint8Array;
  readonly safe?: number;
  readonly selections?: readonly { readonly hash: number; readonly bits: readonly number[] }[];
  readonly digest?: Uint8Array;
  readonly behind?: Uint8Array;
};

const sized = (bytes: Uint8Array) => concat(uint(bytes.length, 2), bytes);

/** A TPMS_ATTEST over registers 8, 10 and 14 unless it is said otherwise. */
export function makeQuote(args: QuoteArgs = {}): Uint8Array {
  const selections = args.selections ?? [{ hash: 0x0b, bits: [0, 0x05 | 0x40, 0] }];
  return concat(
    uint(args.magic ?? 0xff544347, 4),
    uint(args.kind ?? 0x8018, 2),
    sized(concat(uint(0x0b, 2), new Uint8Array(32).fill(7))),
    sized(args.extraData ?? binding),
    uint(1073, 8),
    uint(3, 4),
    uint(1, 4),
    uint(args.safe ?? 1, 1),
    uint(0x2019102300163636n, 8),
    uint(selections.length, 4),
    ...selections.flatMap(({ hash, bits }) => [uint(hash, 2), uint(bits.length, 1), Uint8Array.from(bits)]),
    sized(args.digest ?? digestOf(registers)),
    args.behind ?? new Uint8Array(),
  );
}

export type Event = {
  readonly pcr: number;
  readonly digest: string;
  readonly event?: string;
  readonly payload?: string;
};
export const eventOf = (pcr: number, text: string): Event => ({
  pcr,
  digest: toHex(sha256(utf8(text))),
  event: text,
  payload: toBase64(utf8(text)),
});
/** What was measured; the second has no payload, as most firmware events. */
export const events: readonly Event[] = [
  eventOf(8, "kernel"),
  { pcr: 10, digest: "ab".repeat(32) },
  eventOf(14, "model manifest"),
  eventOf(14, "node configuration"),
];
const extend = (value: Uint8Array, digest: string) => sha256(concat(value, Buffer.from(digest, "hex")));
const registerOf = (pcr: number) =>
  events.filter((e) => e.pcr === pcr).reduce<Uint8Array>((v, e) => extend(v, e.digest), new Uint8Array(32));
export const registers: Readonly<Record<string, string>> = Object.fromEntries(
  [8, 10, 14].map((pcr) => [String(pcr), toHex(registerOf(pcr))]),
);
export function digestOf(values: Readonly<Record<string, string>>): Uint8Array {
  return sha256(concat(...Object.values(values).map((hex) => new Uint8Array(Buffer.from(hex, "hex")))));
}
export const logOf = (list: readonly Event[]): Collateral => ({ kind: "event-log", data: canonicalBytes(list) });

const makeKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
export const attestationKey: KeyObject = makeKey();
const attestationKeyUse = der.sequence(der.oid("2.23.133.8.3"));

/** PEM of the bare public key. */
export function bareKey(key: KeyObject = attestationKey): Collateral {
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { kind: "tpm-key", data: utf8(pemOf(new Uint8Array(spki), "PUBLIC KEY")) };
}

const vendorRoot = makeCertificate({ subject: "Private TPM root", keyType: "P-384", ...span, ca: true });
export const root: Root = {
  format: "tpm2",
  digest: toHex(sha256(vendorRoot.der)),
  assurance: "hardware",
  name: "private TPM root",
};

/** PEM of the key's certificate and the root that signed it. */
export function certifiedKey(args: Partial<CertificateArgs> = {}, above = vendorRoot): Collateral {
  const leaf = makeCertificate({
    subject: "",
    issuer: above,
    keyType: { privateKey: attestationKey },
    ...span,
    ca: false,
    extensions: [{ oid: "2.5.29.37", critical: true, value: attestationKeyUse }],
    ...args,
  });
  return { kind: "tpm-key", data: utf8(leaf.pem + above.pem) };
}

/** A TPMT_SIGNATURE; */
export function signQuote(quote: Uint8Array, scheme = 0x18, hash = 0x0b, key = attestationKey): Uint8Array {
  const raw = new Uint8Array(sign("sha256", quote, { key, dsaEncoding: "ieee-p1363" }));
  return signatureOf(raw, scheme, hash);
}
export function signatureOf(raw: Uint8Array, scheme = 0x18, hash = 0x0b): Uint8Array {
  return concat(uint(scheme, 2), uint(hash, 2), sized(raw.subarray(0, 32)), sized(raw.subarray(32)));
}

/** A document with its registers, under a bare key, that everything accepts which a bare key can show. */
export function makeDocument(args: QuoteArgs = {}, pcrs: Readonly<Record<string, string>> | null = registers) {
  const quote = makeQuote(args);
  return tpmDocument({ quote, signature: signQuote(quote), ...(pcrs && { pcrs }) });
}

export const wanted = (document: Uint8Array, collateral: readonly Collateral[] = [bareKey()]): DocumentArgs => ({
  document,
  collateral,
  at: judgedAt,
  roots: [root],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding,
  nonce: null,
  maxAge: 300_000,
  suite: nodeSuite,
});
