import type { DatabaseSync } from "node:sqlite";
import { CountersignError, type Hex, sha256Hex } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";

/** A receipt as it stands: the container's bytes, never a secret. */
export type StoredReceipt = {
  readonly receiptId: Hex;
  readonly receiptRoot: Hex;
  /** JSON bytes, exactly as they were put. */
  readonly body: Uint8Array;
  /** Milliseconds. */
  readonly madeAt: number;
  /** Counts changes of the body, from 1. */
  readonly version: number;
};

/** Receipts, read by capability (`receiptId`, 32 random bytes) and, for their public part, by root. */
export type Receipts = {
  /** @throws NONCE_REPLAYED when the id or the root is taken by other bytes: one run, one receipt. */
  readonly put: (receipt: Omit<StoredReceipt, "version">) => Promise<void>;
  readonly get: (receiptId: Hex) => Promise<StoredReceipt | undefined>;
  /** For the log, the auditor and evidence that arrives by root; never answer a stranger with its body. */
  readonly getByRoot: (receiptRoot: Hex) => Promise<StoredReceipt | undefined>;
  /** Changes the body in one transaction. @throws RECEIPT_NOT_FOUND */
  readonly update: (receiptId: Hex, change: (body: Uint8Array) => Uint8Array) => Promise<StoredReceipt>;
  /** Keeps an evidence item about a root (also before its receipt is there); false when it is known already. */
  readonly appendEvidence: (receiptRoot: Hex, item: Uint8Array, at: number) => Promise<boolean>;
  /** The items in the order of their arrival. */
  readonly evidence: (receiptRoot: Hex) => Promise<readonly Uint8Array[]>;
  /** Receipts made in `[from, to)` milliseconds, oldest first, at most `limit`. */
  readonly list: (from: number, to: number, limit: number) => Promise<readonly StoredReceipt[]>;
};

type Row = { id: Hex; root: Hex; body: Uint8Array; made_at: number; version: number };

const read = (row: Row): StoredReceipt => ({
  receiptId: row.id,
  receiptRoot: row.root,
  body: row.body,
  madeAt: row.made_at,
  version: row.version,
});

export function openReceipts(db: DatabaseSync, commits: GroupCommit): Receipts {
  const add = db.prepare(
    "INSERT INTO receipts (id, root, body, made_at, version) VALUES (?, ?, ?, ?, 1) ON CONFLICT DO NOTHING",
  );
  const byId = db.prepare("SELECT * FROM receipts WHERE id = ?");
  const byRoot = db.prepare("SELECT * FROM receipts WHERE root = ?");
  const change = db.prepare("UPDATE receipts SET body = ?, version = version + 1 WHERE id = ?");
  const list = db.prepare("SELECT * FROM receipts WHERE made_at >= ? AND made_at < ? ORDER BY made_at, id LIMIT ?");
  const append = db.prepare(
    `INSERT INTO receipt_evidence (root, seq, digest, body, at)
     VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM receipt_evidence WHERE root = ?1), ?2, ?3, ?4) ON CONFLICT DO NOTHING`,
  );
  const items = db.prepare("SELECT body FROM receipt_evidence WHERE root = ? ORDER BY seq");
  const find = (receiptId: Hex) => byId.get(receiptId) as Row | undefined;
  return {
    put: (receipt) =>
      commits.run(() => {
        const { receiptId, receiptRoot, body, madeAt } = receipt;
        if (Number(add.run(receiptId, receiptRoot, body, madeAt).changes) === 1) return;
        const held = find(receiptId);
        if (held?.root === receiptRoot && Buffer.compare(held.body, body) === 0) return;
        throw new CountersignError("NONCE_REPLAYED", { message: "There is another receipt with this id or root." });
      }),
    get: async (receiptId) => {
      const row = find(receiptId);
      return row && read(row);
    },
    getByRoot: async (receiptRoot) => {
      const row = byRoot.get(receiptRoot) as Row | undefined;
      return row && read(row);
    },
    update: (receiptId, edit) =>
      commits.run(() => {
        const row = find(receiptId);
        if (!row) throw new CountersignError("RECEIPT_NOT_FOUND", { message: "There is no receipt with this id." });
        change.run(edit(row.body), receiptId);
        return read(find(receiptId) as Row);
      }),
    appendEvidence: (receiptRoot, item, at) =>
      commits.run(() => Number(append.run(receiptRoot, sha256Hex(item), item, at).changes) === 1),
    evidence: async (receiptRoot) => (items.all(receiptRoot) as { body: Uint8Array }[]).map((row) => row.body),
    list: async (from, to, limit) => (list.all(from, to, limit) as Row[]).map(read),
  };
}
