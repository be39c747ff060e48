import {
  type Check,
  describePolicy,
  type Finding,
  type Hex,
  type Policy,
  printPolicy,
  type Statement,
  tighten,
  type Verdict,
} from "@countersign/core";
import type { Searched } from "./check-snapshot.ts";
import { judge } from "./judge.ts";
import type { VerifyArgs } from "./verify.ts";

/** Checks whose failure means that the signed parts contradict each other: nothing in such a receipt can be believed. */
const contradictions: readonly string[] = ["leaf.policy", "leaf.model", "leaf.tag", "offer.kept", "offer.guarantee"];
const synthetic = " It is synthetic: made by a self-check, canary or benchmark, not for a user.";

/** The verdict about something that is no sound receipt at all. */
export function rejectReceipt(args: VerifyArgs, wanted: Policy | undefined, check: Check): Verdict {
  const text = wanted ? printPolicy(wanted) : "";
  return {
    // The container is unsigned: whoever breaks it must not thereby refute what the node signed.
    outcome: "unmet",
    summary: `Not met: ${check.detail}`,
    policy: { demanded: text, bought: "", judged: text },
    requirements: [],
    findings: [],
    checks: [check],
    until: null,
    searchedThrough: null,
    final: false,
    development: args.trust.development,
    disputed: false,
    unmet: null,
    receiptRoot: null,
    at: args.at,
  };
}

/** Applies demanded ∧ bought to the findings (A12) and says when the answer can still change. */
export function concludeVerdict(input: {
  readonly args: VerifyArgs;
  readonly statement: Statement;
  readonly receiptRoot: Hex;
  readonly demanded: Policy;
  readonly bought: Policy;
  readonly findings: readonly Finding[];
  readonly checks: readonly Check[];
  readonly searched: Searched;
  /** Whether the statement is signed by the node it names, for the trusted network. */
  readonly signed: boolean;
  /** Whether offer and gateway are known, and all logged evidence is attached. */
  readonly whole: boolean;
  readonly disputed: boolean;
  readonly unmet: Verdict["unmet"];
}): Verdict {
  const { args, findings, checks, searched } = input;
  const judged = tighten(input.demanded, input.bought);
  const judgement = judge(judged, findings, args.allowDevelopment ?? false);
  // An unsigned statement contradicts nobody.
  const contradiction = input.signed
    ? checks.find((c) => c.status === "failed" && contradictions.includes(c.id))
    : undefined;
  const refutation = findings.find((f) => f.status === "refuted" && f.standing === "mathematics");
  const refuted = contradiction?.detail ?? refutation?.reason;
  const { withdrawn } = searched;
  const outcome: Verdict["outcome"] = refuted
    ? "refuted"
    : withdrawn && judgement.state !== "refuted"
      ? "unmet"
      : judgement.state;
  const { searchedThrough } = searched;
  const fresh = searchedThrough !== null && args.at - searchedThrough <= args.trust.snapshotMaxAge * 1000;
  const deadline = input.statement.policy.deadline;
  const pastDeadline = deadline !== null && searchedThrough !== null && searchedThrough > deadline * 1000;
  const used = findings.filter((f) => f.status === "proven");
  return {
    outcome,
    summary: summarise(outcome, judged, refuted ?? withdrawn, judgement, args, input),
    policy: { demanded: printPolicy(input.demanded), bought: printPolicy(input.bought), judged: printPolicy(judged) },
    requirements: judgement.requirements,
    findings,
    checks,
    until: outcome === "pending" ? judgement.until : null,
    searchedThrough,
    final:
      refuted !== undefined ||
      (outcome === "met" && fresh && input.whole && !input.disputed) ||
      (outcome === "unmet" && pastDeadline),
    development: used.some((f) => f.development),
    disputed: input.disputed,
    unmet: input.unmet,
    receiptRoot: input.receiptRoot,
    at: args.at,
  };
}

function summarise(
  outcome: Verdict["outcome"],
  judged: Policy,
  why: string | undefined,
  judgement: ReturnType<typeof judge>,
  args: VerifyArgs,
  input: { readonly searched: Searched; readonly statement: Statement },
): string {
  const name = describePolicy(judged);
  const missing = judgement.requirements.filter((r) => r.state !== "met");
  const first = missing[0];
  const reason = why ?? (first ? `${first.requirement.claim}:${first.requirement.ground}: ${first.reason}` : "");
  switch (outcome) {
    case "met": {
      const development = args.trust.development ? " on development stand-ins" : "";
      const searched = input.searched.searchedThrough === null ? " Refutations not searched." : "";
      return `Met${development}: ${name}.${searched}${input.statement.labels.includes("synthetic") ? synthetic : ""}`;
    }
    case "pending":
      return `Pending: ${reason}`;
    case "refuted":
      return `Refuted: ${reason}`;
    case "unmet":
      return `Not met: ${name}. ${reason}`;
  }
}
