import { CountersignError, sha256 } from "@countersign/core";
import type { ReadNodes } from "./inclusion.ts";
import { decodeTile, tileAt, tilePath, tileWidth } from "./tile.ts";
import { Frontier, type Node, type Sha256 } from "./tree.ts";

/** Fetches one resource of a log by its path below the prefix; rejects when it is not there. */
export type FetchTile = (path: string) => Promise<Uint8Array>;

const levelsPerTile = 8;

/** Fetches a tile or bundle of a tree of `size` leaves; a partial one that is gone is cut from the full one after it. */
async function fetchWidth(
  fetchTile: FetchTile,
  address: { readonly level: number; readonly index: number; readonly width: number },
): Promise<readonly Uint8Array[]> {
  try {
    return decodeTile(await fetchTile(tilePath(address)), address.width);
  } catch (error) {
    if (address.width === tileWidth) throw error;
    const full = { ...address, width: tileWidth };
    const hashes = await fetchTile(tilePath(full)).then(
      (bytes) => decodeTile(bytes, tileWidth),
      () => Promise.reject(error),
    );
    return hashes.slice(0, address.width);
  }
}

/**
 * Reads perfect subtrees' hashes of a tree of `size` leaves from its tiles; each tile is fetched once.
 *
 * Nothing here is authenticated: what is built from it is checked against a signed root afterwards. `leaves` replaces
 * level-0 tiles by hashes that the caller computed, so that a check against the root covers them.
 */
export function readFromTiles(
  fetchTile: FetchTile,
  size: number,
  options: { readonly hash?: Sha256; readonly leaves?: ReadonlyMap<number, readonly Uint8Array[]> } = {},
): ReadNodes {
  const tiles = new Map<string, Promise<readonly Uint8Array[]>>();
  const tile = (level: number, index: number): Promise<readonly Uint8Array[]> => {
    const own = level === 0 ? options.leaves?.get(index) : undefined;
    if (own !== undefined) return Promise.resolve(own);
    const name = `${level}/${index}`;
    const known = tiles.get(name);
    if (known !== undefined) return known;
    const address = tileAt(level, index, size);
    const fetched =
      address === undefined
        ? Promise.reject(new CountersignError("PROOF_INVALID", { message: `A tree of ${size} has no tile ${name}.` }))
        : fetchWidth(fetchTile, { ...address, level });
    tiles.set(name, fetched);
    return fetched;
  };
  const readNode = async ({ level, index }: Node): Promise<Uint8Array> => {
    const tileLevel = Math.floor(level / levelsPerTile);
    const count = 2 ** (level % levelsPerTile);
    const first = index * count;
    const start = first % tileWidth;
    const hashes = (await tile(tileLevel, Math.floor(first / tileWidth))).slice(start, start + count);
    if (hashes.length !== count)
      throw new CountersignError("PROOF_INVALID", { message: `A tree of ${size} has no node ${index} at ${level}.` });
    const frontier = new Frontier(options.hash ?? sha256);
    for (const hash of hashes) frontier.push(hash);
    return frontier.root();
  };
  return (nodes) => Promise.all(nodes.map(readNode));
}
