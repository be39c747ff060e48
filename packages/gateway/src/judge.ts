import {
  CountersignError,
  type ErrorCode,
  errorTable,
  type Hex,
  isAll,
  isAny,
  type Policy,
  parsePolicy,
  type Receipt,
  type Requirement,
  type Statement,
  type Suite,
  type Trust,
  tighten,
  type Verdict,
} from "@countersign/core";
import { type Delivered, verify } from "@countersign/verify";
import type { Order } from "./order.ts";

/** What the gateway checks a receipt against: the request as it came, the answer as it will go out. */
export type Judged = {
  readonly receipt: Receipt;
  readonly order: Pick<Order, "path" | "body">;
  readonly clientNonce: Hex;
  readonly answer: Uint8Array;
};

export type Checker = { readonly trust: Trust; readonly suite: Suite; readonly now: () => number };

/** The own check, on behalf of clients that check nothing: the whole policy, demanded and bought. */
export const judgeWhole = ({ receipt, order, clientNonce, answer }: Judged, checker: Checker): Verdict =>
  check(
    receipt,
    { request: { method: "POST", path: order.path, body: order.body }, output: { body: answer }, clientNonce },
    checker,
  );

/** The own check of a run whose content the gateway never had: what stands on content stays unproven. */
export const judgeClosed = (receipt: Receipt, clientNonce: Hex, checker: Checker): Verdict =>
  check(receipt, { clientNonce }, checker);

const check = (receipt: Receipt, delivered: Delivered, { trust, suite, now }: Checker) =>
  verify({
    receipt,
    delivered,
    trust,
    at: now(),
    // Its own trust file is what its operator chose; whoever demands more brings his own.
    allowDevelopment: trust.development,
    suite,
  });

/** A policy without what the log must say first; undefined when nothing else is demanded. */
export function withoutLog(policy: Policy): Policy | undefined {
  if (isAll(policy) || isAny(policy)) {
    const parts = (isAll(policy) ? policy.all : policy.any).flatMap((p) => withoutLog(p) ?? []);
    if (parts.length === 0) return undefined;
    return isAll(policy) ? { all: parts } : { any: parts };
  }
  return policy.ground === "log" ? undefined : policy;
}

/** Whether a policy needs the log before it can be met. */
export const needsLog = (policy: Policy): boolean =>
  isAll(policy)
    ? policy.all.some(needsLog)
    : isAny(policy)
      ? policy.any.every(needsLog)
      : (policy as Requirement).ground === "log";

/** Demanded and bought, as the statement has them. */
export const policyOf = (statement: Statement): Policy =>
  tighten(parsePolicy(statement.policy.demanded), parsePolicy(statement.policy.bought));

/**
 * Turns a verdict that is not met into the error that the caller gets instead of the answer: the code of the check that
 * failed where there is one, else ASSURANCE_NOT_MET.
 */
export function refusalOf(verdict: Verdict): CountersignError {
  const codes: readonly (ErrorCode | undefined)[] = [
    ...verdict.findings.filter((f) => f.status === "refuted").map((f) => f.code),
    ...verdict.checks.filter((c) => c.status === "failed").map((c) => c.code),
  ];
  const code =
    codes.find((c): c is ErrorCode => c !== undefined && Object.hasOwn(errorTable, c)) ?? "ASSURANCE_NOT_MET";
  return new CountersignError(code, {
    message: "The answer does not meet what was demanded and bought; it is withheld and nothing was charged.",
    why: verdict.summary,
    facts: {
      outcome: verdict.outcome,
      requirements: verdict.requirements
        .filter((r) => r.state !== "met")
        .map(({ requirement: { claim, ground }, state, reason }) => ({ claim, ground, state, reason })),
    },
  });
}
