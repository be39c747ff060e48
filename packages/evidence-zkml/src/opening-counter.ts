import { CountersignError } from "@countersign/core";

/**
 * Counts the openings of one commitment, of weights or of an input (spec/zkml.md §7.3).
 *
 * `take` has written and flushed the new count before it returns; what is taken stays taken, whether a proof follows or
 * not. It throws ZK_BUDGET_SPENT at the end, ZK_OPENING_BUSY beside another process, ZK_OPENING_RETIRED after a restore.
 */
export type OpeningCounter = {
  /** Openings in all; never more than the circuit's budget. */
  readonly budget: number;
  /** Whether the count outlives the process. A commitment that is made again from its secret needs such a counter. */
  readonly lasting: boolean;
  readonly take: () => number;
};

/** Gives the counter of a root; `create` is true for a commitment with a new secret, and only then may the counter be new. */
export type CounterOf = (root: Uint8Array, create: boolean) => OpeningCounter;

export const spent = (budget: number): CountersignError =>
  new CountersignError("ZK_BUDGET_SPENT", {
    message: `All ${budget} openings of this commitment are used.`,
    why: "Further openings would let whoever collects proofs compute what is committed.",
    remedy: "Commit again; link a new commitment of weights to the registered one.",
  });

/** A counter for a commitment that lives and dies with this process: its secret is never written anywhere. */
export function countInMemory(budget: number): OpeningCounter {
  let used = 0;
  return {
    budget,
    lasting: false,
    take: () => {
      if (used >= budget) throw spent(budget);
      return used++;
    },
  };
}
