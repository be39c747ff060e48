import { fromBase64Url, isObject, type JsonObject, parseJsonBytes, utf8 } from "@countersign/core";
import { fault } from "../attestation.ts";

/** Algorithms of tokens; each format takes one. */
export type TokenAlgorithm = "ES384" | "RS256";

/** A signed token in the compact form (RFC 7515 §7.1), read and not yet believed. */
export type WebToken = {
  /** As the header spells it: to be compared with the format's one algorithm before anything else. */
  readonly algorithm: string;
  readonly keyId: string | null;
  readonly claims: JsonObject;
  /** `header.payload` as it stands. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
};

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Token: ${why}`);

/** Longest token that is read, characters. */
const longest = 131_072;

/**
 * Reads a token strictly: canonical base64url without padding, JSON with one reading, and a header of `alg`, `kid` and
 * `typ` alone.
 *
 * Every other member is refused: `x5c`, `jwk`, `jku`, `x5u` bring or point to a key of the sender's choice, `crit` and
 * `b64` change what is signed. So Confidential Space's PKI tokens (`x5c`) are not read: ask for OIDC tokens.
 *
 * @throws TEE_EVIDENCE_MALFORMED
 */
export function readWebToken(text: string): WebToken {
  if (text.length > longest) return bad("longer than is read");
  const [head, body, tail, ...more] = text.split(".");
  if (head === undefined || body === undefined || tail === undefined || more.length > 0) return bad("not three parts");
  const header = readPart(head);
  for (const name of Object.keys(header))
    if (name !== "alg" && name !== "kid" && name !== "typ") bad(`its header has the member "${name.slice(0, 32)}"`);
  const { alg, kid, typ } = header;
  if (typeof alg !== "string") return bad("its header names no algorithm");
  if (kid !== undefined && (typeof kid !== "string" || kid === "" || kid.length > 256))
    return bad("its key has no name");
  if (typ !== undefined && typ !== "JWT") return bad("its type is not JWT");
  return {
    algorithm: alg,
    keyId: kid ?? null,
    claims: readPart(body),
    signed: utf8(`${head}.${body}`),
    signature: decode(tail),
  };
}

function decode(part: string): Uint8Array {
  try {
    return fromBase64Url(part);
  } catch {
    return bad("a part is not canonical base64url");
  }
}

function readPart(part: string): JsonObject {
  const value = parseJsonBytes(decode(part));
  return isObject(value) ? value : bad("a part is no JSON object");
}

/** The token names its format's algorithm; what the token says is compared with it and never chosen by it. */
export function requireAlgorithm(token: WebToken, algorithm: TokenAlgorithm): string {
  if (token.algorithm !== algorithm)
    fault("TEE_ALG_NOT_ALLOWED", `It names ${token.algorithm.slice(0, 16)}; the format has ${algorithm} alone.`);
  return `${algorithm}.`;
}

/** When a token is for: NumericDate of RFC 7519 §2, as milliseconds. */
export type TokenTimes = { readonly issuedAt: number; readonly notBefore: number; readonly expires: number };

/** Reads `iat`, `nbf` and `exp`, all of which must be there. @throws TEE_EVIDENCE_MALFORMED */
export function readTimes({ iat, nbf, exp }: JsonObject): TokenTimes {
  const read = (value: unknown): number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 40
      ? (value as number) * 1000
      : bad("iat, nbf and exp are whole seconds and all there");
  return { issuedAt: read(iat), notBefore: read(nbf), expires: read(exp) };
}

/** Milliseconds that clocks may differ. */
const skew = 60_000;

const when = (ms: number) => new Date(ms).toISOString();

/** Whether `at` lies in the token's own time. @throws TEE_STALE, TEE_FROM_FUTURE */
export function requireCurrent({ issuedAt, notBefore, expires }: TokenTimes, at: number): string {
  const from = Math.max(issuedAt, notBefore);
  // Put so that a time that is no number fails.
  if (!(at >= from - skew)) fault("TEE_FROM_FUTURE", `It is for times from ${when(from)}.`);
  if (!(at < expires)) fault("TEE_STALE", `It ended at ${when(expires)}.`);
  return `Until ${when(expires)}.`;
}

/** Whether a token that answers nobody's nonce is young enough. @param maxAge Milliseconds. @throws TEE_STALE */
export function requireYoung({ issuedAt }: TokenTimes, at: number, maxAge: number): string {
  if (!(at - issuedAt <= maxAge))
    fault("TEE_STALE", `It was made at ${when(issuedAt)}, more than ${maxAge / 1000} s before.`);
  return `Made at ${when(issuedAt)}.`;
}

/** Text claim. @throws TEE_EVIDENCE_MALFORMED */
export function readText(claims: JsonObject, name: string): string {
  const value = claims[name];
  return typeof value === "string" && value.length <= 1024 ? value : bad(`the claim ${name} is no text`);
}
