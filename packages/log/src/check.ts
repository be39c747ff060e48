import type { ErrorCode } from "@countersign/core";

/** What one check found. Never a bare boolean: a check that did not run is neither passed nor failed. */
export type Check =
  | { readonly status: "ok" }
  | { readonly status: "failed"; readonly code: ErrorCode; readonly reason: string }
  | { readonly status: "not-run"; readonly reason: string };

/** The check that failed, with its error code. */
export type Failure = Extract<Check, { readonly status: "failed" }>;

export const ok: Check = { status: "ok" };

export const failed = (code: ErrorCode, reason: string): Failure => ({ status: "failed", code, reason });

export const notRun = (reason: string): Check => ({ status: "not-run", reason });
