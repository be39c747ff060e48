import { clearFields, type SealedRequest } from "@countersign/channel";
import {
  CountersignError,
  describePolicy,
  type ErrorCode,
  fromBase64,
  type Hex,
  isAll,
  isAny,
  keysetDigest,
  type Policy,
  printPolicy,
  type Receipt,
  readAttestation,
  type Statement,
  sha256Hex,
  tighten,
  type Verdict,
} from "@countersign/core";
import { judge } from "@countersign/verify";
import { type CheckedRun, checkStatement } from "../check-run.ts";
import { type Checker, judgeClosed, policyOf } from "../judge.ts";
import type { Order } from "../order.ts";
import type { Accepted } from "../payment.ts";
import type { Done } from "../receipt.ts";
import { plaintext, type SealedAnswer } from "./relay.ts";

/**
 * Compares what the node signed about a sealed run with what was offered, sent and relayed.
 *
 * @throws what `checkStatement` throws, CHANNEL_PLAINTEXT, TEE_CHANNEL_NOT_BOUND, OUTPUT_MISMATCH
 */
export function checkSealed(
  done: Done,
  answer: SealedAnswer,
  order: Order & { readonly sealed: SealedRequest },
  { offered, served }: Accepted,
): CheckedRun {
  const run = checkStatement(done, order, offered, served);
  const { channel } = run.statement;
  const shown = done.openings.find(({ path }) => !clearFields.has(path));
  if (shown) throw plaintext(`It opened the field ${shown.path.slice(0, 48)}.`);
  if (!channel) throw plaintext("Its statement names no channel.");
  const refuse = (code: ErrorCode, message: string): never => {
    throw new CountersignError(code, { message, why: "The node's statement is not about what was sent and relayed." });
  };
  if (channel.keyset !== order.sealed.keyset || channel.key !== order.sealed.key)
    refuse("TEE_CHANNEL_NOT_BOUND", "The node opened the request with another key than it was sealed to.");
  // An attestation about other keys, renewed in between, would leave the client with a receipt that proves him nothing.
  if (done.evidence && !done.evidence.some(({ blob }) => isAbout(blob, channel.keyset)))
    refuse("TEE_CHANNEL_NOT_BOUND", "The node's attestation is not about the keyset that the request was sealed to.");
  if (channel.request !== sha256Hex(order.body)) refuse("REQUEST_MISMATCH", "The node opened another sealed body.");
  // Nonce and all chunks: an answer whose last part, with openings and secret, may be any bytes is paid for and opens nothing.
  if (channel.answer !== answer.digest) refuse("OUTPUT_MISMATCH", "The node sealed another answer than it sent.");
  return run;
}

function isAbout(blob: string | null, keyset: Hex): boolean {
  if (blob === null) return false;
  try {
    return keysetDigest(readAttestation(fromBase64(blob)).keyset) === keyset;
  } catch (error) {
    if (CountersignError.is(error) || error instanceof RangeError) return false;
    throw error;
  }
}

/** Claims that nobody can check without the content. */
const contentClaims: ReadonlySet<string> = new Set(["request", "prompt", "output", "sampling", "confidential"]);

/**
 * A policy without what only the holder of the content can check; undefined where that alone may meet it.
 *
 * `confidential` is shown to whoever has the request. Of it remains what the attestation shows of the key that signed
 * (`origin` on hardware); that the channel was that keyset's is compared before, in `checkSealed`.
 */
export function withoutContent(policy: Policy): Policy | undefined {
  if (isAll(policy)) {
    const parts = policy.all.flatMap((p) => withoutContent(p) ?? []);
    return parts.length === 0 ? undefined : { all: parts };
  }
  if (isAny(policy)) {
    const parts = policy.any.map(withoutContent);
    return parts.includes(undefined) ? undefined : { any: parts as Policy[] };
  }
  if (policy.claim === "confidential" && policy.ground === "hardware") return { ...policy, claim: "origin" };
  return contentClaims.has(policy.claim) ? undefined : policy;
}

const signed: Policy = { claim: "issuer", ground: "signature", facts: {} };

/** What the gateway decides for a sealed run: who signed it at least, and all that needs no content. */
export function sealedPolicy(statement: Statement): Policy {
  const rest = withoutContent(policyOf(statement));
  return rest === undefined ? signed : tighten(signed, rest);
}

/** The own check of a run whose content stays closed: it says so, and stands for no claim about content. */
export function judgeSealed(receipt: Receipt, statement: Statement, clientNonce: string, checker: Checker): Verdict {
  const verdict = judgeClosed(receipt, clientNonce, checker);
  const policy = sealedPolicy(statement);
  const { state, requirements, until } = judge(policy, verdict.findings, checker.trust.development);
  // A receipt that monitors list as withdrawn is unmet whatever its findings are; the verdict tells it by this check alone.
  const withdrawn = verdict.checks.some(
    ({ id, code }) => id === "snapshot.searched" && (code === "CLAIM_REFUTED" || code === "NODE_NOT_ACTIVE"),
  );
  const outcome = verdict.outcome === "refuted" ? "refuted" : withdrawn && state === "met" ? "unmet" : state;
  const missing = requirements.find((r) => r.state !== "met");
  const reason = missing ? `${missing.requirement.claim}:${missing.requirement.ground}: ${missing.reason}` : "";
  return {
    ...verdict,
    outcome,
    summary:
      outcome === "met"
        ? `Met as far as it shows without the content, which the client alone can open: ${describePolicy(policy)}.`
        : outcome === state
          ? `${outcome === "pending" ? "Pending" : "Not met"}: ${reason}`
          : verdict.summary,
    policy: { ...verdict.policy, judged: printPolicy(policy) },
    requirements,
    until: outcome === "pending" ? until : null,
    final: outcome === "refuted",
  };
}
