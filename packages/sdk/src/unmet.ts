import { CountersignError } from "@countersign/core";
import type { Accepted } from "./pay.ts";
import type { SignedPayment } from "./receipt-store.ts";
import type { Settings } from "./settings.ts";

/** Errors after a payment left: whoever retries such a call pays again. */
const afterPayment = new WeakSet<object>();

/** Whether an error came after a payment was signed and sent. */
export const isAfterPayment = (error: unknown): boolean =>
  typeof error === "object" && error !== null && afterPayment.has(error);

/** Whether the watcher sees a payment taken; without a watcher, or when it fails, nothing is known and nothing is said. */
export async function isCharged(settings: Pick<Settings, "watchCharge">, payment: SignedPayment): Promise<boolean> {
  try {
    return (await settings.watchCharge?.(payment)) === true;
  } catch {
    return false;
  }
}

/**
 * What a paid call that failed ends with: its own error, or CHARGED_WHILE_UNMET when the watcher sees the money gone.
 *
 * The amount stays set aside until the authorisation expires: refusing the answer does not take the signature back.
 */
export async function failPaid(settings: Settings, accepted: Accepted, error: unknown): Promise<unknown> {
  accepted.hold.keep(accepted.payment.validBefore);
  let out = error;
  const unmet = !CountersignError.is(error) || !owed.has(error.code);
  if (unmet && (await isCharged(settings, accepted.payment))) {
    out = new CountersignError("CHARGED_WHILE_UNMET", {
      message: "The payment was taken although no answer that meets the guarantee was delivered.",
      why: error instanceof Error ? error.message.split("\n")[0] : undefined,
      remedy: "Keep receipt and offer: together they show it.",
      facts: { ...(CountersignError.is(error) ? error.detail.facts : {}), payment: accepted.payment },
      cause: error,
    });
  }
  if (typeof out === "object" && out !== null) afterPayment.add(out);
  return out;
}

/** Refusals of answers that met what was bought: the price is owed. */
const owed: ReadonlySet<string> = new Set(["ASSURANCE_DOWNGRADED", "OVERCHARGED"]);
