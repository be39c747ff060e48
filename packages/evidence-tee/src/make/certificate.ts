import { constants, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { toBase64 } from "@countersign/core";
import { keyUses, parseCertificate, type SignatureAlgorithm } from "../x509.ts";
import { der } from "./der.ts";

/** A certificate that this process issued, with its private key (or the public key alone where it was given one). */
export type IssuedCertificate = { readonly der: Uint8Array; readonly pem: string; readonly key: KeyObject };

/** Kinds of keys: fresh ones, or one that is there already. */
export type KeyType =
  | "P-256"
  | "P-384"
  | "rsa-4096"
  | { readonly publicKey: KeyObject }
  | { readonly privateKey: KeyObject };

type Algorithm = Exclude<SignatureAlgorithm, "other">;

const sha384 = () => der.sequence(der.oid("2.16.840.1.101.3.4.2.2"), der.nullValue());
const pssSha384 = () =>
  der.sequence(
    der.context(0, true, sha384()),
    der.context(1, true, der.sequence(der.oid("1.2.840.113549.1.1.8"), sha384())),
    der.context(2, true, der.integer(48)),
  );
const identifiers: Readonly<Record<Algorithm, () => Uint8Array>> = {
  "ecdsa-sha256": () => der.sequence(der.oid("1.2.840.10045.4.3.2")),
  "ecdsa-sha384": () => der.sequence(der.oid("1.2.840.10045.4.3.3")),
  "rsa-pss-sha384": () => der.sequence(der.oid("1.2.840.113549.1.1.10"), pssSha384()),
  "rsa-pkcs1-sha256": () => der.sequence(der.oid("1.2.840.113549.1.1.11"), der.nullValue()),
  "rsa-pkcs1-sha384": () => der.sequence(der.oid("1.2.840.113549.1.1.12"), der.nullValue()),
};

function makeKey(type: KeyType): KeyObject {
  if (typeof type !== "string") return "privateKey" in type ? type.privateKey : type.publicKey;
  if (type === "rsa-4096") return generateKeyPairSync("rsa", { modulusLength: 4096 }).privateKey;
  return generateKeyPairSync("ec", { namedCurve: type }).privateKey;
}

/** The algorithm that goes with a key: ECDSA by its curve, RSA-PSS with SHA-384 as AMD's. */
function algorithmOf(key: KeyObject): Algorithm {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === "rsa") return "rsa-pss-sha384";
  return curve === "prime256v1" ? "ecdsa-sha256" : "ecdsa-sha384";
}

function signBytes(algorithm: Algorithm, bytes: Uint8Array, key: KeyObject): Uint8Array {
  const hash = algorithm.endsWith("256") ? "sha256" : "sha384";
  const padding =
    algorithm === "rsa-pss-sha384"
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : {};
  return new Uint8Array(sign(hash, bytes, { key, ...padding }));
}

/** `SEQUENCE { tbs, algorithm, signature }`. */
function sealSigned(fields: readonly Uint8Array[], algorithm: Algorithm, key: KeyObject): Uint8Array {
  const tbs = der.sequence(...fields);
  return der.sequence(tbs, identifiers[algorithm](), der.bitString(signBytes(algorithm, tbs, key)));
}

const nameOf = (commonName: string) => der.sequence(der.set(der.sequence(der.oid("2.5.4.3"), der.utf8(commonName))));
/** RFC 5280 §4.1.2.5: UTCTime until 2049. */
const timeOf = (ms: number) => (ms < Date.UTC(2050, 0) ? der.utcTime(ms) : der.generalizedTime(ms));
const extension = (oid: string, critical: boolean, value: Uint8Array) =>
  der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value));

/** An extension: its dotted identifier and the DER of its value. */
export type ExtensionArgs = { readonly oid: string; readonly critical: boolean; readonly value: Uint8Array };

/** What a new certificate says. */
export type CertificateArgs = {
  /** Common name, the only attribute. */
  readonly subject: string;
  /** Absent: signed by itself. */
  readonly issuer?: IssuedCertificate;
  /** Another common name than the issuer's, for chains that must be refused. */
  readonly issuerName?: string;
  readonly keyType: KeyType;
  /** Goes by the issuer's key where absent. */
  readonly signature?: Algorithm;
  /** Milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly ca: boolean;
  readonly pathLength?: number;
  /** 16 random bytes where absent. */
  readonly serial?: bigint;
  readonly extensions?: readonly ExtensionArgs[];
  readonly omitBasicConstraints?: boolean;
  /** Bits of `keyUses`; null for none. Certificates and lists where `ca`, else signatures. */
  readonly keyUsage?: number | null;
};

/** Issues an X.509 certificate (RFC 5280). @throws RangeError when there is no private key to sign with */
export function makeCertificate(args: CertificateArgs): IssuedCertificate {
  const { ca, issuer } = args;
  const key = makeKey(args.keyType);
  const signer = issuer?.key ?? key;
  if (signer.type !== "private") throw new RangeError("There is no private key to sign the certificate with.");
  const algorithm = args.signature ?? algorithmOf(signer);
  const serial = args.serial ?? randomBytes(16).fill(1, 0, 1);
  const keyUsage = args.keyUsage === undefined ? (ca ? keyUses.certSign | keyUses.crlSign : 0x80) : args.keyUsage;
  const pathLength = args.pathLength === undefined ? [] : [der.integer(args.pathLength)];
  const extensions = [
    ...(args.omitBasicConstraints
      ? []
      : [extension("2.5.29.19", true, der.sequence(...(ca ? [der.boolean(true), ...pathLength] : [])))]),
    ...(keyUsage === null ? [] : [extension("2.5.29.15", true, keyUsageBits(keyUsage))]),
    ...(args.extensions ?? []).map((e) => extension(e.oid, e.critical, e.value)),
  ];
  const issuerName =
    args.issuerName !== undefined || !issuer
      ? nameOf(args.issuerName ?? args.subject)
      : parseCertificate(issuer.der).subject;
  const spki = (key.type === "private" ? createPublicKey(key) : key).export({ format: "der", type: "spki" });
  const bytes = sealSigned(
    [
      der.context(0, true, der.integer(2)),
      der.integer(serial),
      identifiers[algorithm](),
      issuerName,
      der.sequence(timeOf(args.notBefore), timeOf(args.notAfter)),
      nameOf(args.subject),
      new Uint8Array(spki),
      ...(extensions.length === 0 ? [] : [der.context(3, true, der.sequence(...extensions))]),
    ],
    algorithm,
    signer,
  );
  return { der: bytes, pem: pemOf(bytes), key };
}

/** DER's bit strings of named bits drop the zero bits at their end (X.690 §11.2.2). */
function keyUsageBits(usage: number): Uint8Array {
  let unused = 0;
  while (unused < 7 && !((usage >> unused) & 1)) unused++;
  return der.bitString(Uint8Array.of(usage & 0xff), unused);
}

/** PEM text of a certificate (RFC 7468). */
export function pemOf(bytes: Uint8Array, label = "CERTIFICATE"): string {
  const lines = toBase64(bytes).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** Issues a revocation list (RFC 5280 §5). */
export function makeCrl(args: {
  readonly issuer: IssuedCertificate;
  readonly signature?: Algorithm;
  readonly thisUpdate: number;
  readonly nextUpdate: number | null;
  readonly revoked: readonly bigint[];
  /** Of the list, and of each of its entries. */
  readonly extensions?: readonly ExtensionArgs[];
  readonly entryExtensions?: readonly ExtensionArgs[];
}): Uint8Array {
  const algorithm = args.signature ?? algorithmOf(args.issuer.key);
  const list = (extensions: readonly ExtensionArgs[] = []) =>
    extensions.length === 0 ? [] : [der.sequence(...extensions.map((e) => extension(e.oid, e.critical, e.value)))];
  const entries = args.revoked.map((serial) =>
    der.sequence(der.integer(serial), timeOf(args.thisUpdate), ...list(args.entryExtensions)),
  );
  return sealSigned(
    [
      der.integer(1),
      identifiers[algorithm](),
      parseCertificate(args.issuer.der).subject,
      timeOf(args.thisUpdate),
      ...(args.nextUpdate === null ? [] : [timeOf(args.nextUpdate)]),
      ...(entries.length === 0 ? [] : [der.sequence(...entries)]),
      ...list(args.extensions).map((body) => der.context(0, true, body)),
    ],
    algorithm,
    args.issuer.key,
  );
}
