import type { AttestationFormat } from "@countersign/core";
import { type CheckId, platformWords, type TeeCheck } from "@countersign/evidence-tee";

const keySet = "--collateral jwks=FILE and --root SHA256=vendor-verifier: the issuer's key set, and its digest";
const dcap = "--collateral dcap=FILE: Intel's collateral";
const endorsement = "--vcek FILE and --chain FILE: the chip's certificate and AMD's above it";
const statuses = (format: AttestationFormat) => platformWords[format].statuses.join(", ");

/** By what option each format gets what a check wants. */
const options: Partial<Record<AttestationFormat, Partial<Record<CheckId, string>>>> = {
  "sev-snp": {
    form: endorsement,
    root: endorsement,
    revocation: "--crl FILE: AMD's list",
    tcb: `--floor NAME=N (${platformWords["sev-snp"].floors.join(", ")}), or --allow-status ${statuses("sev-snp")}`,
  },
  tdx: { revocation: dcap, tcb: dcap, eventlog: "--collateral event-log=FILE" },
  sgx: { revocation: dcap, tcb: dcap },
  tpm2: {
    form: "--collateral tpm-key=FILE: the key that signed, with its certificates",
    root: "--collateral tpm-key=FILE: PEM of the key's certificate and those above it, and --root SHA256=hardware",
    chain: "--collateral tpm-key=FILE: PEM of the key's certificate and those above it",
    validity: "--collateral tpm-key=FILE: PEM of the key's certificate and those above it",
    measurement: "--collateral event-log=FILE: a quote holds only a digest of its registers",
    eventlog: "--collateral event-log=FILE",
  },
  nvidia: { form: "--collateral nvidia-chain=FILE" },
  "nvidia-eat": { root: keySet, signature: keySet, chain: keySet },
  "confidential-space": { root: keySet, signature: keySet },
};

const asked: Partial<Record<CheckId, string>> = {
  freshness: "--nonce HEX: the nonce that you drew",
  measurement: "--measurement ID: the code that you accept",
  binding: "--binding HEX: the 32 bytes that it must attest",
};

/** Documents that hold no nonce of their own: theirs is in the statement that they bind. */
const withoutNonce: readonly AttestationFormat[] = ["sev-snp", "tdx", "sgx"];

/** The option that supplies what a check missed, for the checks that did not run or found nothing attached. */
export function optionFor(format: AttestationFormat, check: TeeCheck): string | undefined {
  const wanting =
    check.result === "not-run" ||
    (check.result === "failed" && ["TEE_EVIDENCE_MISSING", "TEE_REVOCATION_UNKNOWN"].includes(check.code));
  // What stands behind a failure did not run because of that alone.
  if (!wanting || / failed before it\.$/.test(check.why)) return undefined;
  if (check.id === "freshness" && withoutNonce.includes(format)) return undefined;
  return options[format]?.[check.id] ?? asked[check.id];
}
