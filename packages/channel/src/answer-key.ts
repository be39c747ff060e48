import { concat, utf8 } from "@countersign/core";
import { asBytes, type Bytes } from "./suite.ts";

/** Key and first nonce of a sealed answer. */
export type AnswerSecrets = { readonly key: Bytes; readonly iv: Bytes };

/**
 * Key and nonce of an answer from the secret that request and answer share (RFC 9458 §4.4).
 *
 * `HKDF-Expand(HKDF-Extract(enc ‖ nonce, secret), "key" | "nonce", 32 | 12)` with SHA-256.
 *
 * @param secret 32 bytes that HPKE exported.
 * @param enc 32 bytes: the request's encapsulated key.
 * @param nonce 32 bytes that the answering side drew.
 */
export async function deriveAnswerSecrets(
  secret: Uint8Array,
  enc: Uint8Array,
  nonce: Uint8Array,
): Promise<AnswerSecrets> {
  const material = await crypto.subtle.importKey("raw", asBytes(secret), "HKDF", false, ["deriveBits"]);
  const salt = asBytes(concat(enc, nonce));
  const expand = async (label: string, bytes: number) =>
    new Uint8Array(
      await crypto.subtle.deriveBits(
        { name: "HKDF", hash: "SHA-256", salt, info: asBytes(utf8(label)) },
        material,
        8 * bytes,
      ),
    );
  const [key, iv] = await Promise.all([expand("key", 32), expand("nonce", 12)]);
  return { key, iv };
}
