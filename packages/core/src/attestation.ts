import * as z from "zod";
import { equalBytes, type Hex, toHex, utf8 } from "./bytes.ts";
import { canonicalBytes } from "./canonical.ts";
import { envelopeShape } from "./envelope.ts";
import { CountersignError } from "./errors/error.ts";
import { taggedHash } from "./hash.ts";
import { parseJsonBytes } from "./json.ts";
import { keysetShape } from "./keyset.ts";
import { hex32, milliseconds } from "./shapes.ts";

/** Kinds of attestation documents that can be checked; one fixed set of algorithms each. */
export const attestationFormats = [
  "nitro",
  "sev-snp",
  "tdx",
  "sgx",
  "nvidia",
  "nvidia-eat",
  "tpm2",
  "confidential-space",
] as const;
export type AttestationFormat = (typeof attestationFormats)[number];

/** What a root stands for. It comes from which pinned root matched, never from a label in a document. */
export const assurances = ["hardware", "vendor-verifier", "simulated"] as const;
export type Assurance = (typeof assurances)[number];

/** Where the machine stands, as a registrar knows it: no document shows it (spec/tee.md §7). */
export const custodyClasses = ["hyperscaler", "named-datacentre", "self-hosted", "unknown"] as const;
export type Custody = (typeof custodyClasses)[number];

/** What a check needs besides the document, fetched beforehand and archived with it. */
export const collateralKinds = [
  /** DER of the VCEK or VLEK certificate. */
  "amd-endorsement",
  /** PEM of ASK (or ASVK) and ARK. */
  "amd-chain",
  /** DER of the ARK's revocation list. */
  "amd-crl",
  /** JSON: TCB info, QE identity, their chains, both revocation lists. */
  "dcap",
  /** JSON array: measured boot or runtime events. */
  "event-log",
  /** PEM of the device's certificates, leaf first. */
  "nvidia-chain",
  /** JSON Web Key Set of a vendor's verifier. */
  "jwks",
  /** PEM of the TPM's attestation key and, where there is one, the certificates above it. */
  "tpm-key",
] as const;
export type CollateralKind = (typeof collateralKinds)[number];

const base64 = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[A-Za-z0-9+/]*={0,2}$/, "expected base64");

/** An attested keyset with everything that is needed to check it later, offline (spec/tee.md §3). */
export const attestationShape = z.strictObject({
  suite: z.literal("countersign/attestation/v1"),
  keyset: keysetShape,
  /** The nonce inside the statement, or null for a document that nobody asked for. */
  nonce: hex32.nullable(),
  /** The CPU's document first; GPU evidence after it. */
  evidence: z
    .array(z.strictObject({ format: z.enum(attestationFormats), document: base64(262_144) }))
    .min(1)
    .max(17),
  collateral: z.array(z.strictObject({ kind: z.enum(collateralKinds), data: base64(1_048_576) })).max(64),
  /** Measurement records with their places in the log. */
  provenance: z
    .array(z.strictObject({ statement: envelopeShape, entry: z.string().max(1024), proof: z.string().max(65_536) }))
    .max(4),
  /** The maker's word for when. */
  madeAt: milliseconds,
});
export type Attestation = z.infer<typeof attestationShape>;

export const attestationMediaType = "application/vnd.countersign.attestation+json";
/** Format word of evidence items whose blob is an attestation. */
export const attestationEvidenceFormat = "countersign/attestation/v1";

/** The one encoding of an attestation: its digest names the document. */
export const attestationBytes = (attestation: Attestation): Uint8Array => canonicalBytes(attestation);

/** Reads an attestation. @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA when the bytes are not its one encoding */
export function readAttestation(bytes: Uint8Array): Attestation {
  let value: unknown;
  try {
    value = parseJsonBytes(bytes);
  } catch (cause) {
    throw new CountersignError("TEE_EVIDENCE_MALFORMED", { message: "The attestation is not JSON text.", cause });
  }
  const read = attestationShape.safeParse(value);
  if (!read.success) {
    throw new CountersignError("TEE_EVIDENCE_MALFORMED", {
      message: "This is not a countersign/attestation/v1 document.",
      why: z.prettifyError(read.error).split("\n").slice(0, 3).join(" "),
    });
  }
  if (!equalBytes(attestationBytes(read.data), bytes)) {
    throw new CountersignError("TEE_TRAILING_DATA", {
      message: "The attestation is not in its one encoding: bytes could be changed without changing what it says.",
    });
  }
  return read.data;
}

/** Name of a set of measured registers: they are compared as a whole, never one alone. */
export function measurementId(format: AttestationFormat, registers: Readonly<Record<string, string>>): Hex {
  return toHex(taggedHash("countersign/measurement/v1", utf8(format), canonicalBytes(registers)));
}
