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
  /**
   * Starts the settlement now: release `live` is paid up front (protocol-review A11). Resolves when the money is there;
   * nothing of the answer may leave before. @throws SETTLEMENT_*
   */
  readonly begin: () => Promise<void>;
  /** Settles, and says what was charged; null where nothing is to be paid. @throws SETTLEMENT_* */
  readonly settle: () => Promise<Charged | null>;
  /** Nothing is owed: releases the reservation, or pays back what was taken already. */
  readonly undo: (reason: string) => Promise<void>;
};

export function openCharge(deps: Pick<Deps, "payments" | "store" | "onFault">, paid: CheckedPayment | null): Charge {
  let begun: Promise<Charged> | undefined;
  let answered = false;
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
  const payBack = async (one: CheckedPayment, reason: string): Promise<void> => {
    const { asset: token, from: to } = one.key;
    const reference = paymentKeyText(one.key);
    await deps.payments.refund({ to, amount: one.payment.chargeable, token, reason, reference });
  };
  /** The money may still be taken: waits until that is known. */
  const payBackLater = async (one: CheckedPayment, reason: string): Promise<void> => {
    try {
      await deps.payments.settle(one.payment);
    } catch (error) {
      if (isPending(error)) throw error;
      return;
    }
    await payBack(one, reason);
  };
  return {
    paid,
    begin: async () => {
      if (paid) await start(paid);
    },
    settle: async () => {
      answered = true;
      return paid ? start(paid) : null;
    },
    undo: async (reason) => {
      if (paid === null) return;
      if (begun === undefined) {
        await deps.store.reservations.release(paid.key);
        return;
      }
      let fault: unknown;
      const settled = await begun.catch((error: unknown) => {
        fault = error;
        return undefined;
      });
      // Refunds are queued on disk with a debt beside them; nobody has to wait for the chain here.
      if (settled) payBack(paid, reason).catch(deps.onFault);
      else if (!isPending(fault)) await deps.store.reservations.release(paid.key);
      // A whole answer is kept: when its settlement comes through, the same request gets it, so nothing is owed.
      else if (!answered) payBackLater(paid, reason).catch(deps.onFault);
    },
  };
}

/** Whether a settlement is still under way. */
export const isPending = (error: unknown): boolean =>
  CountersignError.is(error, "SETTLEMENT_FAILED") && error.detail.facts?.pending === true;
