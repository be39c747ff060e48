import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { CountersignError, type Hex, listRoot, toHex } from "@countersign/core";

/** Bytes of a chunk of the chunk tree: 16 MiB. */
export const chunkSize = 16 * 1024 * 1024;

/** What one pass over a file yields. */
export type FileHash = {
  readonly size: number;
  /** SHA-256 of the whole file: its identity, as hubs and image registries name it. */
  readonly sha256: Hex;
  /** Leaves of the chunk tree, `SHA-256(0x00 ‖ chunk)`: with them one chunk can be checked without reading the rest. */
  readonly chunks: readonly Hex[];
  /** Root of the chunk tree (RFC 6962's shape). */
  readonly chunkRoot: Hex;
};

/** Called after each chunk with the bytes hashed so far and all there are. */
export type Progress = (done: number, total: number) => void;

const unreadable = (path: string, cause: unknown): CountersignError =>
  new CountersignError("FILE_UNREADABLE", { message: `The file ${path} cannot be read.`, cause });

const leafOf = (chunk: Uint8Array): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(new Uint8Array([0]))
      .update(chunk)
      .digest(),
  );

async function fill(file: FileHandle, buffer: Uint8Array, position: number): Promise<number> {
  let at = 0;
  while (at < buffer.length) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, position + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

async function hashHandle(file: FileHandle, total: number, onProgress?: Progress): Promise<FileHash> {
  const whole = createHash("sha256");
  const leaves: Uint8Array[] = [];
  const buffer = new Uint8Array(Math.min(chunkSize, Math.max(total, 1)));
  let size = 0;
  for (;;) {
    const read = await fill(file, buffer, size);
    if (read === 0) break;
    const chunk = buffer.subarray(0, read);
    whole.update(chunk);
    leaves.push(leafOf(chunk));
    size += read;
    onProgress?.(size, Math.max(total, size));
    // A short chunk is the last one; a file that grows meanwhile gives other digests than any that was promised.
    if (read < chunkSize) break;
  }
  return {
    size,
    sha256: whole.digest("hex"),
    chunks: leaves.map(toHex),
    chunkRoot: toHex(listRoot(leaves)),
  };
}

/**
 * SHA-256 and chunk tree of a file in one pass over it, 16 MiB at a time.
 *
 * @throws FILE_UNREADABLE
 */
export async function hashFile(path: string, onProgress?: Progress): Promise<FileHash> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    return await hashHandle(file, (await file.stat()).size, onProgress);
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}

/** SHA-256 and chunk tree of bytes in memory. */
export function hashBytes(bytes: Uint8Array): FileHash {
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += chunkSize) leaves.push(leafOf(bytes.subarray(at, at + chunkSize)));
  return {
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    chunks: leaves.map(toHex),
    chunkRoot: toHex(listRoot(leaves)),
  };
}

const mismatch = (path: string, expected: Hex, found: string): CountersignError =>
  new CountersignError("MODEL_DIGEST_MISMATCH", {
    message: `The file ${path} is not the one its manifest names; it was not loaded.`,
    why: `It ought to have SHA-256 ${expected} and has ${found}.`,
    remedy: "Fetch the file again, or register it as the other model that it is.",
    facts: { expected, found },
  });

/**
 * Reads a file, checks it, and gives out the very bytes that were checked: whoever loads from the path afterwards loads
 * what stands there then, which may be something else.
 *
 * @throws FILE_UNREADABLE, MODEL_DIGEST_MISMATCH
 */
export async function loadVerified(path: string, expected: Hex): Promise<Buffer> {
  let bytes: Buffer;
  try {
    const file = await open(path, "r");
    try {
      bytes = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== expected) throw mismatch(path, expected, found);
  return bytes;
}

/** A checked file that is held open while an engine maps it into memory. */
export type HeldFile = {
  /** Says whether path and open file are still the same unchanged one. @throws MODEL_DIGEST_MISMATCH */
  readonly check: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const sameFile = (a: Stats, b: Stats): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;

/**
 * Checks a file that an engine will map from its path: hashed once through a descriptor that stays open; call `check`
 * after loading. Between the two, path and descriptor must name the same inode with the same size and times.
 *
 * What remains: somebody with write access to the very file and to the clock. Model files belong to another user than
 * the worker, read-only.
 *
 * @throws FILE_UNREADABLE, MODEL_DIGEST_MISMATCH
 */
export async function holdVerified(path: string, expected: Hex, onProgress?: Progress): Promise<HeldFile> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    const before = await file.stat();
    const { sha256 } = await hashHandle(file, before.size, onProgress);
    if (sha256 !== expected) throw mismatch(path, expected, sha256);
    const check = async () => {
      const [held, there] = await Promise.all([file.stat(), stat(path)]);
      if (!sameFile(before, held) || !sameFile(before, there))
        throw mismatch(path, expected, "changed while it was being loaded");
    };
    await check();
    return { check, close: () => file.close() };
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

/** The chunk-tree leaf of chunk `index` of a file, reading nothing else of it. @throws FILE_UNREADABLE */
export async function hashChunk(path: string, index: number): Promise<Hex> {
  try {
    const file = await open(path, "r");
    try {
      const buffer = new Uint8Array(chunkSize);
      const read = await fill(file, buffer, index * chunkSize);
      return toHex(leafOf(buffer.subarray(0, read)));
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
