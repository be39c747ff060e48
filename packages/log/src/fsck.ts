import { CountersignError, concat, equalBytes, fromUtf8, sha256 } from "@countersign/core";
import { type LogSource, openCheckpoint } from "./client.ts";
import { decodeBundle, partialTiles, type TileLevel, tileAt, tilePath, tileWidth } from "./tile.ts";
import { Frontier, hashLeaf } from "./tree.ts";

/** One thing wrong with a log's files. */
export type FsckFault = { readonly path: string; readonly reason: string };

/** What `fsckLog` found; the log's files are whole exactly when `faults` is empty. */
export type FsckReport = {
  /** Size of the checkpoint, when it could be read. */
  readonly size?: number;
  /** Entries that were hashed again. */
  readonly entries: number;
  /** Files that were compared with what the entries make of them. */
  readonly files: number;
  readonly faults: readonly FsckFault[];
};

/**
 * Hashes every entry of a log again and compares every tile of its checkpoint, and the checkpoint itself, with the result.
 *
 * Reads through `fetchTile`, so it works on a directory and over HTTP alike; memory stays at one tile a level.
 */
export async function fsckLog(
  options: LogSource & {
    readonly onProgress?: (entries: number, size: number) => void;
    /** Sees each full or edge tile as it must be, for checks of further files beside it. */
    readonly onTile?: (level: TileLevel, index: number, items: readonly Uint8Array[]) => void | Promise<void>;
  },
): Promise<FsckReport> {
  const faults: FsckFault[] = [];
  const hash = options.hash ?? sha256;
  let files = 0;
  let entries = 0;
  const report = (size?: number): FsckReport => ({ ...(size !== undefined && { size }), entries, files, faults });
  const note = (path: string, error: unknown) =>
    faults.push({ path, reason: CountersignError.is(error) ? error.detail.message : String(error) });

  files += 1;
  let checkpoint: ReturnType<typeof openCheckpoint>;
  try {
    checkpoint = openCheckpoint(fromUtf8(await options.fetchTile("checkpoint")), options);
  } catch (error) {
    note("checkpoint", error);
    return report();
  }
  const { size, root } = checkpoint;
  const frontier = new Frontier(hash);
  const edges: { index: number; items: Uint8Array[] }[] = [];
  const compare = async (level: number, index: number, items: readonly Uint8Array[]): Promise<void> => {
    const path = tilePath({ level, index, width: items.length });
    files += 1;
    try {
      if (!equalBytes(await options.fetchTile(path), concat(...items)))
        faults.push({ path, reason: "The tile is not made of the log's entries." });
    } catch (error) {
      note(path, error);
    }
    await options.onTile?.(level, index, items);
  };
  for (let index = 0; index * tileWidth < size; index++) {
    const width = tileAt("entries", index, size)?.width ?? tileWidth;
    const path = tilePath({ level: "entries", index, width });
    files += 1;
    let bundle: readonly Uint8Array[];
    try {
      bundle = decodeBundle(await options.fetchTile(path), width);
    } catch (error) {
      note(path, error);
      // Everything after hangs on these entries.
      return report(size);
    }
    await options.onTile?.("entries", index, bundle);
    for (const entry of bundle)
      frontier.push(hashLeaf(entry, hash), (level, node) => {
        if (level % 8 !== 0) return;
        const edge = edges[level / 8];
        if (edge === undefined) edges[level / 8] = { index: 0, items: [node] };
        else edge.items.push(node);
      });
    entries += bundle.length;
    for (const [level, edge] of edges.entries()) {
      if (edge.items.length < tileWidth) continue;
      await compare(level, edge.index, edge.items);
      edge.index += 1;
      edge.items = [];
    }
    options.onProgress?.(entries, size);
  }
  for (const { level, index } of partialTiles(size))
    await compare(Number(level), index, edges[Number(level)]?.items ?? []);
  if (!equalBytes(frontier.root(), root)) faults.push({ path: "checkpoint", reason: "The entries have another root." });
  return report(size);
}
