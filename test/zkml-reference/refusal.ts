/** What the second verifier says: a value, with the check of spec/zkml.md that failed. */
export type Outcome = { readonly accepted: true } | { readonly accepted: false; readonly check: string };

/** Ends a check from within; `outcomeOf` turns it into a value. */
export class Refusal extends Error {
  readonly check: string;
  constructor(check: string) {
    super(check);
    this.check = check;
  }
}

export const demand = (holds: boolean, check: string): void => {
  if (!holds) throw new Refusal(check);
};

export const outcomeOf = (run: () => void): Outcome => {
  try {
    run();
    return { accepted: true };
  } catch (error) {
    // Anything else is a fault of this verifier and must be seen as one.
    if (error instanceof Refusal) return { accepted: false, check: error.check };
    throw error;
  }
};
