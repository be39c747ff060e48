/** Schema steps in order. A step that was released is never edited; a change is a new step at the end. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE owners (id TEXT PRIMARY KEY, pid INTEGER NOT NULL, started_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE offers (
    digest TEXT PRIMARY KEY, envelope TEXT NOT NULL, facts TEXT NOT NULL, expires INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX offers_by_expiry ON offers (expires);

  CREATE TABLE reservations (
    network TEXT NOT NULL, asset TEXT NOT NULL, payer TEXT NOT NULL, nonce TEXT NOT NULL,
    payment TEXT NOT NULL UNIQUE,
    offer TEXT NOT NULL, request TEXT NOT NULL, receipt_id TEXT NOT NULL, valid_before INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'released')),
    owner TEXT NOT NULL, made_at INTEGER NOT NULL,
    PRIMARY KEY (network, asset, payer, nonce)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX reservations_in_flight ON reservations (owner) WHERE state = 'reserved';

  CREATE TABLE client_nonces (
    nonce TEXT NOT NULL, offer TEXT NOT NULL, holder TEXT NOT NULL, expires INTEGER NOT NULL,
    PRIMARY KEY (nonce, offer)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX client_nonces_by_expiry ON client_nonces (expires);

  CREATE TABLE receipts (
    id TEXT PRIMARY KEY, root TEXT NOT NULL UNIQUE, body BLOB NOT NULL, made_at INTEGER NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE receipt_evidence (
    root TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (root, seq), UNIQUE (root, digest)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE answers (
    payment TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
    bytes INTEGER NOT NULL, expires INTEGER NOT NULL,
    PRIMARY KEY (payment, request)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX answers_by_expiry ON answers (expires);

  CREATE TABLE settle_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, sender TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'broadcast', 'included', 'final', 'failed')),
    nonce INTEGER, raw TEXT, hash TEXT, hashes TEXT NOT NULL DEFAULT '[]',
    tx TEXT, block INTEGER, block_hash TEXT, code TEXT, why TEXT, made_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX settle_jobs_open ON settle_jobs (sender, id) WHERE state IN ('queued', 'broadcast', 'included');
  CREATE UNIQUE INDEX settle_jobs_nonce ON settle_jobs (sender, nonce) WHERE nonce IS NOT NULL;

  CREATE TABLE debts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL UNIQUE, debtor TEXT NOT NULL, party TEXT NOT NULL,
    asset TEXT NOT NULL, amount TEXT NOT NULL, reason TEXT NOT NULL, made_at INTEGER NOT NULL, cleared_by TEXT
  ) STRICT;
  CREATE INDEX debts_open ON debts (debtor, party) WHERE cleared_by IS NULL;

  CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
  // What an earlier version reserved counts as answered: it did not write down whether it was.
  `
  ALTER TABLE reservations ADD COLUMN amount TEXT NOT NULL DEFAULT '0';
  ALTER TABLE reservations ADD COLUMN answered INTEGER NOT NULL DEFAULT 1;
  CREATE INDEX reservations_unanswered ON reservations (owner) WHERE answered = 0;
  `,
];
