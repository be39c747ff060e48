import type { Claim, Ground } from "../claim.ts";

/** One demand: this claim, on this ground, with these facts. */
export type Requirement = {
  readonly claim: Claim;
  readonly ground: Ground;
  /** Facts that the finding must carry: `scope=inference`. Numbers (`confidence`, `n`) are lower bounds. */
  readonly facts: Readonly<Record<string, string>>;
};

/** A tree over requirements: all of, any of, or one. */
export type Policy = { readonly all: readonly Policy[] } | { readonly any: readonly Policy[] } | Requirement;

/** When content may be reached (A11). Default `met`: not before the verdict. */
export type Release = "met" | "signed" | "live";
export const releases: readonly Release[] = ["met", "signed", "live"];

/** A policy with the terms it was asked under. */
export type Demand = {
  readonly policy: Policy;
  readonly release: Release;
  /** Second by which late evidence must be logged, or null. */
  readonly deadline: number | null;
  /** Whether the caller said a policy or got the published default. */
  readonly source: "request" | "default";
};

export const isAll = (p: Policy): p is { readonly all: readonly Policy[] } => "all" in p;
export const isAny = (p: Policy): p is { readonly any: readonly Policy[] } => "any" in p;

/** Facts whose value is a lower bound. */
const bounds = new Set(["confidence", "n"]);
/** Every fact that a policy may name; an unknown one is refused, never ignored. */
export const factNames: readonly string[] = [
  "scope",
  "custody",
  "tcb",
  "operator",
  "confidence",
  "n",
  "digest",
  "profile",
  "platform",
  "assurance",
  "provenance",
  "measurement",
];

const decimal = /^(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?$/;

/** Whether facts found satisfy facts required. A fact that is not there satisfies nothing. */
export function factsSuffice(
  found: Readonly<Record<string, string>>,
  required: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(required).every(([name, wanted]) => {
    const value = found[name];
    if (value === undefined) return false;
    if (!bounds.has(name)) return value === wanted;
    return decimal.test(value) && decimal.test(wanted) && Number(value) >= Number(wanted);
  });
}
