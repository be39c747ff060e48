import type { Delivery, Finding } from "@countersign/core";

/**
 * Joins what an enclave says of a sealed request with what the gateway says that it saw (spec/channel.md §6).
 *
 * `confidential` needs both: the attested key opened the request, and no hop on the way declares plain text. A gateway that
 * countersigned a sealed run as one whose text it saw contradicts the enclave, and the claim is refuted.
 */
export function withGateway(finding: Finding, delivery: Delivery | undefined): Finding {
  if (finding.claim !== "confidential" || finding.status !== "proven") return finding;
  if (delivery?.saw === "ciphertext") return finding;
  if (delivery)
    return {
      ...finding,
      status: "refuted",
      standing: "auditors",
      code: "CHANNEL_PLAINTEXT",
      facts: {},
      reason: "The gateway countersigned that it saw request and answer in clear.",
    };
  return {
    ...finding,
    status: "unproven",
    facts: {},
    reason: "No known gateway says what it saw on the way.",
  };
}
