import { closeSync, fdatasync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { CountersignError, equalBytes, fromUtf8, type Suite, utf8 } from "@countersign/core";
import { formatCheckpoint } from "../checkpoint.ts";
import { openCheckpoint } from "../client.ts";
import { signNote } from "../note.ts";
import type { VerifierKey } from "../vkey.ts";
import type { Head, OpenLogOptions } from "./options.ts";

const sync = promisify(fdatasync);

/** The last checkpoint of a directory, or undefined. @throws CountersignError LOG_CORRUPT when it is not this log's own. */
export function readHead(dir: string, log: VerifierKey, suite: Suite): Head | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(join(dir, "checkpoint"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return openCheckpoint(fromUtf8(bytes), { log, suite });
  } catch (cause) {
    throw new CountersignError("LOG_CORRUPT", {
      message: `The checkpoint in ${dir} is not one that this log's key signed.`,
      remedy: "Open the log with its own origin and key, or restore the checkpoint from a copy.",
      cause,
    });
  }
}

/** Signs a state. @throws CountersignError LOG_CORRUPT when it is not a later state than the published one. */
export function signHead(options: OpenLogOptions, size: number, root: Uint8Array, published: Head | undefined): Head {
  // The order of entries is on the disk before any root over it is signed, so one size has one root, crash or not.
  if (published && (size < published.size || (size === published.size && !equalBytes(root, published.root))))
    throw new CountersignError("LOG_CORRUPT", {
      message: `The log would contradict its checkpoint of ${published.size}.`,
    });
  const text = formatCheckpoint({ origin: options.origin, size, root });
  return { size, root, note: signNote(text, { name: options.origin, signer: options.signer }) };
}

/** Replaces the published checkpoint; readers see the old one or the new one, never half of either. */
export async function publishHead(dir: string, { note }: Head): Promise<void> {
  const file = join(dir, "checkpoint");
  const fd = openSync(`${file}.tmp`, "w");
  try {
    writeSync(fd, utf8(note));
    await sync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.tmp`, file);
}
