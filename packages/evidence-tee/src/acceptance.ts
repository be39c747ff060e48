import { type AttestationFormat, equalBytes, type Hex, toHex } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Collateral, type DocumentArgs, fault, notRun, type Root } from "./attestation.ts";
import type { Certificate } from "./x509.ts";

/** How the common name of a simulated enclave's root begins. It is for a more telling refusal alone: no name accepts. */
export const simulatedName = "SIMULATED-NOT-A-TEE";

/**
 * The pinned root that a chain's first certificate is.
 *
 * @param by What the format's roots are named by: SHA-256 of the certificate's DER, or of its SubjectPublicKeyInfo.
 * @throws TEE_ROOT_UNTRUSTED; TEE_SIMULATED_NOT_ALLOWED when the root says itself that it is a simulated enclave's
 */
export function acceptRoot(
  certificate: Certificate,
  format: AttestationFormat,
  roots: readonly Root[],
  by: "der" | "spki" = "der",
): Root {
  const digest = toHex(sha256(certificate[by]));
  const root = roots.find((r) => r.format === format && r.digest === digest);
  const name = certificate.commonName ?? "a root without a name";
  // A trust file that calls a simulation hardware is a mistake that must not pass in silence.
  if (root && (root.assurance === "simulated" || !name.startsWith(simulatedName))) return root;
  return name.startsWith(simulatedName)
    ? fault("TEE_SIMULATED_NOT_ALLOWED", `Its root says of itself that it is no hardware's: ${name}.`)
    : fault("TEE_ROOT_UNTRUSTED", `It ends at ${name} (${digest}), which is not pinned.`);
}

/** Whether the measured code is accepted; all registers are compared together, by the name of their set. */
export function acceptMeasurement(
  measurement: Hex | null,
  { measurements, revoked }: Pick<DocumentArgs, "measurements" | "revoked">,
): string {
  if (measurements === null) return notRun("Nobody asks which code it is.");
  if (measurements.length === 0) fault("TEE_MEASUREMENT_POLICY_EMPTY", "The list of accepted measurements is empty.");
  if (measurement === null) return notRun("The document shows no measured registers.");
  if (revoked.includes(measurement)) fault("TEE_MEASUREMENT_REVOKED", `${measurement} is no longer accepted.`);
  if (!measurements.includes(measurement))
    fault("TEE_MEASUREMENT_UNKNOWN", `${measurement} is not among the accepted.`);
  return `${measurement} is accepted.`;
}

/** Whether the document carries exactly the bytes that it must, with zeros behind them to the end of its field. */
export function acceptBinding(reportData: Uint8Array, binding: Uint8Array | null): string {
  if (binding === null) return notRun("Nobody asks what it attests.");
  const length = binding.length;
  const holds =
    length === 32 &&
    equalBytes(reportData.subarray(0, length), binding) &&
    reportData.subarray(length).every((b) => b === 0);
  return holds
    ? "It carries the digest of this statement."
    : fault("TEE_REPORT_DATA_MISMATCH", "It carries other bytes than the digest of this statement.");
}

/** The one piece of collateral of a kind, or undefined. @throws TEE_EVIDENCE_MALFORMED when there are two: which one counts? */
export function onlyCollateral(collateral: readonly Collateral[], kind: Collateral["kind"]): Uint8Array | undefined {
  const [found, ...more] = collateral.filter((c) => c.kind === kind);
  if (more.length > 0)
    fault("TEE_EVIDENCE_MALFORMED", `There are ${more.length + 1} pieces of collateral of the kind ${kind}.`);
  return found?.data;
}
