import { concat, fromHex, type Hex, toHex, uint, utf8 } from "./bytes.ts";
import { CountersignError } from "./errors/error.ts";

/** What a log entry is about. The position is the wire value: append only. */
export const entryKinds = [
  "receipt",
  "evidence",
  "model",
  "node",
  "deployment",
  "promptVersion",
  "measurement",
  "revocation",
  "refusals",
  "refutation",
] as const;
export type EntryKind = (typeof entryKinds)[number];

/** Flags of an entry; the position is the bit: append only. */
export const entryFlags = [
  "synthetic",
  "development",
  "aborted",
  "origin",
  "unmet",
  "simulated",
  "vendor",
  "hardware",
] as const;
export type EntryFlag = (typeof entryFlags)[number];

/** A public leaf of the log (spec/log.md §3): nothing in it is derived from a prompt or an answer but by a salted root. */
export type Entry = {
  readonly kind: EntryKind;
  readonly flags: readonly EntryFlag[];
  /** Receipt root, or the digest of what else the entry is about. */
  readonly subject: Hex;
  /** SHA-256 of the signed bytes (DSSE's PAE), not of the malleable envelope. */
  readonly envelope: Hex;
  /** Public key that signed the envelope. */
  readonly issuer: Hex;
  /** Manifest digest; zeros where there is none. */
  readonly model: Hex;
  /** Request tag; zeros where there is none. */
  readonly tag: Hex;
  /** Blinded deployment id; zeros where there is none. */
  readonly deployment: Hex;
  /** Demanded level masks, at most four: bits can't say OR. */
  readonly demanded: readonly number[];
  /** Mask of the accepted offer's guarantee. */
  readonly bought: number;
  /** Mask delivered at issue: the issuer's claim, recounted by monitors. */
  readonly delivered: number;
  /** ⌈log2(tokens + 1)⌉. */
  readonly tokens: number;
  /** ⌈log2(price + 1)⌉, price in the asset's smallest unit. */
  readonly value: number;
  /** Hours since the epoch. */
  readonly hour: number;
};

export const entrySize = 216;
const magic = utf8("CSE1");
const zeros = "0".repeat(64) as Hex;
export const noDigest: Hex = zeros;

/** Bucket of a count: ⌈log2(n + 1)⌉, at most 255. */
export function bucket(n: number | bigint): number {
  return BigInt(n).toString(2).replace(/^0$/, "").length;
}

/** The 216 bytes of an entry. @throws RangeError for a value out of range */
export function encodeEntry(entry: Entry): Uint8Array {
  if (entry.demanded.length > 4 || entry.demanded.includes(0))
    throw new RangeError("An entry has up to four masks, none zero.");
  const flags = entry.flags.reduce((bits, f) => bits | (1 << entryFlags.indexOf(f)), 0);
  const masks = Array.from({ length: 4 }, (_, i) => uint(entry.demanded[i] ?? 0, 2));
  const digests = [entry.subject, entry.envelope, entry.issuer, entry.model, entry.tag, entry.deployment].map(fromHex);
  const out = concat(
    magic,
    uint(entryKinds.indexOf(entry.kind) + 1, 1),
    uint(flags, 1),
    ...digests,
    ...masks,
    uint(entry.bought, 2),
    uint(entry.delivered, 2),
    uint(entry.tokens, 1),
    uint(entry.value, 1),
    uint(entry.hour, 4),
  );
  if (out.length !== entrySize) throw new RangeError("A digest of an entry is not 32 bytes.");
  return out;
}

/** Reads an entry's bytes. @throws RECEIPT_MALFORMED unless they are exactly one encoding of an entry */
export function decodeEntry(bytes: Uint8Array): Entry {
  const refuse = (why: string): never => {
    throw new CountersignError("RECEIPT_MALFORMED", { message: "This is not a log entry of version 1.", why });
  };
  if (bytes.length !== entrySize) refuse(`It has ${bytes.length} bytes, not ${entrySize}.`);
  if (toHex(bytes.subarray(0, 4)) !== toHex(magic)) refuse("It does not start with CSE1.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const digest = (i: number) => toHex(bytes.subarray(6 + 32 * i, 38 + 32 * i));
  const masks = [0, 1, 2, 3].map((i) => view.getUint16(198 + 2 * i));
  const used = masks.filter((m) => m !== 0);
  if (masks.slice(0, used.length).includes(0)) refuse("A mask stands behind an empty one.");
  const flags = bytes[5] as number;
  return {
    kind: entryKinds[(bytes[4] as number) - 1] ?? refuse("Its kind is unknown."),
    flags: entryFlags.filter((_, i) => (flags & (1 << i)) !== 0),
    subject: digest(0),
    envelope: digest(1),
    issuer: digest(2),
    model: digest(3),
    tag: digest(4),
    deployment: digest(5),
    demanded: used,
    bought: view.getUint16(206),
    delivered: view.getUint16(208),
    tokens: bytes[210] as number,
    value: bytes[211] as number,
    hour: view.getUint32(212),
  };
}
