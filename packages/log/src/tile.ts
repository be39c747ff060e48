import { CountersignError } from "@countersign/core";

/** Hashes in a full tile and entries in a full bundle (C2SP tlog-tiles). */
export const tileWidth = 256;

/** Largest entry, since a bundle counts its bytes with 16 bits. */
export const maxEntryBytes = 65_535;

/** Level of a resource: a tile's level, or `entries` for a bundle. */
export type TileLevel = number | "entries";

/** A tile or bundle: `width` is 256 for a full one. */
export type TileAddress = { readonly level: TileLevel; readonly index: number; readonly width: number };

/** Path of a tile or bundle below the log's prefix, as `tile/0/x001/x234/067.p/8`. */
export function tilePath({ level, index, width }: TileAddress): string {
  const groups: string[] = [];
  let rest = index;
  do {
    groups.unshift(String(rest % 1000).padStart(3, "0"));
    rest = Math.floor(rest / 1000);
  } while (rest > 0);
  const last = groups.pop() as string;
  const path = [...groups.map((group) => `x${group}`), last].join("/");
  return `tile/${level}/${path}${width === tileWidth ? "" : `.p/${width}`}`;
}

const shape = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/)*)(\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The address that a path names, or undefined; the path is the one that `tilePath` writes, byte for byte. */
export function parseTilePath(path: string): TileAddress | undefined {
  const match = path.length <= 64 ? shape.exec(path) : null;
  if (!match) return undefined;
  const [, name, high = "", low, width] = match;
  const address: TileAddress = {
    level: name === "entries" ? "entries" : Number(name),
    index: Number(`${high.replace(/[x/]/g, "")}${low}`),
    width: width === undefined ? tileWidth : Number(width),
  };
  const inRange =
    (address.level === "entries" || address.level <= 63) &&
    Number.isSafeInteger(address.index) &&
    (width === undefined || address.width < tileWidth);
  return inRange && tilePath(address) === path ? address : undefined;
}

const height = (level: TileLevel): number => (level === "entries" ? 0 : level);

/** Hashes (or entries) of a level in a tree of `size` leaves. */
function levelWidth(level: TileLevel, size: number): number {
  return Math.floor(size / tileWidth ** height(level));
}

/** The tile `index` of a level as a tree of `size` leaves has it, or undefined when it is empty there. */
export function tileAt(level: TileLevel, index: number, size: number): TileAddress | undefined {
  const width = Math.min(levelWidth(level, size) - index * tileWidth, tileWidth);
  return width > 0 ? { level, index, width } : undefined;
}

/** The rightmost tile of each level, where it is partial: the tiles that this size needs beyond the full ones. */
export function partialTiles(size: number): readonly TileAddress[] {
  const tiles: TileAddress[] = [];
  for (let level = 0; levelWidth(level, size) > 0; level++) {
    const width = levelWidth(level, size) % tileWidth;
    if (width > 0) tiles.push({ level, index: Math.floor(levelWidth(level, size) / tileWidth), width });
  }
  return tiles;
}

/** The hashes of a tile. @throws CountersignError LOG_CORRUPT unless it holds exactly `width` hashes. */
export function decodeTile(bytes: Uint8Array, width: number): readonly Uint8Array[] {
  if (bytes.length !== width * 32)
    throw new CountersignError("LOG_CORRUPT", { message: `A tile of width ${width} has ${bytes.length} bytes.` });
  return Array.from({ length: width }, (_, i) => bytes.subarray(32 * i, 32 * i + 32));
}

/** Entries of a bundle: each after its length, 16 bits big-endian. @throws CountersignError LOG_CORRUPT unless it holds exactly `width`. */
export function decodeBundle(bytes: Uint8Array, width: number): readonly Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && entries.length < width) {
    const end = at + 2 + ((bytes[at] as number) << 8) + (bytes[at + 1] ?? Number.NaN);
    if (!(end <= bytes.length)) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (at !== bytes.length || entries.length !== width)
    throw new CountersignError("LOG_CORRUPT", { message: `An entry bundle does not hold exactly ${width} entries.` });
  return entries;
}

/** One bundle of entries. @throws CountersignError LOG_ENTRY_TOO_LARGE past 65,535 bytes an entry. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    requireEntrySize(entry);
    out[at] = entry.length >> 8;
    out[at + 1] = entry.length & 0xff;
    out.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return out;
}

/** @throws CountersignError LOG_ENTRY_TOO_LARGE when a bundle cannot hold the entry. */
export function requireEntrySize(entry: Uint8Array): void {
  if (entry.length > maxEntryBytes)
    throw new CountersignError("LOG_ENTRY_TOO_LARGE", {
      message: `The entry has ${entry.length} bytes; a log entry has at most ${maxEntryBytes}.`,
      remedy: "Log a digest and keep the body elsewhere.",
    });
}
