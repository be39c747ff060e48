import { DatabaseSync } from "node:sqlite";
import { CountersignError } from "@countersign/core";
import { migrations } from "./migrations.ts";

// Result codes of SQLite that mean that the file itself is damaged or no database (sqlite.org/rescode.html).
const damaged = new Set([11, 26]);

/** Any failure of SQLite as one of ours; everything else passes through. */
export function explain(error: unknown, file: string): unknown {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  if (typeof code !== "number") return error;
  if (!damaged.has(code & 0xff)) {
    return new CountersignError("INTERNAL", { message: "The store refused an operation.", cause: error });
  }
  return corrupt(file, (error as Error).message, error);
}

function corrupt(file: string, why: string, cause?: unknown): CountersignError {
  return new CountersignError("STORE_CORRUPT", {
    message: `The store ${file} cannot be used.`,
    why,
    remedy: "Restore the file from a backup. Do not delete it: it says what was paid and what is owed.",
    cause,
  });
}

/**
 * Opens the database: WAL, an fsync for each commit, foreign keys, and the newest schema.
 *
 * @throws STORE_CORRUPT when the file is damaged, is no database, or was written by a newer version.
 */
export function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { timeout: 10_000, enableForeignKeyConstraints: true });
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;");
    // Answers are private and kept for minutes: what was forgotten is overwritten, not only unlinked.
    db.exec("PRAGMA secure_delete = ON");
    const check = db.prepare("PRAGMA quick_check(1)").get() as { quick_check?: string } | undefined;
    if (check?.quick_check !== "ok") throw corrupt(file, check?.quick_check ?? "the integrity check gave no answer");
    migrate(db, file);
    return db;
  } catch (error) {
    db?.close();
    throw explain(error, file);
  }
}

function migrate(db: DatabaseSync, file: string): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    db.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT");
    const row = db.prepare("SELECT coalesce(max(version), 0) AS version FROM migrations").get() as { version: number };
    if (row.version > migrations.length) {
      throw corrupt(file, `It has schema ${row.version}; this program knows ${migrations.length}.`);
    }
    const done = db.prepare("INSERT INTO migrations (version, applied_at) VALUES (?, unixepoch())");
    for (const [i, sql] of migrations.entries()) {
      if (i < row.version) continue;
      db.exec(sql);
      done.run(i + 1);
    }
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}
