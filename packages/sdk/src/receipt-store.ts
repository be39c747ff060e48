import type { Envelope, Hex, Receipt, Verdict } from "@countersign/core";

/** What is remembered of one answer: enough to check again later, with nobody's help but the log's. */
export type ReceiptRecord = {
  /** Capability that fetches the receipt; keep it to yourself. */
  readonly receiptId: Hex;
  /** Complete: it holds the openings of request and answer. */
  readonly receipt: Receipt;
  readonly offer: Envelope | null;
  /** Canonical text of what was demanded. */
  readonly demanded: string;
  readonly outcome: Verdict["outcome"];
  /** Milliseconds by which the log must hold the entry. */
  readonly inclusionBy: number;
  /** The payment that was signed for it, or null. */
  readonly payment: SignedPayment | null;
  /** Milliseconds. */
  readonly at: number;
};

/** A payment that somebody may charge until it expires. */
export type SignedPayment = {
  readonly network: string;
  readonly asset: string;
  readonly from: string;
  readonly amount: string;
  readonly nonce: Hex;
  readonly validBefore: number;
};

/** Where receipts are kept across calls and, if it is durable, across restarts. */
export type ReceiptStore = {
  readonly put: (record: ReceiptRecord) => void | Promise<void>;
  readonly get: (receiptId: Hex) => ReceiptRecord | undefined | Promise<ReceiptRecord | undefined>;
  readonly list: () => readonly ReceiptRecord[] | Promise<readonly ReceiptRecord[]>;
  /** The best that a deployment gave so far, as `claim:ground` words; undefined for one that was never used. */
  readonly recall: (key: string) => readonly string[] | undefined | Promise<readonly string[] | undefined>;
  readonly remember: (key: string, best: readonly string[]) => void | Promise<void>;
};

/** A store in memory: forgotten when the process ends. The oldest receipts go first past `limit`. */
export function memoryReceipts(limit = 10_000): ReceiptStore {
  const records = new Map<Hex, ReceiptRecord>();
  const floors = new Map<string, readonly string[]>();
  return {
    put(record) {
      records.delete(record.receiptId);
      records.set(record.receiptId, record);
      const [oldest] = records.keys();
      if (records.size > limit && oldest !== undefined) records.delete(oldest);
    },
    get: (id) => records.get(id),
    list: () => [...records.values()],
    recall: (key) => floors.get(key),
    remember: (key, best) => void floors.set(key, best),
  };
}
