import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CountersignError } from "@countersign/core";
import { type OpeningCounter, spent } from "../opening-counter.ts";

/** Where a counter lives. */
export type CounterPlace = {
  /** File beside the opening's secret: what a backup of the opening would hold. */
  readonly file: string;
  /** File on a disk that is never restored with the opening; when the two disagree the commitment is retired. */
  readonly ledger: string;
  /** Hexadecimal root of the commitment. */
  readonly root: string;
  /** Openings in all, or the share of this process when several hold shares of one budget. */
  readonly budget: number;
  /** Makes the two files; only for a commitment with a new secret. Without it a counter that is not there is retired. */
  readonly create?: boolean;
};

type State = { readonly root: string; readonly budget: number; readonly used: number };

/** A counter in two files, each flushed before `take` returns; one process at a time, by a lock file. */
export function countInFiles(place: CounterPlace): OpeningCounter & { readonly close: () => void } {
  const lock = `${place.file}.lock`;
  if (place.create) {
    mkdirSync(dirname(place.file), { recursive: true });
    mkdirSync(dirname(place.ledger), { recursive: true });
  } else if (!existsSync(dirname(place.file))) throw gone();
  const token = acquire(lock);
  let open = true;
  const close = (): void => {
    // Where an operator removed the lock it may be another process's by now.
    if (open && holds(lock, token)) rmSync(lock, { force: true });
    open = false;
  };
  try {
    if (place.create) create(place);
    else agree(place);
  } catch (error) {
    close();
    throw error;
  }
  return {
    budget: place.budget,
    lasting: true,
    close,
    take: () => {
      if (!open) throw busy("The counter was closed.");
      if (!holds(lock, token)) throw busy(`The lock ${lock} is no longer this process's.`);
      const { used } = agree(place);
      if (used >= place.budget) throw spent(place.budget);
      // The ledger goes first: a crash between the two leaves it ahead, which counts as one opening lost.
      write(place.ledger, { root: place.root, budget: place.budget, used: used + 1 });
      write(place.file, { root: place.root, budget: place.budget, used: used + 1 });
      return used;
    },
  };
}

const busy = (message: string): CountersignError => new CountersignError("ZK_OPENING_BUSY", { message });
const retired = (message: string): CountersignError =>
  new CountersignError("ZK_OPENING_RETIRED", {
    message,
    why: "A backup was restored, a machine cloned or a file edited: openings may have been used that are not counted.",
    remedy: "Commit again, and link or register the new root.",
  });

const gone = (): CountersignError => retired("The counter is gone: what was opened is not known.");

/** Takes the lock and returns what is written in it. */
function acquire(lock: string): string {
  const token = `${process.pid} ${randomBytes(16).toString("hex")}\n`;
  try {
    const file = openSync(lock, "wx");
    writeSync(file, token);
    fsyncSync(file);
    closeSync(file);
    return token;
  } catch (cause) {
    throw new CountersignError("ZK_OPENING_BUSY", {
      message: `The lock ${lock} is taken.`,
      remedy: "Wait for the other process; after a crash make sure that none uses the opening, then remove the file.",
      cause,
    });
  }
}

function holds(lock: string, token: string): boolean {
  try {
    return readFileSync(lock, "utf8") === token;
  } catch {
    return false;
  }
}

function create(place: CounterPlace): void {
  if (existsSync(place.file) || existsSync(place.ledger)) throw retired("There is a counter at this place already.");
  const state = { root: place.root, budget: place.budget, used: 0 };
  write(place.ledger, state);
  write(place.file, state);
}

/**
 * The count that both files hold. The ledger may be one ahead, after a crash; any other difference retires the root.
 * After that crash the file is written anew, so that a second crash is not taken for a restore.
 */
function agree(place: CounterPlace): State {
  const own = read(place.file);
  const ledger = read(place.ledger);
  if (!own && !ledger) throw gone();
  if (!ledger) throw retired("The ledger of openings is gone.");
  for (const state of [own, ledger])
    if (state && (state.root !== place.root || state.budget !== place.budget))
      throw retired("The counter belongs to another commitment or budget.");
  // Only a crash while the two are made leaves a ledger, at nothing, without a file.
  if (!own && ledger.used > 0) throw retired("The counter's file is gone.");
  const behind = ledger.used - (own?.used ?? 0);
  if (behind !== 0 && behind !== 1) throw retired(`The counter says ${own?.used ?? 0} and its ledger ${ledger.used}.`);
  if (!own || behind === 1) write(place.file, ledger);
  return ledger;
}

function read(path: string): State | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as State;
    if (
      typeof state.root === "string" &&
      Number.isInteger(state.budget) &&
      Number.isInteger(state.used) &&
      state.used >= 0
    )
      return state;
  } catch {
    // Told below.
  }
  throw retired(`${path} cannot be read.`);
}

/** Writes beside, flushes, renames, flushes the folder: after a power cut the old or the new count is there. */
function write(path: string, state: State): void {
  const beside = `${path}.next`;
  const file = openSync(beside, "w");
  try {
    writeSync(file, `${JSON.stringify(state)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  flushFolder(join(path, ".."));
}

function flushFolder(path: string): void {
  // Windows cannot open folders; there the rename is flushed by the file system.
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
