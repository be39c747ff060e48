import { CountersignError } from "@countersign/core";

/**
 * Counts the openings of one weight commitment (spec/zkml.md §7.3).
 *
 * `take` has written and flushed the new count before it returns; what is taken stays taken, whether a proof follows or
 * not. It throws ZK_BUDGET_SPENT at the end, ZK_OPENING_BUSY beside another process, ZK_OPENING_RETIRED after a restore.
 */
export type OpeningCounter = {
  /** Openings in all; never more than the circuit's budget. */
  readonly budget: number;
  readonly take: () => number;
};

export const spent = (budget: number): CountersignError =>
  new CountersignError("ZK_BUDGET_SPENT", {
    message: `All ${budget} openings of this weight commitment are used.`,
    why: "Further openings would let whoever collects proofs compute weights.",
    remedy: "Commit again and link the new commitment to the registered one.",
  });

/** A counter for a commitment that lives and dies with this process: its secret is never written anywhere. */
export function countInMemory(budget: number): OpeningCounter {
  let used = 0;
  return {
    budget,
    take: () => {
      if (used >= budget) throw spent(budget);
      return used++;
    },
  };
}
