import { p256, p384 } from "@noble/curves/nist.js";
import { sha256, sha384 } from "@noble/hashes/sha2.js";
import { concat, equalBytes, fromHex } from "./bytes.ts";
import type { EcdsaCheck, RsaCheck } from "./signature.ts";

const curves = { "P-256": { curve: p256, size: 32 }, "P-384": { curve: p384, size: 48 } } as const;

/** ECDSA in plain JavaScript. Vendors do not normalise s, so both values count; a document's hash is therefore no identity. */
export function verifyEcdsaPortably({ curve: name, signature, message, publicKey }: EcdsaCheck): boolean {
  const { curve, size } = curves[name];
  if (signature.length !== 2 * size || publicKey.length !== 2 * size + 1 || publicKey[0] !== 4) return false;
  try {
    return curve.verify(signature, message, publicKey, { lowS: false });
  } catch {
    return false;
  }
}

/** Whether an RSA modulus is of a size and form that every suite reads alike: 2048 to 4096 bits, odd, no leading zero byte. */
export function isSoundModulus(modulus: Uint8Array): boolean {
  const bits = modulus.length * 8;
  return bits >= 2048 && bits <= 4096 && (modulus[0] as number) >= 0x80 && ((modulus.at(-1) as number) & 1) === 1;
}

const hashes = {
  "SHA-256": { hash: sha256, info: fromHex("3031300d060960864801650304020105000420") },
  "SHA-384": { hash: sha384, info: fromHex("3041300d060960864801650304020205000430") },
} as const;

const toInteger = (bytes: Uint8Array): bigint =>
  BigInt(`0x${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`);

function toBytes(n: bigint, length: number): Uint8Array {
  return fromHex(n.toString(16).padStart(2 * length, "0"));
}

/** RSA in plain JavaScript (RFC 8017 §8.1.2, §8.2.2): public values only, so nothing here needs to be constant in time. */
export function verifyRsaPortably({ scheme, hash: name, signature, message, modulus }: RsaCheck): boolean {
  if (!isSoundModulus(modulus) || signature.length !== modulus.length) return false;
  const n = toInteger(modulus);
  const s = toInteger(signature);
  if (s >= n) return false;
  // The exponent is 65537 alone: sixteen squarings and one multiplication.
  let power = s;
  for (let i = 0; i < 16; i++) power = (power * power) % n;
  const encoded = toBytes((power * s) % n, modulus.length);
  const { hash, info } = hashes[name];
  const digest = hash(message);
  if (scheme === "pss") return holdsPss(encoded, digest, hash);
  const padding = new Uint8Array(modulus.length - info.length - digest.length - 3).fill(0xff);
  return equalBytes(encoded, concat(new Uint8Array([0, 1]), padding, new Uint8Array([0]), info, digest));
}

/** EMSA-PSS-VERIFY (RFC 8017 §9.1.2) for a modulus of whole bytes: one bit of the encoding is unused. */
function holdsPss(encoded: Uint8Array, digest: Uint8Array, hash: (bytes: Uint8Array) => Uint8Array): boolean {
  const size = digest.length;
  const split = encoded.length - size - 1;
  if (encoded.at(-1) !== 0xbc || ((encoded[0] as number) & 0x80) !== 0) return false;
  const seed = encoded.subarray(split, split + size);
  const block = encoded.subarray(0, split).slice();
  const mask = maskOf(seed, split, hash);
  for (let i = 0; i < split; i++) block[i] = (block[i] as number) ^ (mask[i] as number);
  block[0] = (block[0] as number) & 0x7f;
  const zeros = split - size - 1;
  if (block.subarray(0, zeros).some((b) => b !== 0) || block[zeros] !== 1) return false;
  const salt = block.subarray(zeros + 1);
  return equalBytes(hash(concat(new Uint8Array(8), digest, salt)), seed);
}

/** MGF1 (RFC 8017 §B.2.1). */
function maskOf(seed: Uint8Array, length: number, hash: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0, made = 0; made < length; i++) {
    const part = hash(concat(seed, new Uint8Array([i >>> 24, i >>> 16, i >>> 8, i])));
    parts.push(part);
    made += part.length;
  }
  return concat(...parts).subarray(0, length);
}
