import { concat, fromHex, utf8 } from "@countersign/core";
import { oid, tags } from "../der.ts";

const wrap = (tag: number, body: Uint8Array): Uint8Array => {
  const length: number[] = [];
  for (let n = body.length; n > 0; n = Math.floor(n / 256)) length.unshift(n % 256);
  const head = body.length < 0x80 ? [body.length] : [0x80 | length.length, ...length];
  return concat(Uint8Array.from([tag, ...head]), body);
};

function integerBytes(value: Uint8Array | bigint | number): Uint8Array {
  let bytes: Uint8Array;
  if (value instanceof Uint8Array) {
    const start = value.findIndex((b) => b !== 0);
    bytes = start < 0 ? new Uint8Array(1) : value.subarray(start);
  } else {
    if (value < 0) throw new RangeError("Only integers that are not negative.");
    const hex = value.toString(16);
    bytes = fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
  }
  return (bytes[0] as number) & 0x80 ? concat(new Uint8Array(1), bytes) : bytes;
}

/** `YYYYMMDDHHMMSSZ` of milliseconds. */
const timeText = (ms: number): string => new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");

/** Writes values of the Distinguished Encoding Rules; integers are not negative. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]) => wrap(tags.sequence, concat(...parts)),
  set: (...parts: readonly Uint8Array[]) => wrap(tags.set, concat(...parts)),
  /** Bytes are big-endian. */
  integer: (value: Uint8Array | bigint | number) => wrap(tags.integer, integerBytes(value)),
  oid: (dotted: string) => wrap(tags.oid, fromHex(oid(dotted))),
  bitString: (bytes: Uint8Array, unused = 0) => wrap(tags.bitString, concat(Uint8Array.of(unused), bytes)),
  octetString: (bytes: Uint8Array) => wrap(tags.octetString, bytes),
  utf8: (text: string) => wrap(tags.utf8, utf8(text)),
  utcTime: (ms: number) => wrap(tags.utcTime, utf8(timeText(ms).slice(2))),
  generalizedTime: (ms: number) => wrap(tags.generalizedTime, utf8(timeText(ms))),
  boolean: (value: boolean) => wrap(tags.boolean, Uint8Array.of(value ? 0xff : 0)),
  nullValue: () => wrap(tags.nullValue, new Uint8Array()),
  /** Context-specific: `[tag]`, explicit or implicit as the body is. */
  context: (tag: number, constructed: boolean, body: Uint8Array) => wrap((constructed ? 0xa0 : 0x80) | tag, body),
  /** Any identifier byte over any contents. */
  raw: wrap,
} as const;
