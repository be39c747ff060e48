export type { Answers, StoredAnswer } from "./answers.ts";
export type { Debt, Debts } from "./debts.ts";
export type { Facts } from "./facts.ts";
export type { Nonces, NonceUse } from "./nonces.ts";
export type { Offers, StoredOffer } from "./offers.ts";
export type { Receipts, StoredReceipt } from "./receipts.ts";
export {
  type LeftReservation,
  type PaymentKey,
  paymentKeyText,
  type Reservation,
  type ReservationRequest,
  type Reservations,
  type UnansweredReservation,
} from "./reservations.ts";
export type { Inclusion, SettleJob, SettleJobs, SignedTransaction } from "./settle-jobs.ts";
export { openStore, type Store } from "./store.ts";
