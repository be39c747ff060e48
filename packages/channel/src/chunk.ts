import { CountersignError, uint } from "@countersign/core";
import type { Bytes } from "./suite.ts";

/**
 * What a chunk carries: `text`, bytes of the answer as its endpoint writes them, or `private`, the holder's part of the
 * receipt, which is the last.
 */
export type ChunkKind = "text" | "private";

/** A chunk is as long as a multiple of this many bytes: the sizes of streamed chunks would give away the tokens. */
export const padding = 512;
/** Most content of one chunk, in bytes. */
export const longestChunk = 16 << 20;

const head = 5;
const kinds: readonly ChunkKind[] = ["text", "private"];

const malformed = (why: string) =>
  new CountersignError("CHANNEL_MALFORMED", { message: "A chunk of the sealed answer cannot be read.", why });

/** Bytes of a chunk before it is sealed: kind, u32be length, content, zeros. @throws CHANNEL_MALFORMED past 16 MiB */
export function writeChunk(content: Uint8Array, kind: ChunkKind): Bytes {
  if (content.length > longestChunk) throw malformed(`It has ${content.length} bytes; at most are ${longestChunk}.`);
  const out = new Uint8Array(Math.ceil((head + content.length) / padding) * padding);
  out[0] = kinds.indexOf(kind);
  out.set(uint(content.length, 4), 1);
  out.set(content, head);
  return out;
}

/** Takes an opened chunk apart; there is one way to write it. @throws CHANNEL_MALFORMED */
export function readChunk(bytes: Uint8Array): { readonly kind: ChunkKind; readonly content: Uint8Array } {
  if (bytes.length < padding) throw malformed("It is shorter than its padding.");
  const kind = kinds[bytes[0] as number];
  if (kind === undefined) throw malformed("It is of an unknown kind.");
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(1);
  const end = head + length;
  if (Math.ceil(end / padding) * padding !== bytes.length) throw malformed("Its length does not fit its padding.");
  if (bytes.subarray(end).some((b) => b !== 0)) throw malformed("Its padding is not zero.");
  return { kind, content: bytes.subarray(head, end) };
}
