import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CountersignError } from "@countersign/core";
import { decodeTile, type TileAddress, type TileLevel, tilePath, tileWidth } from "../tile.ts";
import { Frontier } from "../tree.ts";
import { nativeSha256 } from "./native-hash.ts";

/** The rightmost tile or bundle of a level: up to 256 items that have no full file yet. */
type Edge = { index: number; readonly items: Uint8Array[] };

/**
 * The tiles and bundles of a log's directory and the tree's growing edge.
 *
 * Files are written before any checkpoint names them; what a crash leaves half-written is written again from the WAL.
 */
export class TreeFiles {
  readonly frontier = new Frontier(nativeSha256);
  private readonly dir: string;
  private readonly edges = new Map<TileLevel, Edge>();
  private readonly madeDirectories = new Set<string>();
  /** Full tiles that have partial files beside them. */
  private readonly superseded: string[] = [];
  private readonly withPartials = new Set<string>();
  /** Full files written since the last sync. */
  private unsynced: string[] = [];
  private repairing: boolean;

  /** Resumes at `start`, a multiple of 256, from the full tiles below it. @throws CountersignError LOG_CORRUPT when one is missing. */
  constructor(dir: string, start: number) {
    this.dir = dir;
    this.repairing = true;
    this.edges.set("entries", { index: start / tileWidth, items: [] });
    this.edges.set(0, { index: start / tileWidth, items: [] });
    this.frontier.size = start;
    for (let level = 1, count = start / tileWidth; count > 0; level++, count = Math.floor(count / tileWidth)) {
      const first = count - (count % tileWidth);
      const edge: Edge = { index: first / tileWidth, items: [] };
      const part = new Frontier(nativeSha256);
      for (let index = first; index < count; index++) edge.items.push(this.fullTileRoot(level - 1, index));
      for (const item of edge.items) part.push(item);
      for (const [i, node] of part.nodes.entries()) this.frontier.nodes[8 * level + i] = node;
      this.edges.set(level, edge);
    }
  }

  get size(): number {
    return this.frontier.size;
  }

  /** Entries since the last tile edge. */
  get carried(): readonly Uint8Array[] {
    return this.edge("entries").items;
  }

  /** Hashes of up to `limit` leaves before `start`, a multiple of 256, from whole tiles. */
  leavesBefore(start: number, limit: number): readonly Uint8Array[] {
    const leaves: Uint8Array[] = [];
    const last = start / tileWidth;
    for (let index = Math.max(0, last - Math.ceil(Math.max(0, limit) / tileWidth)); index < last; index++)
      leaves.push(...this.readFullTile(0, index));
    return leaves;
  }

  /** Appends an entry; writes every file that it completes. */
  push(entry: Uint8Array, leaf: Uint8Array): void {
    this.add("entries", entry);
    this.frontier.push(leaf, (level, node) => {
      if (level % 8 === 0) this.add(level / 8, node);
    });
  }

  /** Writes the partial files that a checkpoint of the present size needs. */
  writePartials(): void {
    for (const [level, { index, items }] of this.edges) {
      if (items.length === 0) continue;
      this.write({ level, index, width: items.length }, items);
      this.withPartials.add(tilePath({ level, index, width: tileWidth }));
    }
  }

  /** Removes partial files whose full file is there; called after the checkpoint that names the full ones. */
  dropPartials(): void {
    for (const path of this.superseded.splice(0)) rmSync(join(this.dir, `${path}.p`), { recursive: true, force: true });
  }

  /** From here on files are new: those that a crash left were compared and put right. */
  finishRepair(): void {
    for (const [level, { index, items }] of this.edges) this.repairPartials(level, index, items);
    this.repairing = false;
  }

  /** Waits until the disk has every full file written so far. */
  async sync(): Promise<void> {
    const paths = this.unsynced;
    this.unsynced = [];
    const directories = new Set<string>();
    for (const path of paths) {
      await syncPath(join(this.dir, path), "r+");
      for (let dir = dirname(path); dir !== "."; dir = dirname(dir)) directories.add(dir);
    }
    for (const dir of [...directories, "."]) await syncPath(join(this.dir, dir), "r");
  }

  private edge(level: TileLevel): Edge {
    const known = this.edges.get(level);
    if (known) return known;
    const edge: Edge = { index: 0, items: [] };
    this.edges.set(level, edge);
    return edge;
  }

  private add(level: TileLevel, item: Uint8Array): void {
    const edge = this.edge(level);
    edge.items.push(item);
    if (edge.items.length < tileWidth) return;
    const address = { level, index: edge.index, width: tileWidth };
    const path = this.write(address, edge.items);
    this.unsynced.push(path);
    if (this.withPartials.delete(path) || this.repairing) this.superseded.push(path);
    edge.index += 1;
    edge.items.length = 0;
  }

  private write(address: TileAddress, items: readonly Uint8Array[]): string {
    const path = tilePath(address);
    const file = join(this.dir, path);
    const dir = dirname(file);
    if (!this.madeDirectories.has(dir)) {
      if (this.madeDirectories.size > 1000) this.madeDirectories.clear();
      mkdirSync(dir, { recursive: true });
      this.madeDirectories.add(dir);
    }
    const bytes = address.level === "entries" ? joinBundle(items) : Buffer.concat(items);
    if (!this.repairing) {
      writeFileSync(file, bytes);
    } else if (!sameFile(file, bytes)) {
      // A reader may have the old file open: replace it whole.
      writeFileSync(`${file}.tmp`, bytes);
      renameSync(`${file}.tmp`, file);
    }
    return path;
  }

  private repairPartials(level: TileLevel, index: number, items: readonly Uint8Array[]): void {
    const path = tilePath({ level, index, width: tileWidth });
    const dir = join(this.dir, `${path}.p`);
    let names: string[];
    try {
      names = readdirSync(dir);
    } catch {
      return;
    }
    for (const name of names) {
      const width = /^[1-9]\d{0,2}$/.test(name) ? Number(name) : Number.POSITIVE_INFINITY;
      // No checkpoint named a width past the present one.
      if (width > items.length) rmSync(join(dir, name));
      else this.write({ level, index, width }, items.slice(0, width));
    }
    this.withPartials.add(path);
  }

  private fullTileRoot(level: number, index: number): Uint8Array {
    const tile = new Frontier(nativeSha256);
    for (const hash of this.readFullTile(level, index)) tile.push(hash);
    return tile.root();
  }

  private readFullTile(level: number, index: number): readonly Uint8Array[] {
    const path = tilePath({ level, index, width: tileWidth });
    try {
      return decodeTile(readFileSync(join(this.dir, path)), tileWidth);
    } catch (cause) {
      throw new CountersignError("LOG_CORRUPT", { message: `The full tile ${path} is missing or broken.`, cause });
    }
  }
}

async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function joinBundle(entries: readonly Uint8Array[]): Buffer {
  const out = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    out.writeUInt16BE(entry.length, at);
    out.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return out;
}

function sameFile(path: string, bytes: Uint8Array): boolean {
  try {
    return Buffer.compare(readFileSync(path), bytes) === 0;
  } catch {
    return false;
  }
}
