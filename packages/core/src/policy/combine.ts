import type { Ground } from "../claim.ts";
import { CountersignError } from "../errors/error.ts";
import { type Demand, isAll, isAny, type Policy, type Release, type Requirement, releases } from "./policy.ts";
import { normalise, printPolicy } from "./text.ts";

/** Conjunction: what both ask for. Sources of policy only tighten (spec/policy.md §4). */
export function tighten(...policies: readonly Policy[]): Policy {
  const [first] = policies;
  // Most callers demand what they buy: one text is one policy.
  const text = first && printPolicy(first);
  return first && policies.every((p) => printPolicy(p) === text) ? normalise(first) : normalise({ all: policies });
}

/** The stricter of release rules: `met` before `signed` before `live`. */
export function tightenRelease(...rules: readonly Release[]): Release {
  return releases.find((r) => rules.includes(r)) ?? "met";
}

const maxTerms = 64;

/** Disjunctive normal form: the ways to meet a policy, each a list of requirements. @throws POLICY_MALFORMED past 64 */
export function ways(policy: Policy): readonly (readonly Requirement[])[] {
  const expand = (p: Policy): Requirement[][] => {
    if (isAny(p)) return cap(p.any.flatMap(expand));
    if (!isAll(p)) return [[p]];
    return p.all
      .map(expand)
      .reduce<Requirement[][]>((terms, next) => cap(terms.flatMap((t) => next.map((n) => [...t, ...n]))), [[]]);
  };
  return expand(policy);
}

function cap<T>(terms: T[]): T[] {
  if (terms.length <= maxTerms) return terms;
  throw new CountersignError("POLICY_MALFORMED", {
    message: `The policy has more than ${maxTerms} ways to be met.`,
    remedy: "Ask for fewer alternatives.",
    param: "verification",
  });
}

/** A way must not demand two values of one fact. @throws POLICY_CONFLICT when no way is free of contradiction */
export function refuseConflict(policy: Policy): void {
  const consistent = (way: readonly Requirement[]) => {
    const seen = new Map<string, string>();
    return way.every(({ claim, ground, facts }) =>
      Object.entries(facts).every(([name, value]) => {
        if (name === "confidence" || name === "n") return true;
        const key = `${claim}:${ground}:${name}`;
        const before = seen.get(key);
        seen.set(key, value);
        return before === undefined || before === value;
      }),
    );
  };
  if (ways(policy).some(consistent)) return;
  throw new CountersignError("POLICY_CONFLICT", {
    message: "The demanded policies contradict each other, so no answer could meet them.",
    why: printPolicy(policy),
    remedy: "Header, body and model suffix are taken together; drop one of them.",
    param: "verification",
  });
}

/** Bits by which the public log counts levels (spec/log.md). */
export const levelBits: Readonly<Record<Ground, number>> = {
  signature: 1,
  reexecution: 2,
  hardware: 4,
  proof: 8,
  sampled: 32,
  log: 64,
};
export const originBit = 16;

/** Level bits of one way to meet a policy. */
export function maskOf(way: readonly Requirement[]): number {
  return way.reduce((mask, { claim, ground }) => mask | levelBits[ground] | (claim === "origin" ? originBit : 0), 0);
}

/** The distinct masks of a policy, at most four: a public entry has room for four. @throws POLICY_MALFORMED */
export function masksOf(policy: Policy): readonly number[] {
  const masks = [...new Set(ways(policy).map(maskOf))].sort((a, b) => a - b);
  if (masks.length <= 4) return masks;
  throw new CountersignError("POLICY_MALFORMED", {
    message: "The policy mixes more than four combinations of levels.",
    why: "The public log counts demanded levels in four masks an entry.",
    param: "verification",
  });
}

/** What an answer is judged by: what was demanded and what was bought (A12). */
export function judgedPolicy(demanded: Policy, bought: Policy): Policy {
  return tighten(demanded, bought);
}

/** The stricter of two demands. */
export function tightenDemand(a: Demand, b: Demand): Demand {
  const deadlines = [a.deadline, b.deadline].filter((d) => d !== null);
  return {
    policy: tighten(a.policy, b.policy),
    release: tightenRelease(a.release, b.release),
    deadline: deadlines.length > 0 ? Math.min(...deadlines) : null,
    source: a.source === "request" || b.source === "request" ? "request" : "default",
  };
}
