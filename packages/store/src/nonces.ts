import type { DatabaseSync } from "node:sqlite";
import { CountersignError, type Hex } from "@countersign/core";
import type { GroupCommit } from "./group-commit.ts";

/** One use of a client nonce. */
export type NonceUse = {
  readonly clientNonce: Hex;
  readonly offerDigest: Hex;
  /** Who uses it: the payment, or the receipt id where nothing is paid. The same holder may come again. */
  readonly holder: string;
  /** Second after which the row may be forgotten: the offer is void by then. */
  readonly expires: number;
};

/** Client nonces: each is used once under an offer (protocol-review A4: one request, one receipt). */
export type Nonces = {
  /** @throws NONCE_REPLAYED when another holder used the nonce under this offer. */
  readonly use: (use: NonceUse) => Promise<void>;
  readonly purge: (before: number) => Promise<number>;
};

/** The same inside a transaction that is open already. */
export function nonceUser(db: DatabaseSync): (use: NonceUse) => void {
  const add = db.prepare(
    "INSERT INTO client_nonces (nonce, offer, holder, expires) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const holder = db.prepare("SELECT holder FROM client_nonces WHERE nonce = ? AND offer = ?");
  return (use) => {
    add.run(use.clientNonce, use.offerDigest, use.holder, use.expires);
    const row = holder.get(use.clientNonce, use.offerDigest) as { holder: string };
    if (row.holder === use.holder) return;
    throw new CountersignError("NONCE_REPLAYED", {
      message: "This client nonce was already used under this offer.",
      why: "Two runs under one nonce and one offer would be two receipts for one request.",
      remedy: "Ask for a new offer with a fresh nonce.",
    });
  };
}

export function openNonces(db: DatabaseSync, commits: GroupCommit): Nonces {
  const use = nonceUser(db);
  const purge = db.prepare("DELETE FROM client_nonces WHERE expires < ?");
  return {
    use: (one) => commits.run(() => use(one)),
    purge: (before) => commits.run(() => Number(purge.run(before).changes)),
  };
}
