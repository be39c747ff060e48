import type { DatabaseSync } from "node:sqlite";
import type { GroupCommit } from "./group-commit.ts";

/** Money that one side owes the other after something went wrong. */
export type Debt = {
  readonly id: number;
  /** Unique, so that one event makes one debt, such as a payment's key text. */
  readonly reference: string;
  /** Who owes. */
  readonly debtor: "us" | "them";
  /** The other side's address. */
  readonly party: string;
  readonly asset: string;
  /** In the asset's smallest unit. */
  readonly amount: string;
  readonly reason: string;
  readonly madeAt: number;
  /** What cleared it, such as a transaction hash; null while it is open. */
  readonly clearedBy: string | null;
};

/** What we owe and what we are owed. */
export type Debts = {
  /** Adds a debt; false when its reference is known already. */
  readonly add: (debt: Omit<Debt, "id" | "clearedBy">) => Promise<boolean>;
  readonly clear: (reference: string, clearedBy: string) => Promise<boolean>;
  readonly open: (debtor: Debt["debtor"], party?: string) => Promise<readonly Debt[]>;
  /** Sum of the open debts in one asset: what a credit limit is held against. */
  readonly total: (debtor: Debt["debtor"], asset: string, party?: string) => Promise<bigint>;
};

type Row = Omit<Debt, "madeAt" | "clearedBy"> & { made_at: number; cleared_by: string | null };

export function openDebts(db: DatabaseSync, commits: GroupCommit): Debts {
  const add = db.prepare(
    "INSERT INTO debts (reference, debtor, party, asset, amount, reason, made_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
  );
  const clear = db.prepare("UPDATE debts SET cleared_by = ? WHERE reference = ? AND cleared_by IS NULL");
  const open = db.prepare(
    "SELECT * FROM debts WHERE debtor = ?1 AND (?2 IS NULL OR party = ?2) AND cleared_by IS NULL ORDER BY id",
  );
  const list = (debtor: string, party?: string) =>
    (open.all(debtor, party ?? null) as Row[]).map(
      ({ made_at, cleared_by, ...rest }): Debt => ({ ...rest, madeAt: made_at, clearedBy: cleared_by }),
    );
  return {
    add: (d) =>
      commits.run(
        () => Number(add.run(d.reference, d.debtor, d.party, d.asset, d.amount, d.reason, d.madeAt).changes) === 1,
      ),
    clear: (reference, by) => commits.run(() => Number(clear.run(by, reference).changes) === 1),
    open: async (debtor, party) => list(debtor, party),
    total: async (debtor, asset, party) =>
      list(debtor, party).reduce((sum, d) => (d.asset === asset ? sum + BigInt(d.amount) : sum), 0n),
  };
}
