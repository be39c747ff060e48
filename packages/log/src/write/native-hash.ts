import { hash } from "node:crypto";
import type { Sha256 } from "../tree.ts";

/** SHA-256 by the native library: the same bytes as core's, several times as fast. */
export const nativeSha256: Sha256 = (bytes) => {
  const { buffer, byteOffset } = hash("sha256", bytes, "buffer");
  return new Uint8Array(buffer, byteOffset, 32);
};
