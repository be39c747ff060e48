import { utf8 } from "@countersign/core";

/** Name of the one suite: HPKE base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM (RFC 9180). */
export const channelSuite = "countersign/channel/v1";

/** What separates this protocol's keys from those of every other use of the same key. */
export const requestInfo = utf8("countersign/channel/v1 request");
export const answerLabel = utf8("countersign/channel/v1 response");

/** Bytes that WebCrypto takes: everything here is backed by an ArrayBuffer. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A copy only where the bytes are not backed by an ArrayBuffer of their own kind. */
export const asBytes = (bytes: Uint8Array): Bytes =>
  bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes);
