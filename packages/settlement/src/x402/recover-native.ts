import { createRequire } from "node:module";
import { addressOf, CountersignError, splitSignature } from "@countersign/core";
import type * as Secp256k1 from "secp256k1";

/** Address that signed a 32-byte digest. @throws SIGNATURE_NOT_CANONICAL, PAYMENT_INVALID */
export type Recover = (digest: Uint8Array, signature: string) => string;

/**
 * Recovery by libsecp256k1, about ten times as fast as plain JavaScript.
 *
 * The package falls back to slow JavaScript without a word where it has no binary; its `bindings` entry does not, so a
 * server that asks for native recovery either gets it or does not start (silent failures X7).
 *
 * @param load how the binding is found
 * @throws NATIVE_MODULE_MISSING
 */
export function loadNativeRecover(
  load: () => unknown = () => createRequire(import.meta.url)("secp256k1/bindings.js"),
): Recover {
  let native: Pick<typeof Secp256k1, "ecdsaRecover">;
  try {
    native = load() as typeof Secp256k1;
  } catch (cause) {
    throw new CountersignError("NATIVE_MODULE_MISSING", {
      message: "The native secp256k1 library did not load.",
      why: `There is no binary for ${process.platform}-${process.arch}, or it could not be opened.`,
      remedy: "Ask for portable recovery by name in the configuration; it is slower.",
      cause,
    });
  }
  return (digest, signature) => {
    const { compact, recovery } = splitSignature(signature);
    let point: Uint8Array;
    try {
      point = native.ecdsaRecover(compact, recovery, digest, false);
    } catch (cause) {
      throw new CountersignError("PAYMENT_INVALID", {
        message: "No key belongs to the payment signature.",
        why: "Its r is not the coordinate of a point on the curve.",
        cause,
      });
    }
    return addressOf(point);
  };
}
