import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concat, type Hex, toHex, uint, utf8 } from "./bytes.ts";

/** SHA-256 (FIPS 180-4), 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => nobleSha256(bytes);

/** SHA-256 as 64 lowercase hexadecimal digits. */
export const sha256Hex = (bytes: Uint8Array): Hex => toHex(nobleSha256(bytes));

/** HMAC-SHA-256 (RFC 2104), 32 bytes. */
export const hmacSha256 = (key: Uint8Array, message: Uint8Array): Uint8Array => hmac(nobleSha256, key, message);

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
