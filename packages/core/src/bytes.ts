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
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
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
  const n = BigInt(value);
  if (n < 0n || n >= 1n << BigInt(8 * width)) throw new RangeError(`${value} does not fit into ${width} bytes.`);
  const out = new Uint8Array(width);
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

/** Bytes of lowercase hexadecimal text. @throws RangeError on upper case, odd length or any other character. */
export function fromHex(text: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new RangeError("Not lowercase hexadecimal text.");
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const binary = (bytes: Uint8Array): string => {
  let out = "";
  for (let i = 0; i < bytes.length; i += 8192) out += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return out;
};

/** Standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  return btoa(binary(bytes));
}

/** Bytes of standard base64. @throws RangeError unless the text is the one canonical encoding of its bytes. */
export function fromBase64(text: string): Uint8Array {
  let raw: string;
  try {
    raw = atob(text);
  } catch {
    throw new RangeError("Not base64 text.");
  }
  // atob forgives white space, missing padding and stray bits; a second spelling of signed bytes is refused.
  if (btoa(raw) !== text) throw new RangeError("Not canonical base64 text.");
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

/** URL-safe base64 without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Bytes of URL-safe base64 without padding. @throws RangeError unless canonical. */
export function fromBase64Url(text: string): Uint8Array {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new RangeError("Not base64url text.");
  const padded = text.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(padded);
}
