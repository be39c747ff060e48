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

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** The write-ahead log of one directory: what is in it was acknowledged, or is about to be. */
export class Wal {
  /** Bytes of the current segment. */
  bytes: number;
  private readonly dir: string;
  private fd: number;
  private header: Buffer;
  private older: string[];

  private constructor(dir: string, fd: number, header: Buffer, bytes: number, older: string[]) {
    this.dir = dir;
    this.fd = fd;
    this.header = header;
    this.bytes = bytes;
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
    const { found, unfinished } = readSegments(dir);
    if (unfinished !== undefined) rmSync(join(dir, unfinished));
    const { start, entries } = joinSegments(found);
    const last = found.at(-1);
    if (last === undefined) return { wal: Wal.create(dir, 0, []), start, entries };
    const fd = openSync(join(dir, last.name), "r+");
    // The unfinished commit goes before anything is written after it.
    ftruncateSync(fd, last.segment.validBytes);
    fdatasyncSync(fd);
    closeSync(fd);
    const older = found.slice(0, -1).map(({ name }) => name);
    const wal = new Wal(dir, openSync(join(dir, last.name), "a"), last.segment.header, last.segment.validBytes, older);
    return { wal, start, entries };
  }

  private static create(dir: string, start: number, carried: readonly Uint8Array[]): Wal {
    const header = encodeHeader(start);
    const fd = openSync(join(dir, nameOf(start)), "w");
    const payload = Buffer.from(encodeBundle(carried));
    const record =
      carried.length > 0 ? encodeRecord(header, { start, count: carried.length, payload }) : Buffer.alloc(0);
    writeAll(fd, Buffer.concat([header, record]));
    fsyncSync(fd);
    syncDirectory(dir);
    return new Wal(dir, fd, header, header.length + record.length, []);
  }

  /** Writes one commit and waits until the disk has it. */
  async append(batch: Batch): Promise<void> {
    const record = encodeRecord(this.header, batch);
    writeAll(this.fd, record);
    this.bytes += record.length;
    await sync(this.fd);
  }

  /** Goes on in a new segment that starts at `start` with a copy of the `carried` entries. */
  rotate(start: number, carried: readonly Uint8Array[]): void {
    const current = readdirSync(this.dir).toSorted().at(-1) as string;
    if (current === nameOf(start)) return;
    const next = Wal.create(this.dir, start, carried);
    closeSync(this.fd);
    this.fd = next.fd;
    this.header = next.header;
    this.bytes = next.bytes;
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

  close(): void {
    closeSync(this.fd);
  }
}

const nameOf = (start: number): string => String(start).padStart(16, "0");
const equal = (a: Uint8Array, b: Uint8Array | undefined): boolean => b !== undefined && Buffer.compare(a, b) === 0;

/**
 * All whole segments of a WAL directory, oldest first, and the newest one's name when its creation did not finish.
 *
 * Nothing in an unfinished one was acknowledged; the one before has everything.
 */
export function readSegments(dir: string): {
  readonly found: readonly { readonly name: string; readonly bytes: number; readonly segment: Segment }[];
  readonly unfinished?: string;
} {
  const names = readdirSync(dir).toSorted();
  let unfinished: string | undefined;
  const found = names.flatMap((name, i) => {
    const file = readFileSync(join(dir, name));
    const segment = readSegment(file, name);
    if (segment && nameOf(segment.start) === name) return [{ name, bytes: file.length, segment }];
    if (segment || i < names.length - 1)
      throw new CountersignError("LOG_CORRUPT", { message: `The write-ahead log ${name} has no readable header.` });
    unfinished = name;
    return [];
  });
  return { found, ...(unfinished && { unfinished }) };
}

/** Entries of consecutive segments. @throws CountersignError LOG_CORRUPT unless each joins the one before. */
export function joinSegments(found: ReturnType<typeof readSegments>["found"]): {
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
