import { randomUUID } from "node:crypto";
import { type Answers, openAnswers } from "./answers.ts";
import { openDatabase } from "./database.ts";
import { type Debts, openDebts } from "./debts.ts";
import { type Facts, openFacts } from "./facts.ts";
import { GroupCommit } from "./group-commit.ts";
import { type Nonces, openNonces } from "./nonces.ts";
import { type Offers, openOffers } from "./offers.ts";
import { openReceipts, type Receipts } from "./receipts.ts";
import { leave, openReservations, type Reservations } from "./reservations.ts";
import { openSettleJobs, type SettleJobs } from "./settle-jobs.ts";

const hour = 3600;

/**
 * Durable state of one gateway. Every method is asynchronous and a write's promise means "on disk", so that another
 * engine can stand behind the same type.
 */
export type Store = {
  readonly offers: Offers;
  readonly reservations: Reservations;
  readonly nonces: Nonces;
  readonly receipts: Receipts;
  readonly answers: Answers;
  readonly settleJobs: SettleJobs;
  readonly debts: Debts;
  readonly facts: Facts;
  /** How many transactions were committed since the store was opened. */
  readonly commits: () => number;
  /** Forgets what has expired. @param now milliseconds */
  readonly purge: (now: number) => Promise<void>;
  /** Commits what waits and closes the file. */
  readonly close: () => Promise<void>;
};

/**
 * Opens the store in a SQLite file, or in memory for `:memory:`.
 *
 * @throws STORE_CORRUPT when the file is damaged, is no database, or was written by a newer version.
 * @example
 * const store = openStore({ file: "gateway.db" });
 * const held = await store.reservations.reserve({ paymentKey, offerDigest, requestDigest, receiptId, validBefore, now });
 */
export function openStore(options: {
  readonly file: string;
  /** Bytes of stored answers: one, and all. Default 4 MiB and 256 MiB. */
  readonly answerLimits?: { readonly one: number; readonly all: number };
}): Store {
  const db = openDatabase(options.file);
  const commits = new GroupCommit(db, options.file);
  const owner = randomUUID();
  const offers = openOffers(db, commits);
  const nonces = openNonces(db, commits);
  const answers = openAnswers(db, commits, options.answerLimits ?? { one: 4 << 20, all: 256 << 20 });
  const reservations = openReservations(db, commits, owner);
  return {
    offers,
    nonces,
    answers,
    reservations,
    receipts: openReceipts(db, commits),
    settleJobs: openSettleJobs(db, commits),
    debts: openDebts(db, commits),
    facts: openFacts(db, commits),
    commits: () => commits.commits,
    purge: async (now) => {
      const second = Math.floor(now / 1000);
      await Promise.all([
        offers.purge(second - hour),
        nonces.purge(second),
        answers.purge(now),
        // A week: long after every stored answer of it, and far from any clock that is set back.
        reservations.purge(second - 7 * 24 * hour),
      ]);
    },
    close: async () => {
      commits.close();
      leave(db, owner);
      db.close();
    },
  };
}
