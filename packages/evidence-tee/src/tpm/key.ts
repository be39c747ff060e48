import { equalBytes, fromHex, fromUtf8 } from "@countersign/core";
import { onlyCollateral } from "../acceptance.ts";
import { type Collateral, fault } from "../attestation.ts";
import { derFields, oid, oidOf, readDer } from "../der.ts";
import { type Certificate, parseCertificate, readPem } from "../x509.ts";

/** The key that signed a quote, and its certificates, root first, where there are any. */
export type AttestationKey = { readonly point: Uint8Array; readonly chain: readonly Certificate[] | null };

export const extendedKeyUsageId = oid("2.5.29.37");
// tcg-kp-AIKCertificate: a certificate for a key that signs what the TPM itself made (TCG Credential Profiles).
const attestationKeyUse = oid("2.23.133.8.3");
// SubjectPublicKeyInfo of P-256 up to the uncompressed point (RFC 5480).
const spkiHead = fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

/**
 * Reads the `tpm-key` collateral: PEM of one public key, or of the key's certificate and those above it, root last.
 *
 * @throws TEE_EVIDENCE_MISSING, TEE_EVIDENCE_MALFORMED, TEE_CERT_KEY
 */
export function readAttestationKey(collateral: readonly Collateral[]): AttestationKey {
  const data = onlyCollateral(collateral, "tpm-key");
  if (!data) return fault("TEE_EVIDENCE_MISSING", "The key that signed the quote is not attached.");
  const text = fromUtf8(data);
  if (text.trimStart().startsWith("-----BEGIN PUBLIC KEY-----")) return { point: bareKey(text), chain: null };
  const chain = readPem(text).map(parseCertificate).reverse();
  if (chain.length < 2)
    fault("TEE_EVIDENCE_MALFORMED", "A certificate alone says nothing: those above it belong with it.");
  const { publicKey } = chain.at(-1) as Certificate;
  if (publicKey.kind !== "ec" || publicKey.curve !== "P-256") return fault("TEE_CERT_KEY", "The key is no P-256 key.");
  return { point: publicKey.point, chain };
}

function bareKey(text: string): Uint8Array {
  const [spki, ...more] = readPem(text, "PUBLIC KEY");
  if (!spki || more.length > 0) return fault("TEE_EVIDENCE_MALFORMED", "There is more than one key.");
  const [head, point] = [spki.subarray(0, spkiHead.length), spki.subarray(spkiHead.length)];
  if (!equalBytes(head, spkiHead) || point.length !== 65 || point[0] !== 4)
    fault("TEE_CERT_KEY", "The key is no P-256 key in the uncompressed form.");
  return point;
}

/** Refuses a certificate that was not issued for a TPM's attestation key: one vendor's root stands above many kinds. */
export function requireAttestationKeyUse(leaf: Certificate): void {
  const extension = leaf.extensions.get(extendedKeyUsageId);
  const uses = extension ? derFields(readDer(extension.value)).map(oidOf) : [];
  if (!uses.includes(attestationKeyUse))
    fault("TEE_CERT_KEY", "Its certificate is not one of a TPM's attestation key.");
}
