import type { Payment } from "@countersign/core";
import type { SettleQueue } from "@countersign/settlement";
import { type PaymentKey, paymentKeyText, type Store } from "@countersign/store";
import { isPending } from "./charge.ts";

/**
 * Pays back what dead processes took for answers that never became whole: a live stream is paid up front, and the process
 * that would have paid it back is gone.
 *
 * A refund is made once for a payment, however often this runs.
 */
export function makeGood(args: {
  readonly store: Store;
  readonly queue: Pick<SettleQueue, "settle" | "refund">;
  readonly now: () => number;
  readonly onFault: (error: unknown) => void;
}): void {
  const { store, queue, now, onFault } = args;
  const { unanswered, resumable } = store.reservations.recovered;
  const owed = async () => {
    const known = new Set(unanswered.map((r) => paymentKeyText(r.paymentKey)));
    // Its answer is whole, and kept for a while; past that nobody could come for it.
    const late = resumable.filter((r) => !known.has(paymentKeyText(r.paymentKey)));
    const gone = await Promise.all(
      late.map(async (r) => ((await store.answers.get(r.paymentKey, r.requestDigest, now())) ? [] : [r])),
    );
    return [...unanswered, ...gone.flat()].map((r) => r.paymentKey);
  };
  const one = async (key: PaymentKey) => {
    const reference = paymentKeyText(key);
    const job = await store.settleJobs.get(reference);
    if (job === undefined) return;
    const { authorization } = job.plan as unknown as Pick<Payment, "authorization">;
    if (job.state !== "final") {
      // The queue carries it on by itself; here it is only waited for.
      try {
        await queue.settle(paymentOf(key, job.plan as unknown as Pick<Payment, "authorization" | "signature">));
      } catch (error) {
        if (isPending(error)) throw error;
        await store.reservations.release(key);
        return;
      }
    }
    await queue.refund({
      to: key.from,
      amount: authorization.value,
      token: key.asset,
      reason: "RUN_INCOMPLETE",
      reference,
    });
    await store.reservations.answer(key);
  };
  owed()
    .then((keys) => Promise.all(keys.map((key) => one(key).catch(onFault))))
    .catch(onFault);
}

/** A payment as the queue knows it again: by its authorisation; the rest decides nothing there. */
const paymentOf = (
  key: PaymentKey,
  { authorization, signature }: Pick<Payment, "authorization" | "signature">,
): Payment => ({
  scheme: "exact",
  network: key.network,
  token: { address: key.asset, name: "", version: "" },
  authorization,
  signature,
  salt: null,
  chargeable: authorization.value,
});
