import { CountersignError } from "@countersign/core";
import type { CheckedPayment } from "@countersign/settlement";
import { paymentKeyText } from "@countersign/store";
import type { Deps } from "./deps.ts";

/** What was charged, as the answer says it. */
export type Charged = {
  readonly transaction: string | null;
  readonly amount: string;
  readonly payer: string;
  readonly network: string;
};

/** The money side of one run: taken once, or given back. */
export type Charge = {
  readonly paid: CheckedPayment | null;
  /** Starts the settlement now, in parallel with the run: release `live` is paid up front (protocol-review A11). */
  readonly begin: () => void;
  /** Settles, and says what was charged; null where nothing is to be paid. @throws SETTLEMENT_* */
  readonly settle: () => Promise<Charged | null>;
  /** Nothing is owed: releases the reservation, or pays back what was taken already. */
  readonly undo: (reason: string) => Promise<void>;
};

export function openCharge(deps: Pick<Deps, "payments" | "store" | "onFault">, paid: CheckedPayment | null): Charge {
  let begun: Promise<Charged> | undefined;
  const start = (one: CheckedPayment): Promise<Charged> => {
    begun ??= deps.payments.settle(one.payment).then(({ transaction }) => ({
      transaction,
      amount: one.payment.chargeable,
      payer: one.payer,
      network: one.payment.network,
    }));
    // Whoever waits for it hears of a failure; nobody may be waiting yet.
    begun.catch(() => {});
    return begun;
  };
  return {
    paid,
    begin: () => {
      if (paid) start(paid);
    },
    settle: async () => (paid ? start(paid) : null),
    undo: async (reason) => {
      if (paid === null) return;
      const { key } = paid;
      if (begun === undefined) {
        await deps.store.reservations.release(key);
        return;
      }
      const reference = paymentKeyText(key);
      const { asset: token, from: to } = key;
      const refund = () =>
        deps.payments.refund({ to, amount: paid.payment.chargeable, token, reason, reference }).catch(deps.onFault);
      await begun.then(refund, async (error: unknown) => {
        // A settlement that goes on may still take the money; one that failed took nothing.
        if (isPending(error)) await refund();
        else await deps.store.reservations.release(key);
      });
    },
  };
}

/** Whether a settlement is still under way. */
export const isPending = (error: unknown): boolean =>
  CountersignError.is(error, "SETTLEMENT_FAILED") && error.detail.facts?.pending === true;

