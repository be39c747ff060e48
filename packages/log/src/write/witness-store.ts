import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CountersignError, fromUtf8, sha256Hex, utf8 } from "@countersign/core";
import { lockDirectory } from "./lock.ts";
import { syncDirectory } from "./wal.ts";

/** What a witness remembers: the last cosigned note of each origin. */
export type WitnessStore = {
  readonly read: (origin: string) => Promise<string | undefined>;
  /** Replaces `before` by `after` durably; false, and nothing changed, when `before` is no longer what is stored. */
  readonly swap: (origin: string, before: string | undefined, after: string) => Promise<boolean>;
};

/** A store in memory: for tests, never for a witness that others rely on. */
export function memoryWitnessStore(): WitnessStore {
  const notes = new Map<string, string>();
  return {
    async read(origin) {
      return notes.get(origin);
    },
    async swap(origin, before, after) {
      if (notes.get(origin) !== before) return false;
      notes.set(origin, after);
      return true;
    },
  };
}

/** A store in a directory, one file an origin, on the disk before `swap` answers. @throws CountersignError LOG_LOCKED while another witness has it. */
export function openWitnessStore(dir: string): WitnessStore & { readonly close: () => void } {
  mkdirSync(dir, { recursive: true });
  const unlock = lockDirectory(dir);
  const fileOf = (origin: string) => join(dir, `${sha256Hex(utf8(origin))}.note`);
  const read = (origin: string): string | undefined => {
    try {
      return fromUtf8(readFileSync(fileOf(origin)));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new CountersignError("LOG_CORRUPT", {
        message: `The witness's record of ${origin} cannot be read.`,
        cause,
      });
    }
  };
  return {
    async read(origin) {
      return read(origin);
    },
    // Synchronous from comparison to replacement: two requests of this process cannot interleave, others are locked out.
    async swap(origin, before, after) {
      if (read(origin) !== before) return false;
      const file = fileOf(origin);
      const fd = openSync(`${file}.tmp`, "w");
      try {
        writeSync(fd, utf8(after));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(`${file}.tmp`, file);
      syncDirectory(dir);
      return true;
    },
    close: unlock,
  };
}
