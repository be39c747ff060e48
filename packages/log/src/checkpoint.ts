import { CountersignError, fromBase64, toBase64 } from "@countersign/core";

/** A log's state: `size` entries under `root` (C2SP tlog-checkpoint). */
export type Checkpoint = {
  readonly origin: string;
  /** Number of entries, at most 2^53 − 1. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
};

/** The size in decimal without leading zeros, or undefined. */
export function parseSize(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const size = Number(text);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** A 32-byte hash in canonical base64, or undefined. */
export function parseHash(text: string): Uint8Array | undefined {
  if (text.length !== 44) return undefined;
  try {
    const hash = fromBase64(text);
    return hash.length === 32 ? hash : undefined;
  } catch {
    return undefined;
  }
}

function read(text: string): Checkpoint | string {
  const lines = text.split("\n");
  const [origin = "", sizeLine = "", rootLine = "", end] = lines;
  if (lines.length > 4) return "it has extension lines, which no monitor can audit";
  if (lines.length < 4 || end !== "") return "it does not have three lines";
  if (origin === "" || !origin.isWellFormed()) return "its origin is empty";
  const size = parseSize(sizeLine);
  if (size === undefined) return "its size is not a decimal number up to 2^53 − 1";
  const root = parseHash(rootLine);
  if (root === undefined) return "its root is not the base64 of 32 bytes";
  return { origin, size, root };
}

/** Whether a text is a checkpoint's. */
export function isCheckpoint(text: string): boolean {
  return typeof read(text) !== "string";
}

/** Reads a note's text as a checkpoint. @throws CountersignError CHECKPOINT_MALFORMED unless the form is exact. */
export function parseCheckpoint(text: string): Checkpoint {
  const checkpoint = read(text);
  if (typeof checkpoint === "string")
    throw new CountersignError("CHECKPOINT_MALFORMED", { message: `The checkpoint cannot be read: ${checkpoint}.` });
  return checkpoint;
}

/** A checkpoint as a note's text. @throws CountersignError CHECKPOINT_MALFORMED when it would not read back. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${toBase64(root)}\n`;
  parseCheckpoint(text);
  return text;
}
