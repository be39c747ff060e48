import { equalBytes } from "@countersign/core";
import { readNitroDocument } from "../nitro/document.ts";
import { type AttestArgs, type Attested, unavailable } from "./attester.ts";

/**
 * A Nitro document as its maker hands it on: read once, so that an enclave never shows one that carries something else
 * than it asked for.
 *
 * @param carried What must stand in it; nitriding makes its own user data around ours.
 * @throws TEE_UNAVAILABLE
 */
export function attestedNitro(
  platform: string,
  document: Uint8Array,
  carried: { readonly userData: (inside: Uint8Array) => boolean; readonly nonce: AttestArgs["nonce"] },
): Attested {
  let read: ReturnType<typeof readNitroDocument>;
  try {
    read = readNitroDocument(document);
  } catch (cause) {
    throw unavailable(platform, "The document cannot be read.", cause);
  }
  const { userData, nonce, certificates } = read;
  if (!userData || !carried.userData(userData)) throw unavailable(platform, "The document is about something else.");
  if (!equalBytes(nonce ?? new Uint8Array(), carried.nonce ?? new Uint8Array()))
    throw unavailable(platform, "The document holds another nonce than was asked for.");
  const notAfter = Math.min(...certificates.map((c) => c.notAfter));
  return { evidence: [{ format: "nitro", document }], collateral: [], notAfter };
}
