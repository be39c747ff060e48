import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, equalBytes } from "./bytes.ts";

/** Ed25519 verification as an argument, so that servers bring a native one; the path through the checks is one. */
export type Suite = {
  /** Whether `signature` (64 bytes) over `message` is valid under `publicKey` (32 bytes), RFC 8032 without cofactor. */
  readonly verifyEd25519: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean;
};

/** Something that signs with one Ed25519 key; the key itself stays behind it. */
export type Signer = {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  readonly sign: (message: Uint8Array) => Uint8Array;
};

const { Point } = ed25519;
const order = Point.Fn.ORDER;

const littleEndian = (bytes: Uint8Array): bigint => {
  let n = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) n = (n << 8n) | BigInt(bytes[i] as number);
  return n;
};

/**
 * The 32 bytes as a public key that every suite reads alike, or undefined.
 *
 * Libraries differ on non-canonical encodings and on points of small order, so both are refused before any of them is
 * asked: a key of small order signs every message.
 */
function decodeKey(publicKey: Uint8Array): InstanceType<typeof Point> | undefined {
  if (publicKey.length !== 32) return undefined;
  try {
    const point = Point.fromBytes(publicKey, false);
    return point.isSmallOrder() || !equalBytes(point.toBytes(), publicKey) ? undefined : point;
  } catch {
    return undefined;
  }
}

const sound = new Map<string, boolean>();

/** Whether a public key is a canonical point of large order; answers are remembered. */
export function isSoundKey(publicKey: Uint8Array): boolean {
  const id = publicKey.join();
  const known = sound.get(id);
  if (known !== undefined) return known;
  const answer = decodeKey(publicKey) !== undefined;
  if (sound.size > 4096) sound.clear();
  sound.set(id, answer);
  return answer;
}

/** Verification in plain JavaScript, for browsers: S < L and `encode(S·B − k·A) = R`, as the native libraries do it. */
export const portableSuite: Suite = {
  verifyEd25519(signature, message, publicKey) {
    const a = decodeKey(publicKey);
    if (a === undefined || signature.length !== 64) return false;
    const r = signature.subarray(0, 32);
    const s = littleEndian(signature.subarray(32));
    if (s >= order) return false;
    const k = hashToScalar(r, publicKey, message);
    const left = s === 0n ? Point.ZERO : Point.BASE.multiplyUnsafe(s);
    const right = k === 0n ? Point.ZERO : a.multiplyUnsafe(k);
    return equalBytes(left.subtract(right).toBytes(), r);
  },
};

function hashToScalar(r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint {
  return littleEndian(sha512(concat(r, a, message))) % order;
}
