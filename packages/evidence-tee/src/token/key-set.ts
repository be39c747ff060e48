import {
  type AttestationFormat,
  concat,
  fromBase64Url,
  isObject,
  type JsonObject,
  parseJsonBytes,
  type Suite,
  toHex,
} from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { simulatedName } from "../acceptance.ts";
import { type Collateral, fault, notRun, type Root } from "../attestation.ts";
import type { TokenAlgorithm, WebToken } from "./web-token.ts";

/** An archived key set of a vendor's verifier, pinned as a whole by the SHA-256 of its bytes. */
export type PinnedKeys = { readonly root: Root; readonly keys: readonly JsonObject[] };

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Key set: ${why}`);

/**
 * The archived key set that a root of this format pins. Sets of other services may be attached beside it.
 *
 * Not run where none is attached: whoever requires the signature is then refused by TEE_CHECK_SKIPPED.
 *
 * @throws TEE_ROOT_UNTRUSTED, TEE_SIMULATED_NOT_ALLOWED, TEE_EVIDENCE_MALFORMED
 */
export function acceptKeySet(
  collateral: readonly Collateral[],
  format: AttestationFormat,
  roots: readonly Root[],
): PinnedKeys {
  const sets = collateral.filter((c) => c.kind === "jwks");
  if (sets.length === 0) return notRun("The issuer's key set is not attached.");
  for (const { data } of sets) {
    const digest = toHex(sha256(data));
    const root = roots.find((r) => r.format === format && r.digest === digest);
    // A trust file that calls a simulation a vendor's is a mistake that must not pass in silence.
    if (root && (root.assurance === "simulated" || !isSimulated(data))) return { root, keys: readKeys(data) };
  }
  // Only for a more telling refusal; an unpinned set is never used.
  const simulated = sets.some(({ data }) => isSimulated(data));
  return simulated
    ? fault("TEE_SIMULATED_NOT_ALLOWED", "The key set says of itself that it is no vendor's.")
    : fault("TEE_ROOT_UNTRUSTED", "None of the attached key sets is pinned.");
}

const isSimulated = (data: Uint8Array): boolean => new TextDecoder().decode(data).includes(`"${simulatedName}`);

/** The keys of a JSON Web Key Set (RFC 7517 §5). @throws TEE_EVIDENCE_MALFORMED */
export function readKeys(bytes: Uint8Array): readonly JsonObject[] {
  const set = parseJsonBytes(bytes);
  if (!isObject(set) || !Array.isArray(set.keys) || !set.keys.every(isObject)) return bad("it is no JSON Web Key Set");
  return set.keys;
}

/** The one key that a token names. @throws TEE_ROOT_UNTRUSTED when the set has none of that name, or several */
export function findKey({ keys }: PinnedKeys, { keyId }: WebToken): JsonObject {
  if (keyId === null) return fault("TEE_ROOT_UNTRUSTED", "The token names no key.");
  const [key, ...more] = keys.filter((k) => k.kid === keyId);
  return key && more.length === 0
    ? key
    : fault("TEE_ROOT_UNTRUSTED", "The pinned key set has not exactly one key of the token's name.");
}

/** Whether the key made the token's signature; kind, curve, size and use of the key follow from the algorithm. */
export function isSignedByKey(token: WebToken, key: JsonObject, algorithm: TokenAlgorithm, suite: Suite): boolean {
  const { signature, signed: message } = token;
  if ((key.use !== undefined && key.use !== "sig") || (key.alg !== undefined && key.alg !== algorithm))
    fault("TEE_CERT_KEY", "The key is for another use.");
  const number = (name: string): Uint8Array => {
    const text = key[name];
    try {
      return fromBase64Url(typeof text === "string" ? text : "*");
    } catch {
      return bad(`the key's ${name} is not base64url`);
    }
  };
  if (algorithm === "ES384") {
    const [x, y] = [number("x"), number("y")];
    if (key.kty !== "EC" || key.crv !== "P-384" || x.length !== 48 || y.length !== 48)
      return fault("TEE_CERT_KEY", "The key is no P-384 key.");
    return suite.verifyEcdsa({ curve: "P-384", signature, message, publicKey: concat(Uint8Array.of(4), x, y) });
  }
  if (key.kty !== "RSA" || key.e !== "AQAB") return fault("TEE_CERT_KEY", "The key is no RSA key with exponent 65537.");
  return suite.verifyRsa({ scheme: "pkcs1", hash: "SHA-256", signature, message, modulus: number("n") });
}
