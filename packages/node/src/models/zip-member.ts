import { type FileHandle, open } from "node:fs/promises";
import { createInflateRaw } from "node:zlib";

// ZIP as in PKWARE's APPNOTE 6.3.10, without ZIP64, encryption or several disks: what a wheel under 4 GiB is.

type Entry = { readonly offset: number; readonly packed: number; readonly size: number; readonly method: number };

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead !== length) throw new RangeError("The archive is cut short.");
  return buffer;
}

async function findEntry(file: FileHandle, member: string): Promise<Entry> {
  const { size } = await file.stat();
  const tailLength = Math.min(size, 22 + 0xffff);
  const tail = await readAt(file, size - tailLength, tailLength);
  const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0 || end + 22 > tail.length) throw new RangeError("The file is not a ZIP archive.");
  const directory = await readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  for (let at = 0; at + 46 <= directory.length; ) {
    if (directory.readUInt32LE(at) !== 0x02014b50) break;
    const nameLength = directory.readUInt16LE(at + 28);
    if (directory.toString("utf8", at + 46, at + 46 + nameLength) === member) {
      return {
        method: directory.readUInt16LE(at + 10),
        packed: directory.readUInt32LE(at + 20),
        size: directory.readUInt32LE(at + 24),
        offset: directory.readUInt32LE(at + 42),
      };
    }
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw new RangeError(`The archive has no member ${member}.`);
}

/** Streams one member of a ZIP archive. @throws RangeError when the archive lacks it or is damaged. */
export async function* readZipMember(path: string, member: string): AsyncGenerator<Uint8Array> {
  const file = await open(path);
  try {
    const entry = await findEntry(file, member);
    const local = await readAt(file, entry.offset, 30);
    if (local.readUInt32LE(0) !== 0x04034b50) throw new RangeError("The archive's member has no header.");
    const start = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    if (entry.method !== 0 && entry.method !== 8) throw new RangeError("The member is packed in an unknown way.");
    if (entry.packed === 0) return;
    const packed = file.createReadStream({ start, end: start + entry.packed - 1, autoClose: false });
    yield* entry.method === 0 ? packed : packed.compose(createInflateRaw());
  } finally {
    await file.close();
  }
}
