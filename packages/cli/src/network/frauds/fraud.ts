import { CountersignError, type ErrorCode } from "@countersign/core";
import type { Stage } from "./stage.ts";

/** One fraud as it was played, and whether what should have seen it did. */
export type Fraud = {
  readonly name: string;
  readonly what: string;
  /** Who lies. */
  readonly by: string;
  readonly expected: ErrorCode;
  /** The code that was really given; null when nobody noticed. */
  readonly caught: ErrorCode | null;
  /** Whether everything came as told here: the code, and what must not have happened with it. */
  readonly held: boolean;
  readonly detail: string;
};

/** Plays one fraud. What fails outside the play itself is thrown. */
export type Play = (stage: Stage) => Promise<Fraud>;

/** What a call ended with: the answer, or the error with the codes that it carries. */
export type Ended<T> =
  | { readonly status: "answered"; readonly value: T }
  | { readonly status: "refused"; readonly error: CountersignError; readonly codes: readonly ErrorCode[] };

/** Runs a call that is expected to be refused. Errors that are not ours are thrown on. */
export async function attempt<T>(call: () => Promise<T>): Promise<Ended<T>> {
  try {
    return { status: "answered", value: await call() };
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    const inner = (error.detail.facts as { codes?: readonly ErrorCode[] } | undefined)?.codes ?? [];
    return { status: "refused", error, codes: [error.code, ...inner] };
  }
}

/** The code that a fraud was caught with: the expected one if it is among those given, else the first. */
export function caughtWith<T>(ended: Ended<T>, expected: ErrorCode): ErrorCode | null {
  if (ended.status === "answered") return null;
  return ended.codes.includes(expected) ? expected : (ended.codes[0] ?? null);
}
