import { type Hex, toHex } from "@countersign/core";
import { fault } from "../attestation.ts";
import { type DerNode, derChildren, derFields, oid, oidOf, readDer, readNumber, readOctets } from "../der.ts";
import type { Certificate } from "../x509.ts";

/** Hopper: `SEQUENCE { version, deviceID, fwid }`, RIoT's CompositeDeviceID. */
const composite = oid("2.23.133.5.4.1");
/** Blackwell: DiceTcbInfo, whose `fwids` stand under [6]. */
const tcbInfo = oid("2.23.133.5.4.1.1");
const sha384 = oid("2.16.840.1.101.3.4.2.2");

/**
 * SHA-384 digests of the firmware that a leaf's key was derived for; null where the certificate says nothing of it.
 *
 * Source: TCG DICE Attestation Architecture 1.1 §6.1.1; Microsoft RIoT Core. @throws TEE_EVIDENCE_MALFORMED
 */
export function firmwareOf({ extensions }: Certificate): readonly Hex[] | null {
  const [older, newer] = [extensions.get(composite), extensions.get(tcbInfo)];
  if (older && newer) fault("TEE_EVIDENCE_MALFORMED", "A certificate names its firmware twice.");
  if (older) {
    const [version, device, firmware, ...more] = derFields(readDer(older.value));
    if (readNumber(version) !== 1 || !device || more.length > 0)
      fault("TEE_EVIDENCE_MALFORMED", "A certificate names its firmware in another form.");
    return digestsOf([firmware]);
  }
  if (!newer) return null;
  const lists = derFields(readDer(newer.value)).filter((field) => field.tag === 0xa6);
  return digestsOf(lists.flatMap((list) => derChildren(list.body)));
}

/** `SEQUENCE { hashAlg, digest }` each. */
function digestsOf(entries: readonly (DerNode | undefined)[]): readonly Hex[] {
  return entries.flatMap((entry) => {
    const [algorithm, digest, ...more] = derFields(entry);
    const bytes = readOctets(digest);
    if (oidOf(algorithm) !== sha384 || bytes.length !== 48 || more.length > 0)
      fault("TEE_EVIDENCE_MALFORMED", "A firmware's digest is not one of SHA-384.");
    // Zeros stand where a layer has none: they would be equal to a report's zeros.
    return bytes.every((b) => b === 0) ? [] : [toHex(bytes)];
  });
}
