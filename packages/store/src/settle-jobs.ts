import type { DatabaseSync } from "node:sqlite";
import { CountersignError, type ErrorCode, type Json } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";

/** What is common to a job in every state. */
type JobFacts = {
  readonly id: number;
  /** Unique: a payment's key text for a settlement, `refund:…` for a refund. */
  readonly key: string;
  readonly kind: "settle" | "refund";
  /** Address whose key signs the transaction. */
  readonly sender: string;
  /** What the transaction shall do; read by who wrote it. */
  readonly plan: Json;
  readonly madeAt: number;
  /** Hashes of earlier transactions of this job that may still be mined. */
  readonly hashes: readonly string[];
};

/** The transaction as it was signed, on disk before it is sent. */
export type SignedTransaction = { readonly raw: string; readonly hash: string; readonly nonce: number };
/** Where it landed. */
export type Inclusion = { readonly transaction: string; readonly block: number; readonly blockHash: string };

/** A row of the durable settle queue. */
export type SettleJob = JobFacts &
  (
    | { readonly state: "queued" }
    | ({ readonly state: "broadcast" } & SignedTransaction)
    | ({ readonly state: "included" } & SignedTransaction & Inclusion)
    | ({ readonly state: "final" } & Inclusion)
    | { readonly state: "failed"; readonly code: ErrorCode; readonly why: string }
  );

/** The durable settle queue: queued → broadcast → included → final, or failed. */
export type SettleJobs = {
  /**
   * Adds a job, or finds the one with this key; a failed one is queued again, but for a refund whose end is not known
   * (SETTLEMENT_FAILED): it could be paid twice.
   */
  readonly enqueue: (job: {
    readonly key: string;
    readonly kind: "settle" | "refund";
    readonly sender: string;
    readonly plan: Json;
    readonly now: number;
  }) => Promise<SettleJob>;
  readonly get: (key: string) => Promise<SettleJob | undefined>;
  /** Jobs of a sender that are not at their end, oldest first. */
  readonly open: (sender: string) => Promise<readonly SettleJob[]>;
  /** Records the signed bytes, before they are sent. Signing again keeps the earlier hash in `hashes`. */
  readonly sign: (key: string, signed: SignedTransaction) => Promise<void>;
  readonly include: (key: string, at: Inclusion) => Promise<void>;
  readonly finish: (key: string, at: Inclusion) => Promise<void>;
  /** The block is gone from the chain: back to broadcast, or to queued where somebody else's transaction was in it. */
  readonly reopen: (key: string) => Promise<void>;
  /** Another transaction took the nonce: the job is queued anew. */
  readonly requeue: (key: string) => Promise<void>;
  readonly fail: (key: string, code: ErrorCode, why: string) => Promise<void>;
  /** The highest nonce that a job of this sender holds. */
  readonly highestNonce: (sender: string) => Promise<number | undefined>;
};

type Row = {
  id: number;
  key: string;
  kind: "settle" | "refund";
  sender: string;
  plan: string;
  state: SettleJob["state"];
  nonce: number;
  raw: string;
  hash: string;
  hashes: string;
  tx: string;
  block: number;
  block_hash: string;
  code: ErrorCode;
  why: string;
  made_at: number;
};

function read(row: Row): SettleJob {
  const facts: JobFacts = {
    id: row.id,
    key: row.key,
    kind: row.kind,
    sender: row.sender,
    plan: JSON.parse(row.plan),
    madeAt: row.made_at,
    hashes: JSON.parse(row.hashes),
  };
  const signed = { raw: row.raw, hash: row.hash, nonce: row.nonce };
  const at = { transaction: row.tx, block: row.block, blockHash: row.block_hash };
  switch (row.state) {
    case "queued":
      return { ...facts, state: "queued" };
    case "broadcast":
      return { ...facts, state: "broadcast", ...signed };
    case "included":
      return { ...facts, state: "included", ...signed, ...at };
    case "final":
      return { ...facts, state: "final", ...at };
    case "failed":
      return { ...facts, state: "failed", code: row.code, why: row.why };
  }
}

export function openSettleJobs(db: DatabaseSync, commits: GroupCommit): SettleJobs {
  const add = db.prepare(
    `INSERT INTO settle_jobs (key, kind, sender, plan, state, made_at) VALUES (?, ?, ?, ?, 'queued', ?)
     ON CONFLICT (key) DO UPDATE
       SET state = 'queued', code = NULL, why = NULL, nonce = NULL, raw = NULL, hash = NULL, hashes = '[]'
       WHERE state = 'failed' AND (kind = 'settle' OR code <> 'SETTLEMENT_FAILED')`,
  );
  const byKey = db.prepare("SELECT * FROM settle_jobs WHERE key = ?");
  const open = db.prepare(
    "SELECT * FROM settle_jobs WHERE sender = ? AND state IN ('queued', 'broadcast', 'included') ORDER BY id",
  );
  const sign = db.prepare(
    `UPDATE settle_jobs SET state = 'broadcast',
       hashes = CASE WHEN hash IS NULL OR hash = ?2 THEN hashes ELSE json_insert(hashes, '$[#]', hash) END,
       raw = ?1, hash = ?2, nonce = ?3
     WHERE key = ?4 AND state IN ('queued', 'broadcast')`,
  );
  const include = db.prepare(
    "UPDATE settle_jobs SET state = ?, tx = ?, block = ?, block_hash = ? WHERE key = ? AND state IN ('queued', 'broadcast', 'included')",
  );
  const reopen = db.prepare(
    "UPDATE settle_jobs SET state = iif(raw IS NULL, 'queued', 'broadcast'), tx = NULL WHERE key = ? AND state = 'included'",
  );
  const requeue = db.prepare(
    "UPDATE settle_jobs SET state = 'queued', nonce = NULL WHERE key = ? AND state = 'broadcast'",
  );
  const fail = db.prepare(
    "UPDATE settle_jobs SET state = 'failed', code = ?, why = ? WHERE key = ? AND state <> 'final'",
  );
  const highest = db.prepare("SELECT max(nonce) AS nonce FROM settle_jobs WHERE sender = ?");
  const find = (key: string) => byKey.get(key) as Row | undefined;
  const must = (changes: number | bigint, key: string, what: string) => {
    if (Number(changes) === 1) return;
    throw new CountersignError("INTERNAL", {
      message: `The settle job ${key} is in no state in which it can ${what}.`,
    });
  };
  return {
    enqueue: ({ key, kind, sender, plan, now }) =>
      commits.run(() => {
        add.run(key, kind, sender, JSON.stringify(plan), now);
        return read(find(key) as Row);
      }),
    get: async (key) => {
      const row = find(key);
      return row && read(row);
    },
    open: async (sender) => (open.all(sender) as Row[]).map(read),
    sign: (key, { raw, hash, nonce }) =>
      commits.run(() => must(sign.run(raw, hash, nonce, key).changes, key, "be signed")),
    include: (key, at) =>
      commits.run(() =>
        must(include.run("included", at.transaction, at.block, at.blockHash, key).changes, key, "be included"),
      ),
    finish: (key, at) =>
      commits.run(() => must(include.run("final", at.transaction, at.block, at.blockHash, key).changes, key, "end")),
    reopen: (key) => commits.run(() => must(reopen.run(key).changes, key, "be reopened")),
    requeue: (key) => commits.run(() => must(requeue.run(key).changes, key, "be queued again")),
    fail: (key, code, why) => commits.run(() => must(fail.run(code, why, key).changes, key, "fail")),
    highestNonce: async (sender) => (highest.get(sender) as { nonce: number | null }).nonce ?? undefined,
  };
}
