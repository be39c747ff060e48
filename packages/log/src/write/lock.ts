import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CountersignError } from "@countersign/core";

/**
 * Holds the one right to write to a directory; returns what gives it back.
 *
 * The lock is the kernel's, on a file that SQLite opens exclusively: it goes with its process, so a dead writer's lock
 * is never in the way and never has to be guessed stale.
 *
 * @throws CountersignError LOG_LOCKED while somebody holds it, this process included.
 */
export function lockDirectory(dir: string): () => void {
  const database = new DatabaseSync(join(dir, "lock"), { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    throw new CountersignError("LOG_LOCKED", {
      message: `Another writer has the log in ${dir} open.`,
      why: "Two writers would give one index to two entries.",
      remedy: "Stop the other process, or open the log for reading.",
      cause,
    });
  }
  return () => database.close();
}
