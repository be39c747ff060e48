import { randomBytes } from "node:crypto";
import { CountersignError, equalBytes } from "@countersign/core";
import { decodeBundle } from "../tile.ts";
import { nativeSha256 } from "./native-hash.ts";

// A WAL segment (spec/log.md §6): header, then one record per group commit.
//   header  "countersign/wal1" ‖ u64 start ‖ 16 random bytes ‖ SHA-256(those 40 bytes)[:8]
//   record  "CSWB" ‖ u64 start ‖ u32 count ‖ u32 length ‖ payload ‖ SHA-256(the segment's random bytes ‖ all before)
// The random bytes keep an entry that looks like a record from being taken for one.

const headerMagic = Buffer.from("countersign/wal1");
const recordMagic = Buffer.from("CSWB");
/** Bytes of a segment's header. */
export const headerBytes = 48;
const recordHead = 20;

/** A group of entries as one commit wrote it; `payload` is a bundle of `count` entries. */
export type Batch = { readonly start: number; readonly count: number; readonly payload: Buffer };

/** A fresh segment's header; its first entry has the index `start`. */
export function encodeHeader(start: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  headerMagic.copy(header);
  header.writeBigUInt64BE(BigInt(start), 16);
  randomBytes(16).copy(header, 24);
  header.set(nativeSha256(header.subarray(0, 40)).subarray(0, 8), 40);
  return header;
}

const nonceOf = (header: Uint8Array): Uint8Array => header.subarray(24, 40);

/** One record, ready to be written after the segment with this header. */
export function encodeRecord(header: Uint8Array, { start, count, payload }: Batch): Buffer {
  const record = Buffer.allocUnsafe(recordHead + payload.length + 32);
  recordMagic.copy(record);
  record.writeBigUInt64BE(BigInt(start), 4);
  record.writeUInt32BE(count, 12);
  record.writeUInt32BE(payload.length, 16);
  payload.copy(record, recordHead);
  const body = record.subarray(0, recordHead + payload.length);
  record.set(nativeSha256(Buffer.concat([nonceOf(header), body])), body.length);
  return record;
}

/** What a segment's file holds. */
export type Segment = {
  readonly start: number;
  readonly header: Buffer;
  readonly batches: readonly Batch[];
  /** Bytes up to the end of the last whole record; what follows is room, or a commit that never finished. */
  readonly validBytes: number;
};

/**
 * Reads a segment.
 *
 * An unfinished commit at the end was acknowledged to nobody and is left out. A broken record before a whole one, or a
 * broken header (a segment gets its name only when that is on the disk), is lost data: @throws CountersignError LOG_CORRUPT.
 */
export function readSegment(file: Buffer, name: string): Segment {
  const header = Buffer.from(file.subarray(0, headerBytes));
  const sound =
    header.length === headerBytes &&
    headerMagic.equals(header.subarray(0, 16)) &&
    equalBytes(nativeSha256(header.subarray(0, 40)).subarray(0, 8), header.subarray(40));
  if (!sound) throw corrupt(name, "its header is broken");
  const start = Number(header.readBigUInt64BE(16));
  const batches: Batch[] = [];
  let at = headerBytes;
  let next = start;
  for (let record = readRecord(file, at, header); record; record = readRecord(file, at, header)) {
    if (record.batch.start !== next) throw corrupt(name, `entry ${next} is missing`);
    batches.push(record.batch);
    next += record.batch.count;
    at = record.end;
  }
  for (let i = file.indexOf(recordMagic, at); i >= 0; i = file.indexOf(recordMagic, i + 1))
    if (readRecord(file, i, header)) throw corrupt(name, `a record at ${at} is broken, and a whole one follows it`);
  return { start, header, batches, validBytes: at };
}

function readRecord(file: Buffer, at: number, header: Uint8Array): { batch: Batch; end: number } | undefined {
  if (file.length < at + recordHead + 32 || !recordMagic.equals(file.subarray(at, at + 4))) return undefined;
  const length = file.readUInt32BE(at + 16);
  const end = at + recordHead + length + 32;
  if (end > file.length) return undefined;
  const body = file.subarray(at, end - 32);
  if (!equalBytes(nativeSha256(Buffer.concat([nonceOf(header), body])), file.subarray(end - 32, end))) return undefined;
  const batch = {
    start: Number(file.readBigUInt64BE(at + 4)),
    count: file.readUInt32BE(at + 12),
    payload: file.subarray(at + recordHead, end - 32),
  };
  decodeBundle(batch.payload, batch.count);
  return { batch, end };
}

const corrupt = (name: string, what: string) =>
  new CountersignError("LOG_CORRUPT", {
    message: `The write-ahead log ${name} cannot be replayed: ${what}.`,
    why: "Entries that were acknowledged are gone, so going on would fork the log.",
    remedy: "Restore the directory from a copy, or retire this log's key.",
  });
