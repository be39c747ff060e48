import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * A command under a limit that keeps its process, and all that it starts, from ever leaving a core file: a file with
 * prompts and keys in it, which anybody could ask for by a signal.
 *
 * One byte where `prlimit` is there, none else. Linux hands a core to a program that the system names (`|…` in core_pattern)
 * also under a limit of none, and only under one byte does not; a file needs more than one byte in either case.
 */
export function withoutCore(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((f) => f !== "");
  const prlimit = folders.map((f) => join(f, "prlimit")).find(existsSync);
  return prlimit === undefined
    ? ["/bin/sh", ["-c", 'ulimit -c 0 && exec "$@"', "sh", program, ...args]]
    : [prlimit, ["--core=1:1", "--", program, ...args]];
}

/** Bytes of a core file that the hard limit of a process allows, by its `/proc/…/limits`; null where that does not say. */
export function coreLimitOf(limits: string): number | null {
  const hard = /^Max core file size +\S+ +([0-9]+|unlimited) /m.exec(limits)?.[1];
  if (hard === undefined) return null;
  return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}
