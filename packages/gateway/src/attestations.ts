import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  attestationEvidenceFormat,
  CountersignError,
  fromBase64,
  type Hex,
  type Receipt,
  readAttestation,
  readEvidence,
  sha256Hex,
  toBase64,
} from "@countersign/core";

/** Attestation documents by the SHA-256 of their bytes: kept for as long as receipts name them. */
export type Attestations = {
  /** Keeps a document; resolves when the disk has it. */
  readonly put: (bytes: Uint8Array) => Promise<Hex>;
  readonly get: (digest: Hex) => Promise<Uint8Array | undefined>;
};

/** Documents as files in a folder. */
export function openAttestations(folder: string): Attestations {
  const known = new Map<Hex, Uint8Array>();
  const remember = (digest: Hex, bytes: Uint8Array) => {
    if (known.size >= 256) known.clear();
    known.set(digest, bytes);
  };
  return {
    async put(bytes) {
      const digest = sha256Hex(bytes);
      if (known.has(digest)) return digest;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const path = join(folder, `${digest}.json`);
      const fresh = `${path}.${process.pid}.tmp`;
      await writeFile(fresh, bytes, { flush: true });
      await rename(fresh, path);
      remember(digest, bytes);
      return digest;
    },
    async get(digest) {
      const held = known.get(digest);
      if (held) return held;
      const bytes = await readFile(join(folder, `${digest}.json`)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      if (bytes === undefined) return undefined;
      if (sha256Hex(bytes) !== digest)
        throw new CountersignError("STORE_CORRUPT", { message: `The attestation ${digest} was changed on disk.` });
      remember(digest, bytes);
      return bytes;
    },
  };
}

type Item = Receipt["evidence"][number];

function isAttestation({ envelope }: Item): boolean {
  const { kind, format } = readEvidence(envelope).predicate;
  return kind === "tee" && format === attestationEvidenceFormat;
}

/** Takes the documents out of a receipt's evidence and keeps each once: thousands of receipts share one. */
export async function keepAttestations(store: Attestations, evidence: readonly Item[]): Promise<readonly Item[]> {
  return Promise.all(
    evidence.map(async (item) => {
      if (item.blob === null || !isAttestation(item)) return item;
      const bytes = fromBase64(item.blob);
      // Kept and served by digest: only what is an attestation by its form, never a node's own bytes.
      readAttestation(bytes);
      await store.put(bytes);
      return { ...item, blob: null };
    }),
  );
}

/** Puts the documents back in. One that is gone stays out, and the item then grounds nothing. */
export async function withAttestations(store: Attestations, evidence: readonly Item[]): Promise<readonly Item[]> {
  return Promise.all(
    evidence.map(async (item) => {
      const { blob } = readEvidence(item.envelope).predicate;
      if (item.blob !== null || blob === null || !isAttestation(item)) return item;
      const bytes = await store.get(blob.digest);
      return bytes ? { ...item, blob: toBase64(bytes) } : item;
    }),
  );
}
