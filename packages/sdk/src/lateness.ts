import { parsePolicy, type Verdict } from "@countersign/core";
import { judge } from "@countersign/verify";
import type { Settings } from "./settings.ts";

/**
 * How a verdict stands if the log's proof is allowed to come later: `pending` where only that is missing.
 *
 * The statement names its log and the entry was promised, but a proof takes a checkpoint and its witnesses.
 */
export function standingOf(settings: Settings, verdict: Verdict): Verdict["outcome"] {
  if (verdict.outcome !== "unmet" || verdict.requirements.length === 0) return verdict.outcome;
  // A refutation or revocation that a monitor found is not a matter of waiting.
  const withdrawn = ["CLAIM_REFUTED", "NODE_NOT_ACTIVE"];
  if (verdict.checks.some((c) => c.id === "snapshot.searched" && withdrawn.includes(c.code ?? ""))) return "unmet";
  const until = Math.floor((settings.now() + settings.inclusionWithin) / 1000);
  const late = verdict.findings.map((f) =>
    f.claim === "logged" && (f.code === "INCLUSION_MISSING" || f.code === "CHECKPOINT_NOT_WITNESSED")
      ? { ...f, pendingUntil: until }
      : f,
  );
  const { state } = judge(parsePolicy(verdict.policy.judged), late, settings.allowDevelopment);
  return state === "pending" ? "pending" : "unmet";
}
