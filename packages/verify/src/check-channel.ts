import type { Finding } from "@countersign/core";
import type { GatewaySide } from "./check-gateway.ts";

/**
 * Joins what an enclave says of a sealed request with what the gateway says that it saw (spec/channel.md §6).
 *
 * `confidential` needs both: the attested key opened the request, and no hop on the way declares plain text. A gateway that
 * countersigned a sealed run as one whose text it saw contradicts the enclave, and the claim is refuted.
 * Only the gateway whose offer was accepted stood on the way: another's word, put in its place, shows nothing either way.
 */
export function withGateway(finding: Finding, { delivery, accepted }: GatewaySide): Finding {
  if (finding.claim !== "confidential" || finding.status !== "proven") return finding;
  if (delivery && !accepted)
    return {
      ...finding,
      status: "unproven",
      facts: {},
      reason: "The accepted offer is not attached: nothing shows that this gateway stood on the way.",
    };
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
