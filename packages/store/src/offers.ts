import type { DatabaseSync } from "node:sqlite";
import type { Envelope, Hex, Json } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";

/** An offer as the gateway made it. */
export type StoredOffer = {
  readonly envelope: Envelope;
  /** What the gateway must remember with it, such as the client nonce that it drew. */
  readonly facts: Json;
  /** Second after which the offer is void. */
  readonly expires: number;
};

/** Offers by digest. */
export type Offers = {
  readonly put: (digest: Hex, envelope: Envelope, facts: Json, expires: number) => Promise<void>;
  /** The offer, also after it expired: whoever uses it judges the time. */
  readonly get: (digest: Hex) => Promise<StoredOffer | undefined>;
  /** Forgets offers that expired before a second; returns how many. */
  readonly purge: (before: number) => Promise<number>;
};

export function openOffers(db: DatabaseSync, commits: GroupCommit): Offers {
  const put = db.prepare(
    "INSERT INTO offers (digest, envelope, facts, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const get = db.prepare("SELECT envelope, facts, expires FROM offers WHERE digest = ?");
  // An offer that a payment reserved stays as long as that payment could still be asked about.
  const purge = db.prepare(
    "DELETE FROM offers WHERE expires < ? AND digest NOT IN (SELECT offer FROM reservations WHERE state = 'reserved')",
  );
  return {
    put: (digest, envelope, facts, expires) =>
      commits.run(() => {
        put.run(digest, JSON.stringify(envelope), JSON.stringify(facts), expires);
      }),
    get: async (digest) => {
      const row = get.get(digest) as { envelope: string; facts: string; expires: number } | undefined;
      return row && { envelope: JSON.parse(row.envelope), facts: JSON.parse(row.facts), expires: row.expires };
    },
    purge: (before) => commits.run(() => Number(purge.run(before).changes)),
  };
}
