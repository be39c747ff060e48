import {
  type Check,
  type Claim,
  type Comparison,
  type EvidenceContext,
  type EvidenceReport,
  type Finding,
  isSignedBy,
} from "@countersign/core";
import { standingOfKey } from "./keys.ts";

/**
 * Checks the operator's signature and says what his word carries (spec/claims.md §3.1).
 *
 * It proves who said it and that nothing changed since. It never proves `execution`: a node that lies about the model it
 * ran can sign the lie.
 */
export function checkSignature(context: EvidenceContext): EvidenceReport {
  const { statement, content, trust } = context;
  const signed = isSignedBy(context.envelope, statement.issuer, context.suite);
  // What was logged in time is judged by the log's time; without a log only the present can vouch for a key.
  const times = [statement.issuedAt, context.loggedAt ?? context.at];
  const standing = standingOfKey({
    key: statement.issuer,
    role: "node",
    times,
    keys: context.keys,
    trust,
    suite: context.suite,
  });
  const sameNetwork = statement.network === trust.network;
  const checks: Check[] = [
    {
      id: "statement.signature",
      title: "The node's key signed the statement",
      status: signed ? "passed" : "failed",
      detail: signed
        ? `Ed25519 by ${statement.issuer.slice(0, 16)}…`
        : "The signature does not check under the issuer's key.",
      ...(!signed && { code: "ENVELOPE_MALFORMED" as const }),
    },
    {
      id: "issuer.key",
      title: "Somebody in the trust stands behind the node's key",
      status: standing.status === "known" ? "passed" : "failed",
      detail: standing.status === "known" ? `${standing.operator}, known by ${standing.by}.` : standing.reason,
      ...(standing.status === "unknown" && { code: "TRUST_MISSING" as const }),
    },
    {
      id: "statement.network",
      title: "The statement is of the trusted network",
      status: sameNetwork ? "passed" : "failed",
      detail: `Issued on ${statement.network}; the trust is for ${trust.network}.`,
      ...(!sameNetwork && { code: "RECEIPT_WRONG_NETWORK" as const }),
    },
  ];
  // A statement from the future was not made at the time it says.
  const timely =
    statement.issuedAt <= context.at + 300_000 &&
    (context.loggedAt === null || statement.issuedAt <= context.loggedAt + 300_000);
  checks.push({
    id: "statement.time",
    title: "The statement was not made later than it was logged or is judged",
    status: timely ? "passed" : "failed",
    detail: `It says ${new Date(statement.issuedAt).toISOString()}.`,
    ...(!timely && { code: "TIME_NOT_ANCHORED" as const }),
  });
  const word = signed && sameNetwork && timely && standing.status === "known";
  // With somebody to believe, the other network is the reason; with nobody, that is.
  const believes = trust.registrars.length + trust.nodes.length > 0;
  const elsewhere = believes && !sameNetwork ? checks.find((c) => c.id === "statement.network") : undefined;
  const why = elsewhere ?? checks.find((c) => c.status === "failed");
  // Only a name that is a fact value as it stands becomes one: two operators must not share a spelling.
  const operator =
    standing.status === "known" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(standing.operator)
      ? { operator: standing.operator }
      : {};
  const facts = { scope: statement.scope, ...operator };
  const said = standing.status === "known" ? standing.operator : "";
  const inference = statement.scope === "inference";
  const finding = (claim: Claim, status: Finding["status"], reason: string, extra: Partial<Finding> = {}): Finding => ({
    claim,
    ground: "signature",
    status,
    reason,
    facts,
    development: trust.development || statement.labels.includes("development"),
    ...extra,
  });
  const unproven = (claim: Claim): Finding =>
    finding(
      claim,
      "unproven",
      why?.detail ?? "The operator's word does not stand.",
      why?.code ? { code: why.code } : {},
    );
  const compared = (claim: Claim, comparison: Comparison, said: string): Finding => {
    // The issuer's signature makes the commitment his; content that contradicts it refutes by mathematics, on any trust.
    if (comparison.status === "different" && signed) {
      return finding(claim, "refuted", comparison.reason, {
        standing: "mathematics",
        ...(comparison.code && { code: comparison.code }),
      });
    }
    if (!word) return unproven(claim);
    if (comparison.status === "same") return finding(claim, "proven", said);
    return finding(claim, "unproven", comparison.reason, comparison.code ? { code: comparison.code } : {});
  };
  return {
    checks,
    findings: [
      word ? finding("issuer", "proven", `${said} signed it.`) : unproven("issuer"),
      compared("request", content.request, "The committed request is the one supplied."),
      compared(
        "prompt",
        content.prompt,
        inference
          ? `${said} says that the model saw this request and nothing else.`
          : `${said} says that the upstream was sent this request and nothing else.`,
      ),
      compared("output", content.output, `${said} says that this is the answer.`),
      !word
        ? unproven("model")
        : inference && !context.opened.fields.has("model")
          ? finding(
              "model",
              "unproven",
              "The field model is closed: what was asked for and what answered is not shown.",
            )
          : inference
            ? finding("model", "proven", `${said} says that ${statement.model.id} ran.`, {
                facts: { ...facts, digest: statement.model.digest },
              })
            : finding(
                "model",
                "unproven",
                "The node relayed another host's answer; nothing shows which model gave it.",
              ),
      word
        ? finding(
            "origin",
            "proven",
            inference ? `${said} says that its own engine gave it.` : `${said} says that the upstream returned it.`,
          )
        : unproven("origin"),
      finding("execution", "unproven", "A signature shows who said it, never that the model ran."),
    ],
  };
}
