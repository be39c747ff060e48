import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CountersignError } from "@countersign/core";
import { decodeBundle, encodeBundle, parseTilePath, type TileAddress, tilePath, tileWidth } from "../tile.ts";
import type { FetchTile } from "../tile-reader.ts";

/**
 * Reads a log's public files from its directory: the checkpoint, tiles and bundles, nothing else.
 *
 * The file's path is written anew from the parsed numbers, so no request can name another file.
 *
 * @throws CountersignError ENDPOINT_UNKNOWN for a path that the log does not have.
 */
export function readDirectory(dir: string): FetchTile {
  return async (path) => {
    const address = path === "checkpoint" ? undefined : parseTilePath(path);
    if (path !== "checkpoint" && address === undefined) throw unknown(path);
    const found = await readIfThere(join(dir, address === undefined ? "checkpoint" : tilePath(address)));
    const bytes = found ?? (address && (await cutFromWider(dir, address)));
    if (bytes === undefined) throw unknown(path);
    return bytes;
  };
}

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** A partial tile or bundle as the beginning of the full one, or of a wider partial one: a prefix never changes. */
async function cutFromWider(dir: string, address: TileAddress): Promise<Uint8Array | undefined> {
  if (address.width === tileWidth) return undefined;
  const full = join(dir, tilePath({ ...address, width: tileWidth }));
  const names = await readdir(`${full}.p`).catch(() => []);
  const wider = names.map(Number).filter((width) => width > address.width && width < tileWidth);
  for (const [file, width] of [[full, tileWidth] as const, ...wider.map((w) => [`${full}.p/${w}`, w] as const)]) {
    const bytes = await readIfThere(file);
    if (bytes === undefined) continue;
    if (address.level !== "entries") return bytes.subarray(0, 32 * address.width);
    return encodeBundle(decodeBundle(bytes, width).slice(0, address.width));
  }
  return undefined;
}

const unknown = (path: string) =>
  new CountersignError("ENDPOINT_UNKNOWN", { message: `The log has nothing at ${JSON.stringify(path)}.` });
