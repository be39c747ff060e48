import { CountersignError, concat, sha256 } from "@countersign/core";
import { encodeBundle, tilePath, tileWidth } from "./tile.ts";
import type { FetchTile } from "./tile-reader.ts";
import { Frontier, hashLeaf, type Sha256 } from "./tree.ts";

/** A whole log in memory: every resource of one size by its path, for exports, browsers and tests. */
export type StaticLog = {
  readonly size: number;
  readonly root: Uint8Array;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Reads `files`; @throws CountersignError ENDPOINT_UNKNOWN for a path that is not there. */
  readonly fetchTile: FetchTile;
};

/** Lays entries out as tiles and bundles (C2SP tlog-tiles), full ones and the partial ones of exactly this size. */
export function layOutLog(entries: readonly Uint8Array[], hash: Sha256 = sha256): StaticLog {
  const files = new Map<string, Uint8Array>();
  const levels = new Map<number, Uint8Array[]>();
  const frontier = new Frontier(hash);
  for (const entry of entries)
    frontier.push(hashLeaf(entry, hash), (level, node) => {
      if (level % 8 !== 0) return;
      const hashes = levels.get(level / 8) ?? [];
      hashes.push(node);
      levels.set(level / 8, hashes);
    });
  const store = <T>(level: number | "entries", items: readonly T[], encode: (part: readonly T[]) => Uint8Array) => {
    for (let index = 0; index * tileWidth < items.length; index++) {
      const part = items.slice(index * tileWidth, (index + 1) * tileWidth);
      files.set(tilePath({ level, index, width: part.length }), encode(part));
    }
  };
  store("entries", entries, encodeBundle);
  for (const [level, hashes] of levels) store(level, hashes, (part) => concat(...part));
  return {
    size: entries.length,
    root: frontier.root(),
    files,
    async fetchTile(path) {
      const bytes = files.get(path);
      if (bytes === undefined) throw new CountersignError("ENDPOINT_UNKNOWN", { message: `The log has no ${path}.` });
      return bytes;
    },
  };
}
