import type { DatabaseSync } from "node:sqlite";
import { CountersignError } from "@countersign/core";
import { explain } from "./database.ts";

type Waiting = {
  readonly operation: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

/** How many operations share one transaction at most: a longer one would hold up whoever else reads the file. */
const largest = 1024;

/**
 * Every write of the process, in order, many to a transaction.
 *
 * A caller's promise settles after the fsync of the transaction that holds its write, so "reserved" means on disk. What
 * arrives while one transaction commits goes into the next: the throughput is not bound to one request an fsync.
 */
export class GroupCommit {
  readonly #db: DatabaseSync;
  readonly #file: string;
  #waiting: Waiting[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;
  /** How many transactions were committed. */
  commits = 0;

  constructor(db: DatabaseSync, file: string) {
    this.#db = db;
    this.#file = file;
  }

  /** Runs a synchronous operation inside the next transaction; what it throws undoes it alone. */
  run<T>(operation: () => T): Promise<T> {
    if (this.#closed) {
      return Promise.reject(new CountersignError("INTERNAL", { message: "The store is closed." }));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operation, resolve: resolve as (value: unknown) => void, reject });
      this.#scheduled ??= setImmediate(() => this.#flush());
    });
  }

  /** Commits what waits and takes nothing more. */
  close(): void {
    this.#closed = true;
    // Before the flushes, which forget the timer: it would go off when the file is closed.
    if (this.#scheduled) clearImmediate(this.#scheduled);
    while (this.#waiting.length > 0) {
      this.#flush();
      if (this.#scheduled) clearImmediate(this.#scheduled);
    }
  }

  #flush(): void {
    const batch = this.#waiting.slice(0, largest);
    this.#waiting = this.#waiting.slice(largest);
    this.#scheduled = this.#waiting.length > 0 ? setImmediate(() => this.#flush()) : undefined;
    const answers: (() => void)[] = [];
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      for (const one of batch) answers.push(this.#attempt(one));
      this.#db.exec("COMMIT");
      this.commits++;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      // Nothing of the batch is on disk: nobody may be told otherwise.
      for (const one of batch) one.reject(explain(error, this.#file));
      return;
    }
    for (const answer of answers) answer();
  }

  #attempt(one: Waiting): () => void {
    this.#db.exec("SAVEPOINT operation");
    try {
      const value = one.operation();
      this.#db.exec("RELEASE operation");
      return () => one.resolve(value);
    } catch (error) {
      // A full disk ends the whole transaction by itself; then this throws, and the whole batch is refused.
      this.#db.exec("ROLLBACK TO operation; RELEASE operation");
      return () => one.reject(explain(error, this.#file));
    }
  }
}
