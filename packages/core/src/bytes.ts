import { decodeStrictly, nativeFor } from "./native-base64.ts";

/** Lowercase hexadecimal text without a prefix. */
export type Hex = string & { readonly __hex?: never };

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a well-formed string. @throws RangeError when the string holds a lone surrogate: two such strings would share one hash. */
export function utf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new RangeError("The text holds a lone surrogate.");
  return encoder.encode(text);
}

/** Text of UTF-8 bytes. @throws TypeError when the bytes are not valid UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes);
}

/** All parts one after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Whether two byte strings are equal; takes the same time wherever they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

/** Big-endian unsigned integer of `width` bytes. @throws RangeError when it does not fit. */
export function uint(value: number | bigint, width: 1 | 2 | 4 | 8): Uint8Array {
  const out = new Uint8Array(width);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value < 256 ** width) {
    for (let i = width - 1, rest = value; rest > 0; i--, rest = Math.floor(rest / 256)) out[i] = rest % 256;
    return out;
  }
  const n = BigInt(value);
  if (n < 0n || n >= 1n << BigInt(8 * width)) throw new RangeError(`${value} does not fit into ${width} bytes.`);
  for (let i = width - 1, rest = n; i >= 0; i--, rest >>= 8n) out[i] = Number(rest & 0xffn);
  return out;
}

const digits = "0123456789abcdef";
const pairs = Array.from({ length: 256 }, (_, i) => `${digits[i >> 4]}${digits[i & 15]}`);

/** Lowercase hexadecimal text of bytes. */
export function toHex(bytes: Uint8Array): Hex {
  let out = "";
  for (const b of bytes) out += pairs[b];
  return out;
}

// What a character is worth in an alphabet; `stray` for all others, so that one bit of the union of all values tells.
const stray = 64;
const valuesOf = (alphabet: string): Uint8Array => {
  const values = new Uint8Array(128).fill(stray);
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
};
const hexValues = valuesOf(digits);

/** Bytes of lowercase hexadecimal text. @throws RangeError on upper case, odd length or any other character. */
export function fromHex(text: string): Uint8Array {
  const out = new Uint8Array(text.length >> 1);
  let union = text.length % 2 === 0 ? 0 : stray;
  for (let i = 0; i < out.length; i++) {
    const high = hexValues[text.charCodeAt(2 * i)] ?? stray;
    const low = hexValues[text.charCodeAt(2 * i + 1)] ?? stray;
    union |= high | low;
    out[i] = (high << 4) | low;
  }
  if (union & stray) throw new RangeError("Not lowercase hexadecimal text.");
  return out;
}

const binary = (bytes: Uint8Array): string => {
  let out = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    // `apply` takes the array as it is; spreading it walks an iterator and takes eight times as long.
    out += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192) as unknown as number[]);
  }
  return out;
};

/** Standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  return nativeFor(bytes.length)?.encode(bytes) ?? btoa(binary(bytes));
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const base64Values = valuesOf(`${letters}+/`);
const base64UrlValues = valuesOf(`${letters}-_`);

/** The bytes of the first `length` characters, or undefined unless they are the one encoding of those bytes. */
function decode64(text: string, length: number, values: Uint8Array): Uint8Array | undefined {
  const rest = length % 4;
  if (rest === 1) return undefined;
  const out = new Uint8Array((length * 3) >> 2);
  let union = 0;
  let word = 0;
  let at = 0;
  for (let i = 0; i < length; i++) {
    const value = values[text.charCodeAt(i)] ?? stray;
    union |= value;
    word = (word << 6) | value;
    if (i % 4 === 3) {
      out[at++] = word >> 16;
      out[at++] = word >> 8;
      out[at++] = word;
      word = 0;
    }
  }
  // Bits past the last byte must be zero: a second spelling of signed bytes is refused.
  if (rest === 2) {
    if (word & 0xf) return undefined;
    out[at] = word >> 4;
  } else if (rest === 3) {
    if (word & 0x3) return undefined;
    out[at++] = word >> 10;
    out[at] = word >> 2;
  }
  return union & stray ? undefined : out;
}

/** Bytes of standard base64. @throws RangeError unless the text is the one canonical encoding of its bytes. */
export function fromBase64(text: string): Uint8Array {
  const native = nativeFor(text.length);
  const read = native ? decodeStrictly(native, text) : decodePortably(text);
  if (!read) throw new RangeError("Not canonical base64 text.");
  return read;
}

function decodePortably(text: string): Uint8Array | undefined {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return text.length % 4 === 0 ? decode64(text, text.length - padding, base64Values) : undefined;
}

/** URL-safe base64 without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Bytes of URL-safe base64 without padding. @throws RangeError unless canonical. */
export function fromBase64Url(text: string): Uint8Array {
  const out = decode64(text, text.length, base64UrlValues);
  if (!out) throw new RangeError("Not canonical base64url text.");
  return out;
}
