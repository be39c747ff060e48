import {
  type Finding,
  factsSuffice,
  isAll,
  isAny,
  type Policy,
  type Requirement,
  type Standing,
} from "@countersign/core";

/** How a policy stands, and how each of its demands does. */
export type Judgement = {
  readonly state: Standing["state"];
  readonly requirements: readonly Standing[];
  /** The latest second until which something may still come. */
  readonly until: number | null;
};

/** A policy applied to findings (spec/claims.md §5). What is unknown meets nothing. */
export function judge(policy: Policy, findings: readonly Finding[], allowDevelopment: boolean): Judgement {
  const requirements: Standing[] = [];
  let until: number | null = null;
  const one = (requirement: Requirement): Standing["state"] => {
    const known = requirements.find((s) => same(s.requirement, requirement));
    if (known) return known.state;
    const { state, reason, pendingUntil } = stand(requirement, findings, allowDevelopment);
    requirements.push({ requirement, state, reason });
    if (pendingUntil !== undefined) until = Math.max(until ?? 0, pendingUntil);
    return state;
  };
  const walk = (p: Policy): Standing["state"] => {
    if (isAll(p)) return worst(p.all.map(walk));
    if (isAny(p)) return best(p.any.map(walk));
    return one(p);
  };
  return { state: walk(policy), requirements, until };
}

const order: readonly Standing["state"][] = ["refuted", "unmet", "pending", "met"];
const worst = (states: readonly Standing["state"][]) => order.find((s) => states.includes(s)) ?? "unmet";
const best = (states: readonly Standing["state"][]) => order.findLast((s) => states.includes(s)) ?? "unmet";

const same = (a: Requirement, b: Requirement) =>
  a.claim === b.claim && a.ground === b.ground && JSON.stringify(a.facts) === JSON.stringify(b.facts);

/** Why nothing was found: the evidence of that kind is not there. */
function nothingFound({ claim, ground }: Requirement): string {
  if (ground === "hardware")
    return `No attestation is attached, so nothing is known about ${claim} on the ground hardware.`;
  return `Nothing was found about ${claim} on the ground ${ground}.`;
}

function stand(
  requirement: Requirement,
  findings: readonly Finding[],
  allowDevelopment: boolean,
): { readonly state: Standing["state"]; readonly reason: string; readonly pendingUntil?: number } {
  const about = findings.filter((f) => f.claim === requirement.claim);
  // Mathematics defeats a claim on every ground; an auditors' refutation on the grounds it was reported under (A3).
  const refutation = about.find(
    (f) => f.status === "refuted" && (f.standing === "mathematics" || f.ground === requirement.ground),
  );
  if (refutation) return { state: "refuted", reason: refutation.reason };
  const here = about.filter((f) => f.ground === requirement.ground);
  const proven = here.filter((f) => f.status === "proven");
  const fitting = proven.find((f) => factsSuffice(f.facts, requirement.facts) && (allowDevelopment || !f.development));
  if (fitting) return { state: "met", reason: fitting.reason };
  if (proven.some((f) => factsSuffice(f.facts, requirement.facts))) {
    return { state: "unmet", reason: "It is proven by a development stand-in only, and stand-ins were not allowed." };
  }
  if (proven[0]) {
    const wanted = Object.entries(requirement.facts).map(([k, v]) => `${k}=${v}`);
    return { state: "unmet", reason: `It is proven, but not with ${wanted.join(", ")}.` };
  }
  const pending = here.find((f) => f.pendingUntil !== undefined);
  if (pending?.pendingUntil !== undefined)
    return { state: "pending", reason: pending.reason, pendingUntil: pending.pendingUntil };
  return {
    state: "unmet",
    reason: here[0]?.reason ?? nothingFound(requirement),
  };
}
