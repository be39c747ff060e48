import type { ErrorCode } from "./errors/table.ts";

/** What a verifier can find about a receipt (spec/claims.md §1). */
export const claims = [
  "issuer",
  "request",
  "prompt",
  "model",
  "execution",
  "output",
  "origin",
  "sampling",
  "payment",
  "logged",
  "confidential",
  "linked",
] as const;
/** A claim's name. */
export type Claim = (typeof claims)[number];

/** What a claim can stand on (spec/claims.md §2). */
export const grounds = ["signature", "reexecution", "sampled", "hardware", "proof", "log"] as const;
/** A ground's name. */
export type Ground = (typeof grounds)[number];

/** One thing that a verifier did or did not do. A check that did not run has passed nothing. */
export type Check = {
  /** Stable name, `statement.signature`. */
  readonly id: string;
  /** One sentence for people: what was checked. */
  readonly title: string;
  readonly status: "passed" | "failed" | "not-run";
  /** What was found, or why it did not run. */
  readonly detail: string;
  readonly code?: ErrorCode;
};

/** A claim on one ground: proven, refuted or unproven. There is no fourth word and no boolean. */
export type Finding = {
  readonly claim: Claim;
  readonly ground: Ground;
  readonly status: "proven" | "refuted" | "unproven";
  /** Why, one sentence. */
  readonly reason: string;
  readonly code?: ErrorCode;
  /** Facts a policy may require: scope, custody, confidence, … */
  readonly facts: Readonly<Record<string, string>>;
  /** Whether a development stand-in grounds it. */
  readonly development: boolean;
  /** Unproven, but evidence may still come until this second. */
  readonly pendingUntil?: number;
  /** By what a refutation stands: mathematics defeats every ground of the claim, auditors their own grounds only (A3). */
  readonly standing?: "mathematics" | "auditors";
};
