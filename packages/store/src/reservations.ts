import type { DatabaseSync } from "node:sqlite";
import type { Hex } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";
import { nonceUser } from "./nonces.ts";

/**
 * Identity of a payment: what was signed, never the bytes of a header or of a signature, which can be spelt twice.
 * Addresses and nonce in lowercase; the nonce without 0x.
 */
export type PaymentKey = {
  readonly network: string;
  readonly asset: string;
  readonly from: string;
  readonly nonce: Hex;
};

/** A payment's identity as one line: `network/asset/from/nonce`. */
export function paymentKeyText(key: PaymentKey): string {
  return `${key.network}/${key.asset}/${key.from}/${key.nonce}`;
}

/** What is reserved before any work is done. */
export type ReservationRequest = {
  readonly paymentKey: PaymentKey;
  readonly offerDigest: Hex;
  readonly requestDigest: Hex;
  readonly receiptId: Hex;
  /** Second at which the authorisation ends. */
  readonly validBefore: number;
  /** Milliseconds. */
  readonly now: number;
  /** Used up in the same transaction, when given. */
  readonly clientNonce?: Hex;
  /** What it is to be charged, in the asset's smallest unit; "0" when absent. */
  readonly amount?: string;
};

/** Outcome: the caller holds the payment, or somebody's run holds it, or it is spent. */
export type Reservation =
  | { readonly state: "reserved" }
  | { readonly state: "in-flight" | "used"; readonly receiptId: Hex; readonly requestDigest: Hex };

/** A reservation that a dead process left behind. */
export type LeftReservation = {
  readonly paymentKey: PaymentKey;
  readonly offerDigest: Hex;
  readonly requestDigest: Hex;
  readonly receiptId: Hex;
};

/** A payment that was taken by a process that died before its answer was whole. */
export type UnansweredReservation = LeftReservation & { readonly amount: string };

/** Payments reserved before work: one authorisation, one run (silent failures P1). */
export type Reservations = {
  /** @throws NONCE_REPLAYED when a client nonce was given and another payment used it under this offer. */
  readonly reserve: (request: ReservationRequest) => Promise<Reservation>;
  readonly get: (
    key: PaymentKey,
  ) => Promise<(LeftReservation & { readonly state: "reserved" | "settled" | "released" }) | undefined>;
  /**
   * What this payer's reservations that are not settled yet come to, this one and those made before it: ten payments may
   * each be covered by a wallet that covers one. Later ones are left out, so that of two at once the first is served.
   */
  readonly outstanding: (key: PaymentKey) => Promise<bigint>;
  /** The answer that was paid for is whole and on disk: whatever happens to the process, nothing is owed for it. */
  readonly answer: (key: PaymentKey) => Promise<void>;
  /** The payment was taken: it is never free again. */
  readonly complete: (key: PaymentKey) => Promise<void>;
  /**
   * The run was cancelled: the same authorisation may be used again, for the same request under the same offer.
   * Does nothing and answers false when the payment is settled or a settlement of it is under way.
   */
  readonly release: (key: PaymentKey) => Promise<boolean>;
  /** Forgets ended reservations whose authorisation ended before a second: no chain takes it any more. */
  readonly purge: (before: number) => Promise<number>;
  /**
   * What dead processes left, as found when the store was opened. `resumable`: a settlement is under way or done, and
   * the queue carries it on, so the reservation stays. `released`: nothing was charged and the answer never left the
   * process as a whole, so the payer may use the authorisation again for the same request. `unanswered`: taken, or about
   * to be, and its answer is not on disk: the payer is owed the money.
   */
  readonly recovered: {
    readonly resumable: readonly LeftReservation[];
    readonly released: readonly LeftReservation[];
    readonly unanswered: readonly UnansweredReservation[];
  };
};

type Row = {
  network: string;
  asset: string;
  payer: string;
  nonce: Hex;
  offer: Hex;
  request: Hex;
  receipt_id: Hex;
  state: "reserved" | "settled" | "released";
  amount: string;
  answered: number;
  made_at: number;
};

const left = (row: Row): LeftReservation => ({
  paymentKey: { network: row.network, asset: row.asset, from: row.payer, nonce: row.nonce },
  offerDigest: row.offer,
  requestDigest: row.request,
  receiptId: row.receipt_id,
});

export function openReservations(db: DatabaseSync, commits: GroupCommit, owner: string): Reservations {
  const useNonce = nonceUser(db);
  const find = db.prepare("SELECT * FROM reservations WHERE network = ? AND asset = ? AND payer = ? AND nonce = ?");
  const add = db.prepare(
    `INSERT INTO reservations (network, asset, payer, nonce, payment, offer, request, receipt_id, valid_before, state, owner, made_at, amount, answered)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?, ?, ?, 0)`,
  );
  const again = db.prepare(
    "UPDATE reservations SET state = 'reserved', answered = 0, receipt_id = ?, owner = ?, made_at = ? WHERE payment = ? AND state = 'released'",
  );
  const complete = db.prepare("UPDATE reservations SET state = 'settled' WHERE payment = ?");
  const release = db.prepare(
    `UPDATE reservations SET state = 'released' WHERE payment = ? AND state = 'reserved'
     AND NOT EXISTS (SELECT 1 FROM settle_jobs WHERE key = reservations.payment AND state <> 'failed')`,
  );
  const answer = db.prepare("UPDATE reservations SET answered = 1 WHERE payment = ?");
  const outstanding = db.prepare(
    "SELECT nonce, amount, made_at FROM reservations WHERE network = ? AND asset = ? AND payer = ? AND state = 'reserved'",
  );
  const purge = db.prepare("DELETE FROM reservations WHERE state <> 'reserved' AND valid_before < ?");
  const row = (key: PaymentKey) => find.get(key.network, key.asset, key.from, key.nonce) as Row | undefined;

  function reserve(request: ReservationRequest): Reservation {
    const { paymentKey: key, offerDigest, requestDigest, receiptId } = request;
    const payment = paymentKeyText(key);
    const held = row(key);
    if (held) {
      const state = held.state === "reserved" ? "in-flight" : "used";
      const sameRequest = held.request === requestDigest && held.offer === offerDigest;
      if (held.state !== "released" || !sameRequest) {
        return { state, receiptId: held.receipt_id, requestDigest: held.request };
      }
    }
    if (request.clientNonce !== undefined) {
      const expires = request.validBefore + 86_400;
      useNonce({ clientNonce: request.clientNonce, offerDigest, holder: payment, expires });
    }
    if (held) again.run(receiptId, owner, request.now, payment);
    else {
      const parts = [key.network, key.asset, key.from, key.nonce, payment, offerDigest, requestDigest, receiptId];
      add.run(...parts, request.validBefore, owner, request.now, request.amount ?? "0");
    }
    return { state: "reserved" };
  }

  return {
    reserve: (request) => commits.run(() => reserve(request)),
    get: async (key) => {
      const found = row(key);
      return found && { ...left(found), state: found.state };
    },
    outstanding: async (key) => {
      const rows = outstanding.all(key.network, key.asset, key.from) as Pick<Row, "nonce" | "amount" | "made_at">[];
      const own = rows.find((r) => r.nonce === key.nonce);
      const before = rows.filter(
        (r) => own === undefined || r.made_at < own.made_at || (r.made_at === own.made_at && r.nonce <= own.nonce),
      );
      return before.reduce((sum, r) => sum + BigInt(r.amount), 0n);
    },
    answer: (key) =>
      commits.run(() => {
        answer.run(paymentKeyText(key));
      }),
    complete: (key) =>
      commits.run(() => {
        complete.run(paymentKeyText(key));
      }),
    release: (key) => commits.run(() => Number(release.run(paymentKeyText(key)).changes) === 1),
    purge: (before) => commits.run(() => Number(purge.run(before).changes)),
    recovered: recover(db, owner),
  };
}

/** Whether a process of this machine lives. A recycled pid reads as alive: then the reservation waits, unharmed. */
function lives(pid: number): boolean {
  // Our own handles are known by id; another row with our pid is of a dead process whose pid we were given.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Handles of this very process, so that a second store on the same file does not take the first for dead. */
const ours = new Set<string>();

/** Enters this process, and settles what the dead ones left behind. */
function recover(db: DatabaseSync, owner: string): Reservations["recovered"] {
  ours.add(owner);
  db.exec("BEGIN IMMEDIATE");
  db.prepare("INSERT INTO owners (id, pid, started_at) VALUES (?, ?, unixepoch())").run(owner, process.pid);
  const holders = db
    .prepare(
      `SELECT DISTINCT r.owner AS id, o.pid AS pid FROM reservations r LEFT JOIN owners o ON o.id = r.owner
       WHERE r.state = 'reserved' OR (r.state = 'settled' AND r.answered = 0)`,
    )
    .all() as { id: string; pid: number | null }[];
  const rows = db.prepare(
    `SELECT *, EXISTS (SELECT 1 FROM settle_jobs WHERE key = reservations.payment AND state <> 'failed') AS settling
     FROM reservations WHERE owner = ? AND (state = 'reserved' OR (state = 'settled' AND answered = 0))`,
  );
  const release = db.prepare("UPDATE reservations SET state = 'released' WHERE payment = ?");
  const adopt = db.prepare("UPDATE reservations SET owner = ? WHERE payment = ?");
  const resumable: LeftReservation[] = [];
  const released: LeftReservation[] = [];
  const unanswered: UnansweredReservation[] = [];
  for (const { id, pid } of holders) {
    if (ours.has(id) || (pid !== null && lives(pid))) continue;
    for (const row of rows.all(id) as (Row & { settling: number })[]) {
      const found = left(row);
      const taken = row.settling === 1 || row.state === "settled";
      if (taken && row.answered === 0) unanswered.push({ ...found, amount: row.amount });
      if (row.state === "settled") {
        // Ours to pay back from now on; should this process die too, the next one finds it again.
        adopt.run(owner, paymentKeyText(found.paymentKey));
        continue;
      }
      if (row.settling) adopt.run(owner, paymentKeyText(found.paymentKey));
      else release.run(paymentKeyText(found.paymentKey));
      (row.settling ? resumable : released).push(found);
    }
  }
  db.exec("COMMIT");
  return { resumable, released, unanswered };
}

/** This handle is closed: whoever opens the file next finds what it still holds. */
export function leave(db: DatabaseSync, owner: string): void {
  ours.delete(owner);
  db.prepare("DELETE FROM owners WHERE id = ?").run(owner);
}
