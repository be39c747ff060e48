import { CountersignError, concat, type Hex, sha256, sha256Hex } from "@countersign/core";
import type { AnswerSecrets } from "./answer-key.ts";
import { type ChunkKind, readChunk, writeChunk } from "./chunk.ts";
import { asBytes, type Bytes } from "./suite.ts";

/** Past this many chunks a key is spent: far below what AES-GCM bears, far above any answer. */
const mostChunks = 2 ** 32;
/** Marks the last chunk, so that an answer cannot be cut where nobody looks (draft-ietf-ohai-chunked-ohttp). */
const endMark = new TextEncoder().encode("final");
const noMark = new Uint8Array();
/** From here on the platform hashes faster than its own overhead. */
const nativeFrom = 16 << 10;

const unopened = (why: string, cause?: unknown) =>
  new CountersignError("CHANNEL_UNOPENED", { message: "A chunk of the sealed answer does not open.", why, cause });

/** Nonce of chunk `index`: the first one XOR the 96-bit big-endian index, as HPKE and RFC 9458 have it. */
function nonceOf(iv: Bytes, index: number): Bytes {
  if (index >= mostChunks) {
    throw new CountersignError("CHANNEL_MALFORMED", { message: "The answer has more chunks than one key may seal." });
  }
  const out = iv.slice();
  const view = new DataView(out.buffer);
  view.setUint32(8, (view.getUint32(8) ^ index) >>> 0);
  return out;
}

const importKey = (key: Bytes, use: "encrypt" | "decrypt") =>
  crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);

const hashOf = async (chunk: Bytes): Promise<Uint8Array> =>
  chunk.length < nativeFrom ? sha256(chunk) : new Uint8Array(await crypto.subtle.digest("SHA-256", chunk));

/** Seals an answer, chunk after chunk. Calls may overlap: the order of calls is the order of chunks. */
export type AnswerSealer = {
  /** 32 bytes that the opening side needs. */
  readonly nonce: Uint8Array;
  /** The next chunk. `private` is the last: sealing after it is refused. @throws CHANNEL_MALFORMED */
  readonly seal: (content: Uint8Array, kind: ChunkKind) => Promise<Uint8Array>;
  /** SHA-256 over the nonce and the SHA-256 of every chunk so far, the last included; once they are sealed. */
  readonly digest: () => Hex;
};

/** Opens an answer, chunk after chunk, in order. */
export type AnswerOpener = {
  /** @throws CHANNEL_UNOPENED for a chunk that is altered, missing, doubled or in another place; CHANNEL_MALFORMED after the last */
  readonly open: (chunk: Uint8Array) => Promise<{ readonly kind: ChunkKind; readonly content: Uint8Array }>;
  /** Says that nothing follows. @throws CHANNEL_TRUNCATED unless the last chunk was there */
  readonly end: () => void;
  /**
   * SHA-256 over the nonce and the SHA-256 of every chunk that came, the last included: of an honest answer what the
   * statement names. Chunks that do not open count as well, so that it shows who changed them.
   */
  readonly digest: () => Hex;
};

/** @param first Index of the first chunk: for tests of the counter. */
export async function makeSealer(secrets: AnswerSecrets, nonce: Uint8Array, first = 0): Promise<AnswerSealer> {
  const key = await importKey(secrets.key, "encrypt");
  const hashes: Uint8Array[] = [];
  let next = first;
  let ended = false;
  return {
    nonce,
    async seal(content, kind) {
      if (ended) throw new CountersignError("CHANNEL_MALFORMED", { message: "The answer's last chunk is sealed." });
      const iv = nonceOf(secrets.iv, next);
      const plain = writeChunk(content, kind);
      // Taken before anything is awaited: no two chunks ever share a nonce.
      const index = next++ - first;
      ended = kind === "private";
      const additionalData = ended ? endMark : noMark;
      const chunk = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, plain));
      hashes[index] = await hashOf(chunk);
      return chunk;
    },
    digest: () => sha256Hex(concat(nonce, ...hashes)),
  };
}

/** @param first Index of the first chunk: for tests of the counter. */
export async function makeOpener(secrets: AnswerSecrets, nonce: Uint8Array, first = 0): Promise<AnswerOpener> {
  const key = await importKey(secrets.key, "decrypt");
  const hashes: Uint8Array[] = [];
  let state: "open" | "broken" | "ended" = "open";
  let next = first;
  let before: Promise<unknown> = Promise.resolve();

  const decrypt = async (chunk: Bytes, iv: Bytes, additionalData: Bytes): Promise<Uint8Array | undefined> => {
    try {
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, chunk));
    } catch {
      return undefined;
    }
  };
  const openNext = async (chunk: Bytes) => {
    hashes.push(await hashOf(chunk));
    if (state === "broken") throw unopened("A chunk before it did not open, so nothing after it is believed.");
    if (state === "ended") {
      state = "broken";
      throw new CountersignError("CHANNEL_MALFORMED", { message: "A chunk follows the sealed answer's last one." });
    }
    // Until it is shown to be right.
    state = "broken";
    const iv = nonceOf(secrets.iv, next++);
    const plain = await decrypt(chunk, iv, noMark);
    const last = plain === undefined ? await decrypt(chunk, iv, endMark) : undefined;
    const opened = plain ?? last;
    if (!opened) throw unopened("It was altered, or stands in another place than it was sealed for.");
    const read = readChunk(opened);
    if ((read.kind === "private") !== (last !== undefined)) {
      throw new CountersignError("CHANNEL_MALFORMED", {
        message: "The end mark and the private part are not one chunk.",
      });
    }
    state = last === undefined ? "open" : "ended";
    return read;
  };
  return {
    open(chunk) {
      const result = before.then(() => openNext(asBytes(chunk)));
      before = result.catch(() => undefined);
      return result;
    },
    end() {
      if (state === "ended") return;
      throw new CountersignError("CHANNEL_TRUNCATED", {
        message: "The sealed answer ended before its end mark.",
        why: state === "broken" ? "A chunk of it did not open." : "Its last chunk is not there.",
        remedy: "Nothing of it is a whole answer: ask again.",
      });
    },
    digest: () => sha256Hex(concat(nonce, ...hashes)),
  };
}
