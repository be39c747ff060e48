import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { CountersignError, concat, equalBytes, type Suite } from "@countersign/core";
import { type FsckFault, type FsckReport, fsckLog } from "../fsck.ts";
import { encodeBundle, parseTilePath, type TileLevel, tilePath, tileWidth } from "../tile.ts";
import type { VerifierKey } from "../vkey.ts";
import { readDirectory } from "./directory.ts";
import { nativeSha256 } from "./native-hash.ts";
import { joinSegments, readSegments } from "./wal.ts";

/**
 * Checks every file of a log's directory: what `fsckLog` reads, every partial file beside it, and the write-ahead log.
 *
 * The log may be open meanwhile only if nothing is appended. Changes nothing.
 */
export async function fsckDirectory(options: {
  readonly dir: string;
  readonly log: VerifierKey;
  /** Their cosignatures on the checkpoint are checked too. */
  readonly witnesses?: readonly VerifierKey[];
  readonly suite: Suite;
  readonly onProgress?: (entries: number, size: number) => void;
}): Promise<FsckReport> {
  const { dir, log, suite } = options;
  const faults: FsckFault[] = [];
  const seen = new Set(["checkpoint"]);
  let files = 0;
  const paths = listFiles(join(dir, "tile")).map((file) => relative(dir, file).split(sep).join("/"));
  const partials = new Map<string, number[]>();
  for (const path of paths) {
    const address = parseTilePath(path);
    if (address === undefined) faults.push({ path, reason: "The file is none that a log has." });
    else if (address.width < tileWidth) {
      const full = tilePath({ ...address, width: tileWidth });
      partials.set(full, [...(partials.get(full) ?? []), address.width]);
    }
  }
  const wal = readWal(join(dir, "wal"), faults);
  const report = await fsckLog({
    fetchTile: readDirectory(dir),
    log,
    suite,
    hash: nativeSha256,
    ...(options.witnesses && {
      witnesses: { witnesses: options.witnesses.map((key) => ({ name: key.name, key })), quorum: { kind: "none" } },
    }),
    ...(options.onProgress && { onProgress: options.onProgress }),
    async onTile(level: TileLevel, index, items) {
      const full = tilePath({ level, index, width: tileWidth });
      seen.add(tilePath({ level, index, width: items.length }));
      for (const width of partials.get(full) ?? []) {
        const path = tilePath({ level, index, width });
        // A width past the checkpoint's is what a stopped writer left; opening the log removes it.
        if (width > items.length) continue;
        seen.add(path);
        files += 1;
        const part = items.slice(0, width);
        const bytes = level === "entries" ? encodeBundle(part) : concat(...part);
        if (!equalBytes(await readFile(join(dir, path)), bytes))
          faults.push({ path, reason: "The partial file is not the beginning of the full one." });
      }
      if (level !== "entries" || !wal) return;
      for (const [i, entry] of items.entries()) {
        const logged = wal.entries[index * tileWidth + i - wal.start];
        if (logged && !equalBytes(logged, entry))
          faults.push({ path: "wal", reason: `Entry ${index * tileWidth + i} is another one than in its bundle.` });
      }
    },
  });
  // After a broken bundle nothing more could be compared, so "unnamed" would accuse files that were not looked at.
  for (const path of report.entries === report.size ? paths : [])
    if (!seen.has(path) && parseTilePath(path)) faults.push({ path, reason: "No checkpoint names the file." });
  return { ...report, files: report.files + files, faults: [...report.faults, ...faults] };
}

function readWal(dir: string, faults: FsckFault[]): ReturnType<typeof joinSegments> | undefined {
  try {
    const found = readSegments(dir);
    for (const { name, file, segment } of found)
      if (file.subarray(segment.validBytes).some((byte) => byte !== 0))
        faults.push({ path: `wal/${name}`, reason: "There is an unfinished commit at its end." });
    return joinSegments(found);
  } catch (error) {
    faults.push({ path: "wal", reason: CountersignError.is(error) ? error.detail.message : String(error) });
    return undefined;
  }
}

function listFiles(dir: string): readonly string[] {
  try {
    return readdirSync(dir, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
