export type { Policy, Receipt, Trust, Verdict } from "@countersign/core";
export { CountersignError } from "@countersign/core";
export type { Delivered } from "@countersign/verify";
export type { Budget, Spending } from "./budget.ts";
export {
  type Answer,
  type ChatInput,
  type ChatOptions,
  type ChunkStream,
  type Client,
  countersign,
  type TextAnswer,
} from "./client.ts";
export { implies } from "./implication.ts";
export type { Judged, PaymentReport } from "./judgement.ts";
export { memoryReceipts, type ReceiptRecord, type ReceiptStore, type SignedPayment } from "./receipt-store.ts";
export type { Refreshed } from "./refresh.ts";
export type { CallOptions } from "./request.ts";
export { defaultPolicy, type Fetch, type Options, type WatchCharge } from "./settings.ts";
export type { Tensor, TensorInput } from "./tensors.ts";
export { privateKeyWallet, type TypedAuthorization, viemWallet, type Wallet } from "./wallet.ts";
