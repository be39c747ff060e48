// Receipts that were tampered with, judged by `verify` with the content in hand.
import type { ErrorCode, Finding, Verdict } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { type VerifyArgs, verify } from "@countersign/verify";
import { makeReceipt, now, trust } from "../fixtures/receipt.ts";

/** The time at which the fixture's receipts are judged. */
export const at = now + 5000;
export const honest = makeReceipt();

/** The verdict on a receipt, with the honest request and answer in hand unless a test says otherwise. */
export const judgeIt = (receipt: unknown, more: Partial<VerifyArgs> = {}): Verdict =>
  verify({ receipt, delivered: honest.delivered, trust, at, allowDevelopment: true, suite: nodeSuite, ...more });

/** Codes of all that failed or was refuted or left open. */
export const codesOf = (verdict: Verdict): readonly ErrorCode[] =>
  [
    ...verdict.checks.filter((c) => c.status !== "passed"),
    ...verdict.findings.filter((f) => f.status !== "proven"),
  ].flatMap((c) => (c.code === undefined ? [] : [c.code]));

export const find = (verdict: Verdict, claim: Finding["claim"], ground: Finding["ground"] = "signature") =>
  verdict.findings.find((f) => f.claim === claim && f.ground === ground)?.status;
