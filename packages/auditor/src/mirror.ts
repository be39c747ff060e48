import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CountersignError, concat, equalBytes, type Json, parseJson, uint } from "@countersign/core";
import { type Checkpoint, type FetchTile, Frontier, hashLeaf, layOutLog } from "@countersign/log";
import { nativeSha256 } from "@countersign/log/write";
import { readIfThere, replaceFile } from "./durable.ts";

/** The auditor's own copy of a log: every entry, under a root that it computed itself. */
export type Mirror = {
  readonly size: () => number;
  /** The signed note under which the copy stands, none before the first. */
  readonly note: () => string | undefined;
  /** Entries in order, from the disk. */
  readonly entries: () => readonly Uint8Array[];
  /** The copy as tiles: what an older checkpoint is compared with, whatever the log serves today. */
  readonly tiles: () => FetchTile;
  /**
   * Appends entries so that the copy is the checkpoint's tree; on the disk when it returns.
   *
   * @throws ROOT_MISMATCH, and nothing changes, when the entries do not hash to the checkpoint's root.
   */
  readonly extend: (entries: readonly Uint8Array[], checkpoint: Checkpoint & { readonly note: string }) => void;
  readonly close: () => void;
};

type State = { readonly note: string; readonly size: number; readonly bytes: number };

const corrupt = (dir: string, why: string, cause?: unknown) =>
  new CountersignError("LOG_CORRUPT", {
    message: `The auditor's copy of the log in ${dir} cannot be used.`,
    why,
    remedy: "Keep it as evidence and find out why. An auditor that starts over has forgotten what it signed.",
    cause,
  });

function readState(dir: string): State | undefined {
  const text = readIfThere(join(dir, "state.json"));
  if (text === undefined) return undefined;
  let value: Json;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw corrupt(dir, "state.json is damaged.", cause);
  }
  const { note, size, bytes } = (value ?? {}) as Partial<State>;
  if (typeof note !== "string" || !Number.isSafeInteger(size) || !Number.isSafeInteger(bytes))
    throw corrupt(dir, "state.json has another form.");
  return { note, size: size as number, bytes: bytes as number };
}

function split(dir: string, data: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const length = ((data[at] as number) << 8) | (data[at + 1] ?? 0);
    if (at + 2 + length > data.length) throw corrupt(dir, "entries.bin ends inside an entry.");
    out.push(data.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return out;
}

/**
 * Opens the copy in a directory and hashes all of it again.
 *
 * @param rootOf Reads the root from the stored note, after checking the log's signature on it.
 * @throws LOG_CORRUPT when the files do not hash to it.
 */
export function openMirror(dir: string, rootOf: (note: string) => Checkpoint): Mirror {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, "entries.bin");
  let state = readState(dir);
  const fd = openSync(file, "a+", 0o600);
  const read = () => split(dir, readFileSync(file).subarray(0, state?.bytes ?? 0));
  let frontier = new Frontier(nativeSha256);
  try {
    // What was written after the last state never counted: the process died between the two.
    ftruncateSync(fd, state?.bytes ?? 0);
    for (const entry of read()) frontier.push(hashLeaf(entry, nativeSha256));
    if (state) {
      const { size, root } = rootOf(state.note);
      if (frontier.size !== size || size !== state.size || !equalBytes(frontier.root(), root))
        throw corrupt(dir, "Its entries do not hash to the checkpoint that it stands under.");
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    size: () => state?.size ?? 0,
    note: () => state?.note,
    entries: read,
    tiles: () => layOutLog(read(), nativeSha256).fetchTile,
    extend(entries, { size, root, note }) {
      const next = new Frontier(nativeSha256);
      next.size = frontier.size;
      next.nodes.push(...frontier.nodes);
      for (const entry of entries) next.push(hashLeaf(entry, nativeSha256));
      if (next.size !== size || !equalBytes(next.root(), root))
        throw new CountersignError("ROOT_MISMATCH", {
          message: `The entries that the log serves do not hash to its checkpoint of ${size}.`,
        });
      const data = concat(...entries.flatMap((entry) => [uint(entry.length, 2), entry]));
      if (data.length > 0) {
        writeSync(fd, data);
        fsyncSync(fd);
      }
      const after = { note, size, bytes: (state?.bytes ?? 0) + data.length };
      replaceFile(join(dir, "state.json"), `${JSON.stringify(after)}\n`);
      state = after;
      frontier = next;
    },
    close: () => closeSync(fd),
  };
}
