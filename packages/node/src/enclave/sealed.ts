import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { CountersignError, canonicalBytes, parseCanonical, utf8 } from "@countersign/core";
import * as z from "zod";
import { drawSeeds, type Seeds, seedsShape } from "./keys.ts";

/** What survives a restart of the same measurement: the seeds, and nothing that opens a request. */
const contentsShape = z.strictObject({ seeds: seedsShape });
type Contents = z.infer<typeof contentsShape>;

/** State that only this measurement on this machine opens. */
export type SealedStorage = {
  readonly seeds: Seeds;
  /** Whether the seeds were drawn at this start. */
  readonly isNew: boolean;
};

const magic = utf8("countersign/sealed/v1\n");

function seal(contents: Contents, key: Uint8Array): Buffer {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(magic);
  const body = Buffer.concat([cipher.update(canonicalBytes(contents)), cipher.final()]);
  return Buffer.concat([magic, iv, cipher.getAuthTag(), body]);
}

function unseal(file: Buffer, key: Uint8Array): Contents {
  const at = magic.length;
  if (!file.subarray(0, at).equals(magic) || file.length < at + 28) throw new RangeError("not a sealed file");
  const cipher = createDecipheriv("aes-256-gcm", key, file.subarray(at, at + 12), { authTagLength: 16 }).setAAD(magic);
  cipher.setAuthTag(file.subarray(at + 12, at + 28));
  const body = Buffer.concat([cipher.update(file.subarray(at + 28)), cipher.final()]);
  return contentsShape.parse(parseCanonical(new Uint8Array(body)));
}

// Whole and on the disk before its name points to it: a crash leaves the old file or the new one.
async function write(path: string, bytes: Buffer): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

/**
 * Opens the sealed storage, or makes it with new keys where there is none.
 *
 * AES-256-GCM with a random nonce, one write for each set of seeds. An old file put back by the host opens as well:
 * nothing here notices a rollback (docs/enclave.md).
 *
 * @param key 32 bytes by machine and measurement; null where the platform gives none, and then nothing is kept.
 * @param newKeys The operator's word to start over where the file belongs to another measurement.
 * @throws TEE_SEALED_ELSEWHERE when the file does not open: another measurement, another machine, or altered
 */
export async function openSealed(args: {
  readonly path: string;
  readonly key: Uint8Array | null;
  readonly newKeys: boolean;
  readonly random: (length: number) => Uint8Array;
}): Promise<SealedStorage> {
  const { path, key, newKeys, random } = args;
  const file =
    key === null || newKeys
      ? undefined
      : await readFile(path).catch((error: NodeJS.ErrnoException) => {
          if (error.code === "ENOENT") return undefined;
          throw error;
        });
  let contents: Contents;
  try {
    contents = file && key ? unseal(file, key) : { seeds: drawSeeds(random) };
  } catch (cause) {
    throw new CountersignError("TEE_SEALED_ELSEWHERE", {
      message:
        "The sealed storage does not open: its keys belong to another measurement or machine, or it was changed.",
      why: "Code, runtime or configuration of the enclave are not those that sealed it.",
      remedy: "Start what sealed it again, or start with --new-keys and register the new key.",
      cause,
    });
  }
  if (!file && key) await write(path, seal(contents, key));
  return { seeds: contents.seeds, isNew: !file };
}
