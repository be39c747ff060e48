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
};

type State = { readonly root: string; readonly budget: number; readonly used: number };

/** A counter in two files, each flushed before `take` returns; one process at a time, by a lock file. */
export function countInFiles(place: CounterPlace): OpeningCounter & { readonly close: () => void } {
  const lock = `${place.file}.lock`;
  mkdirSync(dirname(place.file), { recursive: true });
  mkdirSync(dirname(place.ledger), { recursive: true });
  acquire(lock);
  let open = true;
  const close = (): void => {
    if (open) rmSync(lock, { force: true });
    open = false;
  };
  try {
    agree(place);
  } catch (error) {
    close();
    throw error;
  }
  return {
    budget: place.budget,
    close,
    take: () => {
      if (!open) throw busy("The counter was closed.");
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

function acquire(lock: string): void {
  try {
    const file = openSync(lock, "wx");
    writeSync(file, `${process.pid}\n`);
    fsyncSync(file);
    closeSync(file);
  } catch (cause) {
    throw new CountersignError("ZK_OPENING_BUSY", {
      message: `The lock ${lock} is taken.`,
      remedy: "Wait for the other process; after a crash make sure that none uses the opening, then remove the file.",
      cause,
    });
  }
}

/** The count that both files hold. The ledger may be one ahead, after a crash; any other difference retires the root. */
function agree(place: CounterPlace): State {
  const own = read(place.file);
  const ledger = read(place.ledger);
  if (!own && !ledger) return { root: place.root, budget: place.budget, used: 0 };
  if (!ledger) throw retired("The ledger of openings is gone.");
  for (const state of [own, ledger])
    if (state && (state.root !== place.root || state.budget !== place.budget))
      throw retired("The counter belongs to another commitment or budget.");
  const behind = ledger.used - (own?.used ?? 0);
  if (behind !== 0 && behind !== 1) throw retired(`The counter says ${own?.used ?? 0} and its ledger ${ledger.used}.`);
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
