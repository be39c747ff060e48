import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { CountersignError } from "@countersign/core";
import { decodeBundle, encodeBundle, tileWidth } from "../tile.ts";
import { type Batch, encodeHeader, encodeRecord, readSegment, type Segment } from "./segment.ts";

const sync = promisify(fdatasync);

/** Flushes a directory's own entries to the disk. */
export function syncDirectory(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

// A segment gets its name when its header is on the disk.
const unfinished = ".tmp";
// Room is written as zeros ahead of use: a flush inside it changes no metadata, so it does not have to wait for the file
// system's journal and for the tiles that happen to be in it.
const firstRoom = 256 << 10;
const mostRoom = 8 << 20;

/** The write-ahead log of one directory: what is in it was acknowledged, or is about to be. */
export class Wal {
  /** Bytes of the current segment that hold records. */
  bytes: number;
  /** Bytes of its file. */
  private room: number;
  private readonly dir: string;
  private fd: number;
  private header: Buffer;
  private older: string[];
  /** Whether nothing but records is in the current segment, apart from room. */
  private trimmed = true;

  private constructor(dir: string, fd: number, header: Buffer, bytes: number, older: string[]) {
    this.dir = dir;
    this.fd = fd;
    this.header = header;
    this.bytes = bytes;
    this.room = bytes;
    this.older = older;
  }

  /**
   * Opens the log and reads back what it holds: `start`, a multiple of 256, and every entry from there on.
   *
   * @throws CountersignError LOG_CORRUPT when acknowledged entries are missing or contradict each other.
   */
  static open(root: string): { readonly wal: Wal; readonly start: number; readonly entries: readonly Uint8Array[] } {
    const dir = join(root, "wal");
    mkdirSync(dir, { recursive: true });
    // A segment whose creation did not finish has its name still to get; nothing in it was acknowledged.
    for (const name of readdirSync(dir)) if (name.endsWith(unfinished)) rmSync(join(dir, name));
    const found = readSegments(dir);
    const { start, entries } = joinSegments(found);
    const last = found.at(-1);
    if (last === undefined) return { wal: Wal.create(dir, 0, []), start, entries };
    const fd = openSync(join(dir, last.name), "r+");
    const older = found.slice(0, -1).map(({ name }) => name);
    const wal = new Wal(dir, fd, last.segment.header, last.segment.validBytes, older);
    wal.trimmed = false;
    return { wal, start, entries };
  }

  /**
   * Drops the commit that did not finish, before anything is written after it. Only once what was read is known to agree
   * with the checkpoint: where it does not, the broken record is what tells why (spec/log.md §6, Start).
   */
  trim(): void {
    if (this.trimmed) return;
    ftruncateSync(this.fd, this.bytes);
    fdatasyncSync(this.fd);
    this.trimmed = true;
  }

  private static create(dir: string, start: number, carried: readonly Uint8Array[]): Wal {
    const header = encodeHeader(start);
    const file = join(dir, nameOf(start));
    const fd = openSync(file + unfinished, "w");
    const payload = Buffer.from(encodeBundle(carried));
    const record =
      carried.length > 0 ? encodeRecord(header, { start, count: carried.length, payload }) : Buffer.alloc(0);
    writeAll(fd, Buffer.concat([header, record]), 0);
    fsyncSync(fd);
    renameSync(file + unfinished, file);
    syncDirectory(dir);
    return new Wal(dir, fd, header, header.length + record.length, []);
  }

  /** Writes one commit and waits until the disk has it. */
  async append(batch: Batch): Promise<void> {
    const record = encodeRecord(this.header, batch);
    if (this.bytes + record.length > this.room) {
      const more = record.length + Math.min(mostRoom, Math.max(firstRoom, this.bytes));
      writeAll(this.fd, Buffer.alloc(more), this.room);
      this.room += more;
    }
    writeAll(this.fd, record, this.bytes);
    this.bytes += record.length;
    await sync(this.fd);
  }

  /** Goes on in a new segment that starts at `start` with a copy of the `carried` entries. */
  rotate(start: number, carried: readonly Uint8Array[]): void {
    const current = nameOf(Number(this.header.readBigUInt64BE(16)));
    if (current === nameOf(start)) return;
    const next = Wal.create(this.dir, start, carried);
    this.close();
    this.fd = next.fd;
    this.header = next.header;
    this.bytes = next.bytes;
    this.room = next.room;
    this.older.push(current);
  }

  /** Whether segments before the current one are still there. */
  get hasOlder(): boolean {
    return this.older.length > 0;
  }

  /** Forgets older segments, once everything in them is in files that the disk has. */
  dropOlder(): void {
    for (const name of this.older.splice(0)) rmSync(join(this.dir, name), { force: true });
  }

  /** Gives the unused room back. */
  close(): void {
    if (this.trimmed) ftruncateSync(this.fd, this.bytes);
    closeSync(this.fd);
  }
}

const nameOf = (start: number): string => String(start).padStart(16, "0");
const equal = (a: Uint8Array, b: Uint8Array | undefined): boolean => b !== undefined && Buffer.compare(a, b) === 0;

/** All segments of a WAL directory, oldest first. @throws CountersignError LOG_CORRUPT for one that cannot be read. */
export function readSegments(
  dir: string,
): readonly { readonly name: string; readonly file: Buffer; readonly segment: Segment }[] {
  const names = readdirSync(dir).filter((name) => !name.endsWith(unfinished));
  return names.toSorted().map((name) => {
    const file = readFileSync(join(dir, name));
    const segment = readSegment(file, name);
    if (nameOf(segment.start) === name) return { name, file, segment };
    throw new CountersignError("LOG_CORRUPT", { message: `The write-ahead log ${name} has another one's header.` });
  });
}

/** Entries of consecutive segments. @throws CountersignError LOG_CORRUPT unless each joins the one before. */
export function joinSegments(found: ReturnType<typeof readSegments>): {
  readonly start: number;
  readonly entries: readonly Uint8Array[];
} {
  const entries: Uint8Array[] = [];
  const start = found[0]?.segment.start ?? 0;
  for (const { segment, name } of found) {
    const at = segment.start - start;
    const held = segment.batches.flatMap((batch) => decodeBundle(batch.payload, batch.count));
    // A newer segment begins with a copy of the entries since the last tile edge.
    const gap = at < 0 || at > entries.length || segment.start % tileWidth !== 0;
    if (gap || held.some((entry, i) => at + i < entries.length && !equal(entry, entries[at + i])))
      throw new CountersignError("LOG_CORRUPT", {
        message: `The write-ahead log ${name} does not join the one before.`,
      });
    for (let i = entries.length - at; i < held.length; i++) entries.push(held[i] as Uint8Array);
  }
  return { start, entries };
}
