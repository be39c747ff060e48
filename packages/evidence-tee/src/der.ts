import { type Hex, toHex } from "@countersign/core";
import { fault } from "./attestation.ts";

/** One value of the Distinguished Encoding Rules (ITU-T X.690): its identifier byte, all its bytes, and its contents. */
export type DerNode = { readonly tag: number; readonly raw: Uint8Array; readonly body: Uint8Array };

/** Identifier bytes of the universal types that certificates use. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  nullValue: 0x05,
  oid: 0x06,
  utf8: 0x0c,
  printable: 0x13,
  ia5: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `DER: ${why}`);

/** Reads the value at `at`. Lengths are definite and in their shortest form: a second spelling of signed bytes is refused. */
function nodeAt(bytes: Uint8Array, at: number): DerNode {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined) return bad("it ends inside a value");
  if ((tag & 0x1f) === 0x1f) return bad("a tag of several bytes");
  let length: number = first;
  let head = 2;
  if (first & 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > 3) return bad("a length of an unknown form");
    length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + (bytes[at + 2 + i] ?? bad("it ends inside a length"));
    if (length < (size === 1 ? 0x80 : 256 ** (size - 1))) return bad("a length that is not in its shortest form");
    head += size;
  }
  const end = at + head + length;
  if (end > bytes.length) return bad("a value is longer than what holds it");
  return { tag, raw: bytes.subarray(at, end), body: bytes.subarray(at + head, end) };
}

/** Reads exactly one value with nothing behind it. @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA */
export function readDer(bytes: Uint8Array): DerNode {
  const node = nodeAt(bytes, 0);
  if (node.raw.length !== bytes.length) fault("TEE_TRAILING_DATA", "Bytes stand behind a DER value.");
  return node;
}

/** The values inside a constructed value, in order. */
export function derChildren(body: Uint8Array): readonly DerNode[] {
  const out: DerNode[] = [];
  for (let at = 0; at < body.length; ) {
    const node = nodeAt(body, at);
    out.push(node);
    at += node.raw.length;
  }
  return out;
}

/** The values inside a SEQUENCE (or another constructed type). @throws TEE_EVIDENCE_MALFORMED when it is something else */
export function derFields(node: DerNode | undefined, tag: number = tags.sequence): readonly DerNode[] {
  if (node?.tag !== tag) return bad(`expected the type ${tag.toString(16)}`);
  return derChildren(node.body);
}

/** Hex of the contents of an object identifier, from its dotted text. */
export function oid(text: string): Hex {
  const arcs = text.split(".").map(Number);
  const [first, second, ...rest] = arcs;
  if (first === undefined || second === undefined || !arcs.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw new RangeError(`${text} is no object identifier.`);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc % 128];
    for (let n = Math.floor(arc / 128); n > 0; n = Math.floor(n / 128)) groups.unshift((n % 128) | 0x80);
    bytes.push(...groups);
  }
  return toHex(Uint8Array.from(bytes));
}

/** Hex of the contents of an object identifier. */
export const oidOf = (node: DerNode | undefined): Hex =>
  node?.tag === tags.oid && node.body.length > 0 ? toHex(node.body) : bad("expected an object identifier");

/** Milliseconds of a UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5: seconds, Greenwich, no fractions. */
export function readTime(node: DerNode | undefined): number {
  if (node?.tag !== tags.utcTime && node?.tag !== tags.generalizedTime) return bad("expected a time");
  let text = String.fromCharCode(...node.body.subarray(0, 16));
  if (node.tag === tags.utcTime) text = `${Number(text.slice(0, 2)) < 50 ? 20 : 19}${text}`;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!parts) return bad("a time in another form");
  const [, year, month, day, hour, minute, second] = parts;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // Parsers take 30 February for 2 March: what does not come back as it was is no date.
  if (Number.isNaN(at) || new Date(at).toISOString().replace(/[-:T]|\.000/g, "") !== text) return bad("no date");
  return at;
}

/** Bytes of a non-negative INTEGER, big-endian, without leading zeros; zero is one zero byte. */
export function readInteger(node: DerNode | undefined): Uint8Array {
  if (node?.tag !== tags.integer) return bad("expected an integer");
  const { body } = node;
  const [first, second] = body;
  if (first === undefined) return bad("an empty integer");
  if (first & 0x80) return bad("a negative integer");
  if (first !== 0 || second === undefined) return body;
  return second & 0x80 ? body.subarray(1) : bad("an integer that is not in its shortest form");
}

/** A non-negative INTEGER as a number. @throws TEE_EVIDENCE_MALFORMED over 32 bits */
export function readNumber(node: DerNode | undefined): number {
  const bytes = readInteger(node);
  return bytes.length > 4 ? bad("an integer that is too great") : bytes.reduce((n, b) => n * 256 + b, 0);
}

/** Bytes of a BIT STRING of whole bytes. */
export function readBitString(node: DerNode | undefined): Uint8Array {
  if (node?.tag !== tags.bitString || node.body[0] !== 0) return bad("expected a bit string of whole bytes");
  return node.body.subarray(1);
}

/** A BOOLEAN: DER knows 00 and ff alone. */
export function readBoolean(node: DerNode | undefined): boolean {
  const value = node?.tag === tags.boolean && node.body.length === 1 ? node.body[0] : undefined;
  return value === 0xff ? true : value === 0 ? false : bad("expected a boolean");
}

/** Bytes of an OCTET STRING. */
export const readOctets = (node: DerNode | undefined): Uint8Array =>
  node?.tag === tags.octetString ? node.body : bad("expected an octet string");
