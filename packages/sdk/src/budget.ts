import { CountersignError } from "@countersign/core";

/** What a client may spend; amounts in the asset's smallest unit. */
export type Budget = {
  /** The most for one request. */
  readonly perRequest: string | number | bigint;
  /** The most for all requests of this client together. */
  readonly total: string | number | bigint;
  /** The only token that may be paid with; default: the token that `Trust` names. */
  readonly asset?: string;
  /** How long an authorisation may live, in seconds; default 600. */
  readonly maxDeadlineSeconds?: number;
};

/** Amounts of a budget so far. */
export type Spending = {
  /** Paid for answers that were delivered. */
  readonly spent: bigint;
  /** Signed away, and neither delivered nor expired: somebody may still charge it. */
  readonly held: bigint;
  readonly left: bigint;
};

/** Part of the budget set aside for one payment. Exactly one of its words is said. */
export type Hold = {
  /** Nothing was signed: it is free again. */
  readonly release: () => void;
  /** The answer was delivered: it is spent. */
  readonly spend: () => void;
  /** Signed and refused: who holds the authorisation may charge it until this second, so it stays set aside (A10). */
  readonly keep: (untilSecond: number) => void;
};

const toAmount = (value: string | number | bigint, name: string): bigint => {
  const text = String(value);
  if (/^(?:0|[1-9][0-9]{0,77})$/.test(text) && (typeof value !== "number" || Number.isSafeInteger(value))) {
    return BigInt(text);
  }
  throw new CountersignError("CONFIG_INVALID", {
    message: `The budget's ${name} is not an amount.`,
    remedy: "Give a whole number in the asset's smallest unit, as text or bigint.",
  });
};

/** Keeps one budget among calls that run at once: what is set aside by one is not there for another. */
export class Ledger {
  readonly #perRequest: bigint;
  readonly #total: bigint;
  readonly #now: () => number;
  #spent = 0n;
  readonly #open = new Map<number, { readonly amount: bigint; until: number }>();
  #next = 0;

  constructor(budget: Budget | undefined, now: () => number) {
    this.#perRequest = budget ? toAmount(budget.perRequest, "perRequest") : 0n;
    this.#total = budget ? toAmount(budget.total, "total") : 0n;
    this.#now = now;
  }

  /** Sets an amount aside before anything is signed. @throws SPEND_CAP_EXCEEDED */
  reserve(text: string): Hold {
    const amount = BigInt(text);
    const { left } = this.state();
    if (amount > this.#perRequest || amount > left) {
      const cap = amount > this.#perRequest ? `${this.#perRequest} for one request` : `${left} left of ${this.#total}`;
      throw new CountersignError("SPEND_CAP_EXCEEDED", {
        message: `The offer asks for ${amount}; the budget allows ${cap}. Nothing was signed.`,
        remedy:
          "Raise `budget.perRequest` or `budget.total` if the price is right. Without a `budget` nothing is ever paid. Amounts signed away for answers that were refused come back when their authorisations expire.",
        facts: { asked: String(amount), perRequest: String(this.#perRequest), left: String(left) },
      });
    }
    const id = this.#next++;
    this.#open.set(id, { amount, until: Number.POSITIVE_INFINITY });
    return {
      release: () => void this.#open.delete(id),
      spend: () => {
        if (this.#open.delete(id)) this.#spent += amount;
      },
      keep: (until) => {
        const held = this.#open.get(id);
        if (held) held.until = until;
      },
    };
  }

  /** What is spent, set aside and left. */
  state(): Spending {
    const second = this.#now() / 1000;
    let held = 0n;
    for (const [id, entry] of this.#open) {
      if (entry.until < second) this.#open.delete(id);
      else held += entry.amount;
    }
    return { spent: this.#spent, held, left: this.#total - this.#spent - held };
  }
}
