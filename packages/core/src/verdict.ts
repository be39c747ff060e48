import type { Hex } from "./bytes.ts";
import type { Check, Finding } from "./claim.ts";
import type { Requirement } from "./policy/policy.ts";

/** How one demand stands. */
export type Standing = {
  readonly requirement: Requirement;
  readonly state: "met" | "unmet" | "pending" | "refuted";
  readonly reason: string;
};

/** Policy applied to findings (spec/claims.md §5). `met` is the only word that lets anybody act. */
export type Verdict = {
  readonly outcome: "met" | "unmet" | "pending" | "refuted";
  /** One sentence for people. */
  readonly summary: string;
  /** Canonical text of what was demanded and bought; the verdict judges both together. */
  readonly policy: { readonly demanded: string; readonly bought: string; readonly judged: string };
  readonly requirements: readonly Standing[];
  readonly findings: readonly Finding[];
  readonly checks: readonly Check[];
  /** For `pending`: the second after which it is `unmet`. */
  readonly until: number | null;
  /** The time up to which refutations were searched, or null: refutations not searched. */
  readonly searchedThrough: number | null;
  /** Nothing that may still come can change the outcome. */
  readonly final: boolean;
  /** Whether development stand-ins ground any of it. */
  readonly development: boolean;
  /** A single auditor contradicts: shown, blocks only policies that ask for re-execution. */
  readonly disputed: boolean;
  /** What "not charged when unmet" rests on. */
  readonly unmet: "promised" | "bonded" | "escrow" | null;
  readonly receiptRoot: Hex | null;
  /** The time the verdict was made for, milliseconds. */
  readonly at: number;
};
