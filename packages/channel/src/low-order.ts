import { toHex } from "@countersign/core";

// The points of small order of Curve25519 and its twist (RFC 7748 §6.1), as u-coordinates without the unused top bit.
const points: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/**
 * Whether an X25519 public key is a point of small order: the shared secret would be zero, known to everybody.
 *
 * RFC 9180 §7.1.4 demands the check of the shared secret; not every platform's `deriveBits` makes it.
 */
export function isLowOrder(key: Uint8Array): boolean {
  const masked = key.slice();
  masked[31] = (masked[31] as number) & 0x7f;
  return points.has(toHex(masked));
}
