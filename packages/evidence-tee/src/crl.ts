import { equalBytes, type Hex, type Suite, toHex } from "@countersign/core";
import { fault } from "./attestation.ts";
import { derFields, readBitString, readDer, readInteger, readNumber, readTime, tags } from "./der.ts";
import {
  type Certificate,
  isSignedByCertificate,
  keyUses,
  readExtensions,
  readSignatureAlgorithm,
  type Signed,
} from "./x509.ts";

/** A certificate revocation list (RFC 5280 §5). */
export type RevocationList = Signed & {
  readonly issuer: Uint8Array;
  /** Milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | null;
  /** Serials, whole bytes without leading zeros. */
  readonly revoked: ReadonlySet<Hex>;
};

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Revocation list: ${why}`);

/**
 * Reads one revocation list and judges nothing about it.
 *
 * A critical extension, of the list or of an entry, is refused: those that exist say that the list is a part of another
 * one, or speaks of another issuer's certificates.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA
 */
export function parseCrl(der: Uint8Array): RevocationList {
  const [tbs, algorithm, bits, ...behind] = derFields(readDer(der));
  if (!tbs || !algorithm || behind.length > 0) return bad("other parts than three");
  const fields = [...derFields(tbs)];
  if (fields[0]?.tag === tags.integer && readNumber(fields.shift()) !== 1) return bad("not of version 2");
  const inner = fields.shift();
  if (!inner || !equalBytes(inner.raw, algorithm.raw)) return bad("two names of its algorithm");
  const issuer = fields.shift();
  if (issuer?.tag !== tags.sequence) return bad("no issuer");
  const thisUpdate = readTime(fields.shift());
  const hasNext = fields[0]?.tag === tags.utcTime || fields[0]?.tag === tags.generalizedTime;
  const nextUpdate = hasNext ? readTime(fields.shift()) : null;
  const revoked = new Set<Hex>();
  if (fields[0]?.tag === tags.sequence) {
    for (const entry of derFields(fields.shift())) {
      const [serial, time, extensions, ...rest] = derFields(entry);
      if (rest.length > 0) return bad("an entry with other parts");
      readTime(time);
      if (extensions) refuseCritical(readExtensions(extensions));
      revoked.add(toHex(readInteger(serial)));
    }
  }
  const wrapped = fields.shift();
  if (fields.length > 0 || (wrapped && wrapped.tag !== 0xa0)) return bad("unknown parts");
  if (wrapped) refuseCritical(readExtensions(readDer(wrapped.body)));
  return {
    tbs: tbs.raw,
    signatureAlgorithm: readSignatureAlgorithm(algorithm),
    signature: readBitString(bits),
    issuer: issuer.raw,
    thisUpdate,
    nextUpdate,
    revoked,
  };
}

function refuseCritical(extensions: ReturnType<typeof readExtensions>): void {
  for (const { critical } of extensions.values()) if (critical) bad("a critical extension that is not known");
}

/**
 * Checks certificates against a list: signed by `issuer` under its name, current at `at`, and none of them on it.
 *
 * @param certificates Certificates of this issuer alone: the list says nothing about any other, so another is refused.
 * @throws TEE_REVOCATION_UNKNOWN, TEE_CERT_REVOKED
 */
export function checkRevocation(
  list: RevocationList,
  issuer: Certificate,
  certificates: readonly Certificate[],
  at: number,
  suite: Suite,
): string {
  const unknown = (why: string) => fault("TEE_REVOCATION_UNKNOWN", why);
  if (!equalBytes(list.issuer, issuer.subject)) unknown("The revocation list is another issuer's.");
  if (issuer.keyUsage !== null && !(issuer.keyUsage & keyUses.crlSign))
    unknown("The issuer's key is not for signing revocation lists.");
  if (!isSignedByCertificate(list, issuer.publicKey, suite))
    unknown("The revocation list is not signed by its issuer.");
  if (list.nextUpdate === null) unknown("The revocation list names no time until which it is current.");
  else if (!(list.thisUpdate <= at && at <= list.nextUpdate)) {
    const [from, to] = [list.thisUpdate, list.nextUpdate].map((t) => new Date(t).toISOString());
    unknown(`The revocation list is current from ${from} to ${to}.`);
  }
  for (const certificate of certificates) {
    if (!equalBytes(certificate.issuer, list.issuer))
      unknown("The revocation list does not speak of this certificate.");
    if (list.revoked.has(certificate.serial))
      fault("TEE_CERT_REVOKED", `${certificate.commonName ?? "A certificate"} (${certificate.serial}) is revoked.`);
  }
  return `${list.revoked.size} are revoked, none of these.`;
}
