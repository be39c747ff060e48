// The one file of this package that needs Node: native Ed25519 (node:crypto) behind the same two types, and SHA-256.
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { concat, equalBytes, fromHex } from "./bytes.ts";
import { hashNatively } from "./hash.ts";
import { encodeNatively } from "./native-base64.ts";
import { isSoundKey, placeOf, type Signer, type Suite } from "./signature.ts";
import { isSoundModulus } from "./vendor-signature.ts";

// DER of an Ed25519 SubjectPublicKeyInfo and PrivateKeyInfo up to the 32 key bytes (RFC 8410).
const spki = fromHex("302a300506032b6570032100");
const pkcs8 = fromHex("302e020100300506032b657004220420");
function sha256(bytes: Uint8Array): Uint8Array {
  const digest = hash("sha256", bytes, "buffer");
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.length);
}

// RFC 2104 over one-shot hashes: `createHmac` spends ten times as long on making a key object of 32 bytes.
function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(64);
  block.set(key.length > block.length ? sha256(key) : key);
  const inner = sha256(concat(block.map(xor36), message));
  return sha256(concat(block.map(xor5c), inner));
}
const xor36 = (byte: number) => byte ^ 0x36;
const xor5c = (byte: number) => byte ^ 0x5c;

hashNatively({ sha256, hmacSha256 });
encodeNatively({
  encode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
  decode: (text) => {
    const read = Buffer.from(text, "base64");
    return new Uint8Array(read.buffer, read.byteOffset, read.length);
  },
});

const curves = {
  "P-256": { size: 32, hash: "sha256" },
  "P-384": { size: 48, hash: "sha384" },
} as const;

const keys = new Map<number, { readonly raw: Uint8Array; readonly key: KeyObject }>();

function publicKeyObject(raw: Uint8Array): KeyObject {
  const place = placeOf(raw);
  const known = keys.get(place);
  if (known && equalBytes(known.raw, raw)) return known.key;
  const key = createPublicKey({ key: Buffer.from(concat(spki, raw)), format: "der", type: "spki" });
  if (keys.size > 4096) keys.clear();
  keys.set(place, { raw: raw.slice(), key });
  return key;
}

/** Native verification: the same answers as `portableSuite`, about ten times as fast. */
export const nodeSuite: Suite = {
  verifyEcdsa({ curve, signature, message, publicKey }) {
    const { size, hash } = curves[curve];
    if (signature.length !== 2 * size || publicKey.length !== 2 * size + 1 || publicKey[0] !== 4) return false;
    try {
      const x = Buffer.from(publicKey.subarray(1, 1 + size)).toString("base64url");
      const y = Buffer.from(publicKey.subarray(1 + size)).toString("base64url");
      const key = createPublicKey({ key: { kty: "EC", crv: curve, x, y }, format: "jwk" });
      return verify(hash, message, { key, dsaEncoding: "ieee-p1363" }, signature);
    } catch {
      // A point that is not on the curve.
      return false;
    }
  },
  verifyRsa({ scheme, hash, signature, message, modulus }) {
    if (!isSoundModulus(modulus) || signature.length !== modulus.length) return false;
    const n = Buffer.from(modulus).toString("base64url");
    const key = createPublicKey({ key: { kty: "RSA", n, e: "AQAB" }, format: "jwk" });
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    const padding = scheme === "pss" ? pss : { padding: constants.RSA_PKCS1_PADDING };
    return verify(hash.replace("-", "").toLowerCase(), message, { key, ...padding }, signature);
  },
  verifyEd25519(signature, message, publicKey) {
    if (signature.length !== 64 || !isSoundKey(publicKey)) return false;
    return verify(null, message, publicKeyObject(publicKey), signature);
  },
};

/** A signer from a 32-byte seed (RFC 8032). */
export function ed25519Signer(seed: Uint8Array): Signer {
  if (seed.length !== 32) throw new RangeError("An Ed25519 seed has 32 bytes.");
  const key = createPrivateKey({ key: Buffer.from(concat(pkcs8, seed)), format: "der", type: "pkcs8" });
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(spki.length);
  return { publicKey: new Uint8Array(raw), sign: (message) => new Uint8Array(sign(null, message, key)) };
}

/** A fresh 32-byte seed from the system's randomness. */
export function generateSeed(): Uint8Array {
  const { privateKey } = generateKeyPairSync("ed25519");
  return new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }).subarray(pkcs8.length));
}
