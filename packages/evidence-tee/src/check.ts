import {
  attestationEvidenceFormat,
  type Check,
  type Claim,
  type Comparison,
  type ErrorCode,
  type EvidenceContext,
  type EvidenceReport,
  type Finding,
  type Hex,
  isSignedBy,
  keyFor,
} from "@countersign/core";
import { type AcceptedAttestation, checkAttestation } from "./check-attestation.ts";
import { answerOnce } from "./remember.ts";

/** Attestations of one receipt that are judged: as many as a gateway takes from a run. */
const mostItems = 8;

/** Claims that hardware can ground. */
const grounded = ["request", "prompt", "model", "execution", "output", "origin", "confidential"] as const;

/**
 * Checks the attestations attached to a receipt and says what they carry (spec/claims.md §3.3).
 *
 * The document attests keys, not answers: it carries what the statement says only if the key that signed the statement
 * was born in measured code that holds the model. It is judged for the time at which the statement was logged.
 */
export function checkTee(context: EvidenceContext): EvidenceReport {
  const items = context.items.filter(
    ({ evidence }) =>
      evidence.format === attestationEvidenceFormat &&
      evidence.says === "supports" &&
      evidence.issuer === context.statement.issuer,
  );
  if (items.length === 0) return { findings: [], checks: [] };
  // An item that fails takes nothing away from one that holds.
  let best: EvidenceReport | undefined;
  // Whoever holds the issuer's key can sign any number of them, each with a signature that is checked in vain.
  const once = { ...context, suite: answerOnce(context.suite) };
  for (const { blob } of items.slice(0, mostItems)) {
    const report = checkOne(once, blob);
    if (report.findings.some((f) => f.status === "proven")) return report;
    best ??= report;
  }
  return best as EvidenceReport;
}

function checkOne(context: EvidenceContext, blob: Uint8Array | null): EvidenceReport {
  const { trust, suite, allowDevelopment, inLog } = context;
  if (blob === null) return refuse([], "TEE_EVIDENCE_MISSING", "The attestation's bytes are not attached.", context);
  const judged = { attestation: blob, registrations: context.keys, trust, nonce: null, suite, allowDevelopment, inLog };
  const at = context.loggedAt ?? context.at;
  const { checks, outcome } = checkAttestation({ ...judged, at });
  const all: Check[] = [...checks];
  if (context.loggedAt !== null) all.push(nowCheck(checkAttestation({ ...judged, at: context.at }), at));
  if (outcome.status === "refused") return refuse(all, outcome.code, outcome.reason, context);
  const fault = bindingFault(context, outcome);
  all.push({
    id: "tee.key",
    title: "The key that signed the statement is the attested one",
    status: fault ? "failed" : "passed",
    detail: fault?.reason ?? `Keyset ${outcome.keysetDigest.slice(0, 16)}….`,
    ...(fault && { code: fault.code }),
  });
  if (fault) return refuse(all, fault.code, fault.reason, context);
  return { checks: all, findings: findingsOf(context, outcome) };
}

/** What the same document would be worth today: shown, never deciding. */
function nowCheck({ outcome }: ReturnType<typeof checkAttestation>, at: number): Check {
  const then = new Date(at).toISOString();
  return {
    id: "tee.now",
    title: "The same document would be accepted for a receipt made now",
    // It is no condition of this receipt: what was valid at the time stays checkable after keys are retired.
    status: outcome.status === "accepted" ? "passed" : "not-run",
    detail:
      outcome.status === "accepted"
        ? `Also now; the receipt is judged for ${then}.`
        : `Not now (${outcome.code}: ${outcome.reason}); the receipt is judged for ${then}.`,
  };
}

type Fault = { readonly code: ErrorCode; readonly reason: string };

function bindingFault(
  { statement, envelope, suite }: EvidenceContext,
  { keyset }: AcceptedAttestation,
): Fault | undefined {
  if (keyFor(keyset, "receipt") !== statement.issuer)
    return {
      code: "TEE_KEY_NOT_BOUND",
      reason: "The statement is signed by a key that is not in the attested keyset.",
    };
  if (!isSignedBy(envelope, statement.issuer, suite))
    return { code: "TEE_KEY_NOT_BOUND", reason: "The statement is not signed by the attested key." };
  return undefined;
}

const finding = (
  context: EvidenceContext,
  claim: Claim,
  rest: Omit<Finding, "claim" | "ground" | "development">,
): Finding => ({
  claim,
  ground: "hardware",
  development: context.trust.development || context.statement.labels.includes("development"),
  ...rest,
});

function refuse(checks: readonly Check[], code: ErrorCode, reason: string, context: EvidenceContext): EvidenceReport {
  const claims = grounded.filter((c) => c !== "confidential" || context.statement.channel !== undefined);
  return {
    checks,
    findings: claims.map((claim) => finding(context, claim, { status: "unproven", reason, code, facts: {} })),
  };
}

function findingsOf(context: EvidenceContext, accepted: AcceptedAttestation): Finding[] {
  const { statement, content } = context;
  const facts = {
    ...accepted.facts,
    scope: statement.scope === "origin" ? "origin" : (accepted.facts.scope as string),
  };
  const unproven = (claim: Claim, reason: string, code?: ErrorCode) =>
    finding(context, claim, { status: "unproven", reason, facts: {}, ...(code && { code }) });
  // What a simulation shows is a stand-in under every trust, also one that does not call itself for development.
  const simulated = accepted.assurance === "simulated";
  const proven = (claim: Claim, reason: string, more: Readonly<Record<string, string>> = {}): Finding => {
    const found = finding(context, claim, { status: "proven", reason, facts: { ...facts, ...more } });
    return { ...found, development: found.development || simulated };
  };
  const compared = (claim: Claim, { status, reason, code }: Comparison, said: string) =>
    // Content that differs refutes by the issuer's own signature; here it is only not shown.
    status === "same" ? proven(claim, said) : unproven(claim, reason, code);
  const proxy = facts.scope !== "inference";
  const measured = accepted.keyset.models.includes(statement.model.digest as Hex);
  const why: Fault | undefined = proxy
    ? { code: "TEE_SCOPE_PROXY_ONLY", reason: "The enclave relayed another host's answer; it holds no model." }
    : measured
      ? undefined
      : { code: "TEE_MODEL_NOT_MEASURED", reason: "The model that answered is not among those that were measured." };
  const held = (claim: Claim, found: Finding) => (why ? unproven(claim, why.reason, why.code) : found);
  const who = accepted.assurance === "simulated" ? "A simulated enclave" : "Measured code in attested hardware";
  return [
    compared("request", content.request, `${who} received this request.`),
    held("prompt", compared("prompt", content.prompt, `${who} gave this to the model and nothing else.`)),
    held(
      "model",
      context.opened.fields.has("model")
        ? proven("model", `${who} hashed ${statement.model.id} before its keys were made.`, {
            digest: statement.model.digest,
          })
        : unproven("model", "The field model is closed: what was asked for and what answered is not shown."),
    ),
    held("execution", proven("execution", `${who} ran the model.`)),
    compared("output", content.output, `${who} gave this answer.`),
    proven("origin", `${who} signed what it got.`),
    ...channelFinding(context, accepted, proxy, proven, unproven),
  ];
}

/** Whether request and answer travelled sealed, as far as the enclave says it; the gateway's side is judged by `verify`. */
function channelFinding(
  { statement, content }: EvidenceContext,
  { keyset, keysetDigest }: AcceptedAttestation,
  proxy: boolean,
  proven: (claim: Claim, reason: string) => Finding,
  unproven: (claim: Claim, reason: string, code?: ErrorCode) => Finding,
): Finding[] {
  const { channel } = statement;
  if (!channel) return [];
  if (channel.keyset !== keysetDigest || channel.key !== keyFor(keyset, "channel"))
    return [
      unproven(
        "confidential",
        "The request was opened by a key that is not in the attested keyset.",
        "TEE_CHANNEL_NOT_BOUND",
      ),
    ];
  if (proxy)
    return [
      unproven(
        "confidential",
        "The enclave handed the request on to another host, which read it.",
        "TEE_SCOPE_PROXY_ONLY",
      ),
    ];
  if (content.request.status !== "same")
    return [unproven("confidential", content.request.reason, content.request.code)];
  return [proven("confidential", "Request and answer travelled sealed between the client and the attested key.")];
}
