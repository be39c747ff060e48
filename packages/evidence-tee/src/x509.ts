import { concat, equalBytes, fromBase64, fromUtf8, type Hex, type Suite, toHex } from "@countersign/core";
import { fault } from "./attestation.ts";
import {
  type DerNode,
  derChildren,
  derFields,
  oid,
  oidOf,
  readBitString,
  readBoolean,
  readDer,
  readInteger,
  readNumber,
  readOctets,
  readTime,
  tags,
} from "./der.ts";

/** A public key of a certificate; `other` is any that no format uses, RSA exponents but 65537 among them. */
export type PublicKey =
  | { readonly kind: "ec"; readonly curve: "P-256" | "P-384" /** Uncompressed. */; readonly point: Uint8Array }
  | { readonly kind: "rsa" /** Without leading zeros. */; readonly modulus: Uint8Array }
  | { readonly kind: "other"; readonly algorithm: Hex };

/** Algorithms that certificates are signed with, hash and parameters included. */
export type SignatureAlgorithm =
  | "ecdsa-sha256"
  | "ecdsa-sha384"
  | "rsa-pss-sha384"
  | "rsa-pkcs1-sha256"
  | "rsa-pkcs1-sha384"
  | "other";

/** What is signed, how and by whom. */
export type Signed = {
  /** The bytes that are signed, as they stand. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
};

/** One X.509 certificate of version 3 (RFC 5280). Names are compared as their bytes. */
export type Certificate = Signed & {
  readonly der: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly commonName: string | null;
  /** Whole bytes without leading zeros. */
  readonly serial: Hex;
  /** Milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly publicKey: PublicKey;
  /** By hex of the object identifier. */
  readonly extensions: ReadonlyMap<Hex, Extension>;
  readonly isCa: boolean;
  readonly pathLength: number | null;
  /** Bits of `keyUses`, or null where the certificate names none. */
  readonly keyUsage: number | null;
};
export type Extension = { readonly critical: boolean; readonly value: Uint8Array };

/** Bits of `keyUsage`: the first byte of the extension's bit string. */
export const keyUses = { digitalSignature: 0x80, certSign: 0x04, crlSign: 0x02 } as const;

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Certificate: ${why}`);
const keyUsageId = oid("2.5.29.15");
const basicConstraintsId = oid("2.5.29.19");
const commonNameId = oid("2.5.4.3");
const ecKeyId = oid("1.2.840.10045.2.1");
const rsaKeyId = oid("1.2.840.113549.1.1.1");
const pssId = oid("1.2.840.113549.1.1.10");
const mgf1Id = oid("1.2.840.113549.1.1.8");
const sha384Id = oid("2.16.840.1.101.3.4.2.2");
const curves: Readonly<Record<Hex, { readonly curve: "P-256" | "P-384"; readonly size: number }>> = {
  [oid("1.2.840.10045.3.1.7")]: { curve: "P-256", size: 65 },
  [oid("1.3.132.0.34")]: { curve: "P-384", size: 97 },
};
// The second column is what stands as parameters: nothing for ECDSA (RFC 5758 §3.2), NULL for PKCS #1 (RFC 4055 §5).
const signatures: Readonly<Record<Hex, readonly [SignatureAlgorithm, "nothing" | "null"]>> = {
  [oid("1.2.840.10045.4.3.2")]: ["ecdsa-sha256", "nothing"],
  [oid("1.2.840.10045.4.3.3")]: ["ecdsa-sha384", "nothing"],
  [oid("1.2.840.113549.1.1.11")]: ["rsa-pkcs1-sha256", "null"],
  [oid("1.2.840.113549.1.1.12")]: ["rsa-pkcs1-sha384", "null"],
};
const isNull = (node: DerNode | undefined) => node?.tag === tags.nullValue && node.body.length === 0;

/** The algorithm with all its parameters as one word: an unknown parameter is another algorithm. */
export function readSignatureAlgorithm(node: DerNode | undefined): SignatureAlgorithm {
  const [id, parameters, ...rest] = derFields(node);
  const name = oidOf(id);
  if (rest.length > 0) return bad("an algorithm with more than parameters");
  if (name === pssId) return parameters !== undefined && isPssSha384(parameters) ? "rsa-pss-sha384" : "other";
  const [word, expected] = signatures[name] ?? [];
  if (word === undefined) return "other";
  return (expected === "null" ? isNull(parameters) : parameters === undefined) ? word : "other";
}

/** RSASSA-PSS-params of RFC 4055 §3.1: SHA-384 twice, salt of 48 bytes, the one trailer. */
function isPssSha384(node: DerNode): boolean {
  const [hash, mask, salt, trailer, ...rest] = derFields(node);
  const isHash = (algorithm: DerNode | undefined): boolean => {
    const [id, parameters, ...more] = derFields(algorithm);
    return oidOf(id) === sha384Id && (parameters === undefined || isNull(parameters)) && more.length === 0;
  };
  const only = (wrapped: DerNode | undefined, tag: number): DerNode | undefined => {
    if (wrapped?.tag !== tag) return undefined;
    const inside = derChildren(wrapped.body);
    return inside.length === 1 ? inside[0] : undefined;
  };
  const [hashNode, maskNode, saltNode] = [only(hash, 0xa0), only(mask, 0xa1), only(salt, 0xa2)];
  if (!hashNode || !maskNode || !saltNode || rest.length > 0) return false;
  const [maskId, maskHash, ...more] = derFields(maskNode);
  if (!isHash(hashNode) || oidOf(maskId) !== mgf1Id || !isHash(maskHash) || more.length > 0) return false;
  return readNumber(saltNode) === 48 && (trailer === undefined || readNumber(only(trailer, 0xa3)) === 1);
}

/** The key of a SubjectPublicKeyInfo (RFC 5480, RFC 3279). */
export function readPublicKey(spki: DerNode | undefined): PublicKey {
  const [algorithm, bits, ...rest] = derFields(spki);
  const [id, parameters, ...more] = derFields(algorithm);
  const name = oidOf(id);
  if (rest.length > 0 || more.length > 0) return bad("a key with more than a key");
  if (name === ecKeyId && parameters?.tag === tags.oid) {
    const known = curves[oidOf(parameters)];
    if (!known) return { kind: "other", algorithm: name };
    const point = readBitString(bits);
    if (point.length !== known.size || point[0] !== 4) return bad("a point that is not in the uncompressed form");
    return { kind: "ec", curve: known.curve, point };
  }
  if (name === rsaKeyId && isNull(parameters)) {
    const [modulus, exponent, ...extra] = derFields(readDer(readBitString(bits)));
    if (extra.length > 0) return bad("an RSA key with more than two numbers");
    if (readNumber(exponent) !== 65537) return { kind: "other", algorithm: name };
    return { kind: "rsa", modulus: readInteger(modulus) };
  }
  return { kind: "other", algorithm: name };
}

/** Extensions by identifier. @throws TEE_EVIDENCE_MALFORMED when one stands twice */
export function readExtensions(list: DerNode | undefined): ReadonlyMap<Hex, Extension> {
  const out = new Map<Hex, Extension>();
  for (const node of derFields(list)) {
    const [id, ...rest] = derFields(node);
    const key = oidOf(id);
    if (out.has(key)) bad("an extension stands twice");
    if (rest.length !== 1 && rest.length !== 2) bad("an extension with other parts");
    out.set(key, { critical: rest.length === 2 && readBoolean(rest[0]), value: readOctets(rest.at(-1)) });
  }
  return out;
}

function readBasicConstraints(extension: Extension | undefined): Pick<Certificate, "isCa" | "pathLength"> {
  if (!extension) return { isCa: false, pathLength: null };
  const parts = [...derFields(readDer(extension.value))];
  const isCa = parts[0]?.tag === tags.boolean && readBoolean(parts.shift());
  const pathLength = parts.length > 0 ? readNumber(parts.shift()) : null;
  return parts.length > 0 ? bad("basic constraints with other parts") : { isCa, pathLength };
}

function readKeyUsage(extension: Extension | undefined): number | null {
  if (!extension) return null;
  const { tag, body } = readDer(extension.value);
  const [unused, first, second = 0] = body;
  if (tag !== tags.bitString || unused === undefined || unused > 7 || first === undefined || body.length > 3)
    return bad("key usage in another form");
  return first | (second << 8);
}

const textTags: readonly number[] = [tags.utf8, tags.printable, tags.ia5];

/** The first common name, for people and for the marker of simulated roots. Nothing is accepted for a name. */
function readCommonName(name: DerNode): string | null {
  for (const set of derFields(name))
    for (const attribute of derFields(set, tags.set)) {
      const [id, value] = derFields(attribute);
      if (oidOf(id) === commonNameId && value && textTags.includes(value.tag)) return fromUtf8(value.body);
    }
  return null;
}

/**
 * Reads one certificate and judges nothing about it.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const [tbs, algorithm, bits, ...behind] = derFields(readDer(der));
  if (!tbs || behind.length > 0) return bad("other parts than three");
  const [version, serial, inner, issuer, validity, subject, spki, wrapped, ...rest] = derFields(tbs);
  if (version?.tag !== 0xa0 || readNumber(readDer(version.body)) !== 2) return bad("not of version 3");
  if (!issuer || !subject || !spki || !inner || !algorithm) return bad("parts are missing");
  // RFC 5280 §4.1.1.2: the unsigned copy of the algorithm must say what the signed one says.
  if (!equalBytes(inner.raw, algorithm.raw)) return bad("two names of its algorithm");
  const [notBefore, notAfter, ...never] = derFields(validity);
  if (never.length > 0 || rest.length > 0 || (wrapped && wrapped.tag !== 0xa3)) return bad("unknown parts");
  const extensions = wrapped ? readExtensions(readDer(wrapped.body)) : new Map<Hex, Extension>();
  return {
    der,
    tbs: tbs.raw,
    signatureAlgorithm: readSignatureAlgorithm(algorithm),
    signature: readBitString(bits),
    issuer: issuer.raw,
    subject: subject.raw,
    commonName: readCommonName(subject),
    serial: toHex(readInteger(serial)),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    spki: spki.raw,
    publicKey: readPublicKey(spki),
    extensions,
    ...readBasicConstraints(extensions.get(basicConstraintsId)),
    keyUsage: readKeyUsage(extensions.get(keyUsageId)),
  };
}

/** Bytes of each PEM block (RFC 7468), in order; between and around them white space alone. @throws TEE_EVIDENCE_MALFORMED */
export function readPem(text: string, label = "CERTIFICATE"): readonly Uint8Array[] {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const out: Uint8Array[] = [];
  for (let rest = text.trim(); rest !== ""; ) {
    const stop = rest.indexOf(end);
    if (!rest.startsWith(begin) || stop < 0) return bad(`the text is not PEM blocks of ${label} alone`);
    try {
      out.push(fromBase64(rest.slice(begin.length, stop).replace(/\s+/g, "")));
    } catch {
      return bad("a PEM block is not base64");
    }
    rest = rest.slice(stop + end.length).trimStart();
  }
  return out.length > 0 ? out : bad("no PEM block is there");
}

/**
 * r ‖ s of an ECDSA-Sig-Value (RFC 5480 appendix A), each as long as the curve's order.
 *
 * @throws TEE_EVIDENCE_MALFORMED
 */
export function ecdsaFromDer(signature: Uint8Array, curve: "P-256" | "P-384"): Uint8Array {
  const size = curve === "P-256" ? 32 : 48;
  const numbers = derFields(readDer(signature)).map((node) => readInteger(node));
  if (numbers.length !== 2 || numbers.some((n) => n.length > size)) return bad("a signature that is not two numbers");
  return concat(...numbers.flatMap((n) => [new Uint8Array(size - n.length), n]));
}

/** Whether a key made a certificate's (or revocation list's) signature; ECDSA hashes as the curve asks. */
export function isSignedByCertificate(child: Signed, key: PublicKey, suite: Suite): boolean {
  const { tbs: message, signature } = child;
  switch (child.signatureAlgorithm) {
    case "ecdsa-sha256":
    case "ecdsa-sha384": {
      const curve = child.signatureAlgorithm === "ecdsa-sha256" ? "P-256" : "P-384";
      if (key.kind !== "ec" || key.curve !== curve) return false;
      return suite.verifyEcdsa({ curve, signature: ecdsaFromDer(signature, curve), message, publicKey: key.point });
    }
    case "rsa-pss-sha384":
    case "rsa-pkcs1-sha256":
    case "rsa-pkcs1-sha384": {
      if (key.kind !== "rsa") return false;
      const scheme = child.signatureAlgorithm === "rsa-pss-sha384" ? "pss" : "pkcs1";
      const hash = child.signatureAlgorithm === "rsa-pkcs1-sha256" ? "SHA-256" : "SHA-384";
      return suite.verifyRsa({ scheme, hash, signature, message, modulus: key.modulus });
    }
    case "other":
      return false;
  }
}

/** How a chain of a format looks. */
export type ChainRules = {
  readonly suite: Suite;
  /** Accepted signature algorithms. */
  readonly algorithms: readonly string[];
  /** Whether the last certificate is one that signs certificates: false unless it is said. */
  readonly leafIsCa?: boolean;
  /** Identifiers (hex) of critical extensions that the format itself reads, besides key usage and basic constraints. */
  readonly critical?: readonly Hex[];
};

/**
 * Checks that each certificate is signed by the one above, which may sign certificates. Root first, leaf last; the root
 * must be signed by itself, and that it is the right one is for the caller to know.
 *
 * @throws TEE_CHAIN_BROKEN, TEE_CERT_NOT_CA, TEE_CERT_KEY
 */
export function checkChain(chain: readonly Certificate[], rules: ChainRules): string {
  const { suite, algorithms, leafIsCa = false, critical = [] } = rules;
  if (chain.length === 0) fault("TEE_CHAIN_BROKEN", "There is no certificate.");
  chain.forEach((certificate, i) => {
    const where = `certificate ${i + 1} of ${chain.length}, root first`;
    const issuer = chain[Math.max(0, i - 1)] as Certificate;
    const isLeaf = i === chain.length - 1;
    // A constraint that we do not understand may forbid what we are about to accept (RFC 5280 §4.2).
    for (const [id, extension] of certificate.extensions)
      if (extension.critical && id !== keyUsageId && id !== basicConstraintsId && !critical.includes(id))
        fault("TEE_CHAIN_BROKEN", `It has a critical extension that is not known (${where}).`);
    if (!algorithms.includes(certificate.signatureAlgorithm))
      fault("TEE_CERT_KEY", `It is signed with another algorithm than its format's: ${where}.`);
    if (isLeaf && certificate.isCa !== leafIsCa)
      fault("TEE_CERT_NOT_CA", leafIsCa ? `It is no CA: ${where}.` : `A CA stands where the leaf belongs: ${where}.`);
    if (!isLeaf || leafIsCa) checkMaySign(certificate, chain.length - 2 - i, where);
    if (!equalBytes(certificate.issuer, issuer.subject))
      fault("TEE_CHAIN_BROKEN", `It names another issuer than the one above it: ${where}.`);
    if (!isSignedByCertificate(certificate, issuer.publicKey, suite))
      fault("TEE_CHAIN_BROKEN", `It is not signed by the one above it: ${where}.`);
  });
  return `${chain.length} certificates, each signed by the one above.`;
}

/** @param below Certificates between this one and the leaf (RFC 5280 §4.2.1.9). */
function checkMaySign(certificate: Certificate, below: number, where: string): void {
  const { isCa, pathLength, keyUsage } = certificate;
  if (!isCa) fault("TEE_CERT_NOT_CA", `It is no CA: ${where}.`);
  if (keyUsage === null || !(keyUsage & keyUses.certSign))
    fault("TEE_CERT_NOT_CA", `Its key is not for signing certificates: ${where}.`);
  if (pathLength !== null && below > pathLength)
    fault("TEE_CERT_NOT_CA", `It allows no chain this long below it: ${where}.`);
}

/** Checks that every certificate was valid at `at` (milliseconds). @throws TEE_CERT_NOT_YET_VALID, TEE_CERT_EXPIRED */
export function checkValidity(chain: readonly Certificate[], at: number): string {
  const day = (ms: number) => new Date(ms).toISOString();
  let until = Number.POSITIVE_INFINITY;
  for (const { notBefore, notAfter, commonName } of chain) {
    // Put so that a time that is no number fails.
    if (!(at >= notBefore))
      fault("TEE_CERT_NOT_YET_VALID", `${commonName ?? "A certificate"} is valid from ${day(notBefore)}.`);
    if (!(at <= notAfter)) fault("TEE_CERT_EXPIRED", `${commonName ?? "A certificate"} expired on ${day(notAfter)}.`);
    until = Math.min(until, notAfter);
  }
  if (chain.length === 0) fault("TEE_CHAIN_BROKEN", "There is no certificate.");
  return `All of them until ${day(until)}.`;
}
