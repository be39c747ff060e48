import type { ReadNodes } from "../inclusion.ts";
import { parseTilePath, tileWidth } from "../tile.ts";
import type { FetchTile } from "../tile-reader.ts";
import type { Node } from "../tree.ts";
import { Recent } from "./recent.ts";

/** Keeps the latest full tiles in memory (8 KiB each); partial files and the checkpoint are read anew. */
export function cacheTiles(fetchTile: FetchTile, limit: number): FetchTile {
  const known = new Recent<Uint8Array>(limit);
  return async (path) => {
    const bytes = known.get(path);
    if (bytes !== undefined) return bytes;
    const address = parseTilePath(path);
    const fetched = await fetchTile(path);
    const lasting = address !== undefined && address.level !== "entries" && address.width === tileWidth;
    if (lasting) known.set(path, fetched);
    return fetched;
  };
}

/** Keeps the latest perfect subtrees' hashes: they are the same for every size of one growing tree. */
export function cacheNodes(limit: number): (read: ReadNodes) => ReadNodes {
  const known = new Recent<Uint8Array>(limit);
  const nameOf = ({ level, index }: Node) => `${level}/${index}`;
  return (read) => async (nodes) => {
    const found = nodes.map((node) => known.get(nameOf(node)));
    const missing = nodes.filter((_, i) => found[i] === undefined);
    const fetched = missing.length > 0 ? await read(missing) : [];
    for (const [i, node] of missing.entries()) known.set(nameOf(node), fetched[i] as Uint8Array);
    let at = 0;
    return found.map((hash) => hash ?? (fetched[at++] as Uint8Array));
  };
}
