import type { Check, Claim, ErrorCode, Finding, Ground } from "@countersign/core";

/** A check that ran. */
export const ran = (id: string, title: string, passed: boolean, detail: string, code: ErrorCode): Check => ({
  id,
  title,
  status: passed ? "passed" : "failed",
  detail,
  ...(!passed && { code }),
});

/** A check that did not run, and why: never a pass. */
export const notRun = (id: string, title: string, detail: string, code?: ErrorCode): Check => ({
  id,
  title,
  status: "not-run",
  detail,
  ...(code && { code }),
});

/** A finding without facts. */
export const find = (
  claim: Claim,
  ground: Ground,
  status: Finding["status"],
  reason: string,
  development: boolean,
  more: Partial<Finding> = {},
): Finding => ({ claim, ground, status, reason, facts: {}, development, ...more });
