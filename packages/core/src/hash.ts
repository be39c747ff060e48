import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concat, type Hex, toHex, uint, utf8 } from "./bytes.ts";

/** The two hash functions that every receipt needs dozens of times. */
export type Hashing = {
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  readonly hmacSha256: (key: Uint8Array, message: Uint8Array) => Uint8Array;
};

const portable: Hashing = {
  sha256: (bytes) => nobleSha256(bytes),
  hmacSha256: (key, message) => hmac(nobleSha256, key, message),
};
let hashing = portable;

/**
 * Hashes with native code from here on: `node.ts` alone calls this, once, when it is loaded.
 *
 * The functions are the same, only their speed differs; one that answers otherwise is never used.
 */
export function hashNatively(native: Hashing): void {
  const same = [0, 1, 55, 56, 64, 119, 1000].every((length) => {
    const bytes = new Uint8Array(length).fill(length & 255);
    return (
      toHex(native.sha256(bytes)) === toHex(portable.sha256(bytes)) &&
      toHex(native.hmacSha256(bytes, bytes)) === toHex(portable.hmacSha256(bytes, bytes))
    );
  });
  if (same) hashing = native;
}

/** SHA-256 (FIPS 180-4), 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => hashing.sha256(bytes);

/** SHA-256 as 64 lowercase hexadecimal digits. */
export const sha256Hex = (bytes: Uint8Array): Hex => toHex(sha256(bytes));

/** HMAC-SHA-256 (RFC 2104), 32 bytes. */
export const hmacSha256 = (key: Uint8Array, message: Uint8Array): Uint8Array => hashing.hmacSha256(key, message);

/** Keccak-256 as Ethereum uses it, 32 bytes. */
export const keccak256 = (bytes: Uint8Array): Uint8Array => keccak_256(bytes);

/**
 * SHA-256 under a domain tag, every part length-prefixed, so that no two lists of parts share a preimage.
 *
 * `SHA-256( u8 len(tag) ‖ tag ‖ (u64 len(part) ‖ part)* )`, spec/receipt.md §2.
 */
export function taggedHash(tag: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const name = utf8(tag);
  return sha256(concat(uint(name.length, 1), name, ...parts.flatMap((p) => [uint(p.length, 8), p])));
}
