import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, equalBytes } from "./bytes.ts";
import { verifyEcdsaPortably, verifyRsaPortably } from "./vendor-signature.ts";

/** Signature checks as an argument, so that servers bring native ones; the path through the checks is one. */
export type Suite = {
  /** Whether `signature` (64 bytes) over `message` is valid under `publicKey` (32 bytes), RFC 8032 without cofactor. */
  readonly verifyEd25519: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean;
  /** ECDSA as vendors of hardware use it (FIPS 186-5): P-256 with SHA-256, P-384 with SHA-384. Accepts both values of s. */
  readonly verifyEcdsa: (check: EcdsaCheck) => boolean;
  /** RSA with public exponent 65537 and 2048 to 4096 bits (RFC 8017): PKCS #1 v1.5, or PSS with a salt as long as the hash. */
  readonly verifyRsa: (check: RsaCheck) => boolean;
};

/** One ECDSA signature to check. */
export type EcdsaCheck = {
  readonly curve: "P-256" | "P-384";
  /** r ‖ s, 64 or 96 bytes. */
  readonly signature: Uint8Array;
  readonly message: Uint8Array;
  /** Uncompressed point, 65 or 97 bytes. */
  readonly publicKey: Uint8Array;
};

/** One RSA signature to check. */
export type RsaCheck = {
  readonly scheme: "pkcs1" | "pss";
  readonly hash: "SHA-256" | "SHA-384";
  readonly signature: Uint8Array;
  readonly message: Uint8Array;
  /** Big-endian, without leading zeros. */
  readonly modulus: Uint8Array;
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

/** The first four bytes as a number: where a table keeps what it knows of all of them, compared before it is believed. */
export const placeOf = (bytes: Uint8Array): number =>
  (((bytes[0] as number) << 24) | ((bytes[1] as number) << 16) | ((bytes[2] as number) << 8) | (bytes[3] as number)) >>>
  0;

const sound = new Map<number, { readonly publicKey: Uint8Array; readonly answer: boolean }>();

/** Whether a public key is a canonical point of large order; answers are remembered. */
export function isSoundKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false;
  const place = placeOf(publicKey);
  const known = sound.get(place);
  if (known && equalBytes(known.publicKey, publicKey)) return known.answer;
  const answer = decodeKey(publicKey) !== undefined;
  if (sound.size > 4096) sound.clear();
  sound.set(place, { publicKey: publicKey.slice(), answer });
  return answer;
}

/** Verification in plain JavaScript, for browsers: S < L and `encode(S·B − k·A) = R`, as the native libraries do it. */
export const portableSuite: Suite = {
  verifyEcdsa: verifyEcdsaPortably,
  verifyRsa: verifyRsaPortably,
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

const remembered = { checks: 2048, messageBytes: 4096 } as const;

/**
 * A suite that makes each successful check once: receipts share registrations, checkpoints and snapshots.
 *
 * Only the same signature over the same message under the same key counts as the same check, compared byte for byte; a
 * check that failed is made again.
 */
export function rememberingSuite(suite: Suite): Suite {
  type Seen = { readonly signature: Uint8Array; readonly message: Uint8Array; readonly publicKey: Uint8Array };
  const seen = new Map<number, Seen>();
  return {
    ...suite,
    verifyEd25519(signature, message, publicKey) {
      if (signature.length !== 64) return false;
      const place = placeOf(signature);
      const known = seen.get(place);
      const same =
        known !== undefined &&
        equalBytes(known.signature, signature) &&
        equalBytes(known.message, message) &&
        equalBytes(known.publicKey, publicKey);
      if (same) return true;
      const holds = suite.verifyEd25519(signature, message, publicKey);
      if (holds && message.length <= remembered.messageBytes) {
        if (seen.size >= remembered.checks) seen.clear();
        seen.set(place, { signature: signature.slice(), message: message.slice(), publicKey: publicKey.slice() });
      }
      return holds;
    },
  };
}
