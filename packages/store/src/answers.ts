import type { DatabaseSync } from "node:sqlite";
import type { Hex } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";
import { type PaymentKey, paymentKeyText } from "./reservations.ts";

/** A paid answer, kept for a while so that a client whose connection broke gets it without paying again (P16). */
export type StoredAnswer = {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
};

/** Private answers by payment and request: only who signed the payment for this very request reads them. */
export type Answers = {
  /** Keeps an answer until `expires` (ms). False when it is larger than the store's limit for one answer. */
  readonly put: (key: PaymentKey, requestDigest: Hex, answer: StoredAnswer, expires: number) => Promise<boolean>;
  readonly get: (key: PaymentKey, requestDigest: Hex, now: number) => Promise<StoredAnswer | undefined>;
  /** Forgets what expired; returns how many. */
  readonly purge: (now: number) => Promise<number>;
};

/** Bounds in bytes: of one answer, and of all together (those that expire first go first). */
export type AnswerLimits = { readonly one: number; readonly all: number };

export function openAnswers(db: DatabaseSync, commits: GroupCommit, limits: AnswerLimits): Answers {
  const put = db.prepare(
    "INSERT INTO answers (payment, request, status, headers, body, bytes, expires) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const get = db.prepare("SELECT status, headers, body FROM answers WHERE payment = ? AND request = ? AND expires > ?");
  const purge = db.prepare("DELETE FROM answers WHERE expires <= ?");
  const total = db.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM answers");
  const first = db.prepare("SELECT payment, request, bytes FROM answers ORDER BY expires LIMIT 1");
  const drop = db.prepare("DELETE FROM answers WHERE payment = ? AND request = ?");
  let held = (total.get() as { bytes: number }).bytes;
  const measure = () => {
    held = (total.get() as { bytes: number }).bytes;
  };
  return {
    put: (key, requestDigest, answer, expires) =>
      commits.run(() => {
        const headers = JSON.stringify(answer.headers);
        const bytes = answer.body.length + headers.length;
        if (bytes > limits.one) return false;
        put.run(paymentKeyText(key), requestDigest, answer.status, headers, answer.body, bytes, expires);
        held += bytes;
        if (held > limits.all) measure();
        while (held > limits.all) {
          const oldest = first.get() as { payment: string; request: string; bytes: number };
          drop.run(oldest.payment, oldest.request);
          held -= oldest.bytes;
        }
        return true;
      }),
    get: async (key, requestDigest, now) => {
      const row = get.get(paymentKeyText(key), requestDigest, now) as
        | { status: number; headers: string; body: Uint8Array }
        | undefined;
      return row && { status: row.status, headers: JSON.parse(row.headers), body: row.body };
    },
    purge: (now) =>
      commits.run(() => {
        const gone = Number(purge.run(now).changes);
        measure();
        return gone;
      }),
  };
}
