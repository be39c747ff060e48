import { constants } from "node:fs";
import { access, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { CountersignError, type Envelope, fromHex, type Hex, listRoot, type Signer, toHex } from "@countersign/core";
import { type FileHash, hashBytes, hashChunk, hashFile, type Progress } from "./files.ts";
import { type ModelFacts, makeManifest, type ReadManifest, readManifest, signManifest } from "./manifest.ts";

// Layout: models/<id>.json is the signed manifest; files/<sha256> the bytes; chunks/<sha256>.json their chunk leaves.

/** A file to register: a path, held against a pinned SHA-256 where one is known, or bytes under a name. */
export type SourceFile =
  | { readonly path: string; readonly name?: string; readonly sha256?: Hex }
  | { readonly bytes: Uint8Array; readonly name: string };

const manifestPath = (dir: string, id: string): string => join(dir, "models", `${encodeURIComponent(id)}.json`);
/** Path of a file in a catalogue, by its SHA-256. */
export const filePath = (dir: string, sha256: Hex): string => join(dir, "files", sha256);
const chunksPath = (dir: string, sha256: Hex): string => join(dir, "chunks", `${sha256}.json`);

// A reader never sees half a file: written beside it, then renamed.
async function put(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.part`;
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * Registers a model: hashes its files, copies them into the catalogue by their digest, signs and stores the manifest.
 * Registering the same model again changes nothing.
 *
 * @throws FILE_UNREADABLE, MANIFEST_MALFORMED, MODEL_DIGEST_MISMATCH when a file is not the pinned one, MODEL_EXISTS when
 * the name stands for another digest
 */
export async function addModel(
  dir: string,
  model: { readonly id: string; readonly facts: ModelFacts; readonly files: readonly SourceFile[] },
  publisher: Signer,
  onProgress?: Progress,
): Promise<ReadManifest> {
  await Promise.all(["models", "files", "chunks"].map((d) => mkdir(join(dir, d), { recursive: true })));
  const hashed: { readonly name: string; readonly source: SourceFile; readonly hash: FileHash }[] = [];
  for (const source of model.files) {
    const hash = "path" in source ? await hashFile(source.path, onProgress) : hashBytes(source.bytes);
    if ("path" in source) requirePinned(model.id, source, hash.sha256);
    hashed.push({ name: source.name ?? basename((source as { path: string }).path), source, hash });
  }
  const manifest = makeManifest(
    model.id,
    model.facts,
    hashed.map(({ name, hash }) => ({ name, size: hash.size, sha256: hash.sha256, chunkRoot: hash.chunkRoot })),
  );
  const made = readManifest(signManifest(manifest, publisher));
  const known = await showModel(dir, model.id).catch((error: unknown) => {
    if (CountersignError.is(error, "MODEL_UNKNOWN")) return undefined;
    throw error;
  });
  if (known && known.digest !== made.digest) {
    throw new CountersignError("MODEL_EXISTS", {
      message: `The name ${model.id} stands for another model already.`,
      why: `Registered is ${known.digest}; this one is ${made.digest}.`,
      remedy: "Give the new model a name of its own, for example with a version in it.",
    });
  }
  for (const { source, hash } of hashed) await putFile(dir, source, hash);
  if (known) return known;
  await put(manifestPath(dir, model.id), (path) => writeFile(path, `${JSON.stringify(made.envelope)}\n`));
  return made;
}

/** A file of another content must not get a known name by lying in the right place. @throws MODEL_DIGEST_MISMATCH */
function requirePinned(id: string, { path, sha256 }: Extract<SourceFile, { path: string }>, found: Hex): void {
  if (sha256 === undefined || sha256 === found) return;
  throw new CountersignError("MODEL_DIGEST_MISMATCH", {
    message: `The weights of ${id} are not the ones that are pinned.`,
    why: `${path} hashes to ${found}; pinned is ${sha256}.`,
    remedy: "Restore the file, or register yours under a name of its own.",
    facts: { expected: sha256, found },
  });
}

async function putFile(dir: string, source: SourceFile, hash: FileHash): Promise<void> {
  await put(chunksPath(dir, hash.sha256), (path) => writeFile(path, JSON.stringify(hash.chunks)));
  const to = filePath(dir, hash.sha256);
  const there = await hashFile(to).catch(() => undefined);
  if (there?.sha256 === hash.sha256) return;
  await put(to, async (path) => {
    if ("bytes" in source) await writeFile(path, source.bytes);
    else await copyFile(source.path, path, constants.COPYFILE_FICLONE);
    // What was copied, not what was hashed before: the source may have changed in between.
    const copied = await hashFile(path);
    if (copied.sha256 !== hash.sha256) {
      throw new CountersignError("MODEL_DIGEST_MISMATCH", {
        message: "The file changed while it was being registered.",
        facts: { expected: hash.sha256, found: copied.sha256 },
      });
    }
  });
}

/** Every model of a catalogue, by name. @throws MANIFEST_MALFORMED */
export async function listModels(dir: string): Promise<readonly ReadManifest[]> {
  const names = await readdir(join(dir, "models")).catch(() => []);
  const ids = names.filter((n) => n.endsWith(".json")).map((n) => decodeURIComponent(n.slice(0, -5)));
  return Promise.all(ids.sort().map((id) => showModel(dir, id)));
}

/** One model. @throws MODEL_UNKNOWN, MANIFEST_MALFORMED */
export async function showModel(dir: string, id: string): Promise<ReadManifest> {
  let text: string;
  try {
    text = await readFile(manifestPath(dir, id), "utf8");
  } catch (cause) {
    throw new CountersignError("MODEL_UNKNOWN", {
      message: `No model is registered as ${id}.`,
      remedy: "List the models: countersign models list",
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CountersignError("MANIFEST_MALFORMED", { message: `The manifest of ${id} is not JSON text.`, cause });
  }
  const read = readManifest(value);
  if (read.manifest.name !== id) {
    throw new CountersignError("MANIFEST_MALFORMED", {
      message: `The manifest stored as ${id} is that of ${read.manifest.name}.`,
    });
  }
  return read;
}

/** What a re-hash of one file found. */
export type FileCheck = {
  readonly name: string;
  readonly status: "same" | "different" | "missing";
  readonly expected: Hex;
  readonly found: Hex | null;
  /** Which chunk was read, or null for all of the file. */
  readonly chunk: number | null;
};

/**
 * Hashes a model's files again; with `chunk`, only that chunk of each (its number is taken modulo the number of chunks).
 *
 * The result is a value: look at every `status`; a missing file is not a pass.
 *
 * @throws MODEL_UNKNOWN, MANIFEST_MALFORMED
 */
export async function verifyModel(
  dir: string,
  id: string,
  options: { readonly chunk?: number; readonly onProgress?: Progress } = {},
): Promise<readonly FileCheck[]> {
  const { manifest } = await showModel(dir, id);
  const checks: FileCheck[] = [];
  for (const [i, { name, digest }] of manifest.predicate.resources.entries()) {
    const path = filePath(dir, digest);
    const root = manifest.predicate.countersign.files[i]?.chunkRoot as Hex;
    const check =
      options.chunk === undefined
        ? await checkWhole(path, digest, options.onProgress)
        : await checkOne(dir, digest, root, options.chunk);
    checks.push({ name, ...check });
  }
  return checks;
}

type Checked = Omit<FileCheck, "name">;

async function checkWhole(path: string, expected: Hex, onProgress?: Progress): Promise<Checked> {
  const found = await hashFile(path, onProgress).catch(() => null);
  if (found === null) return { status: "missing", expected, found: null, chunk: null };
  const { sha256 } = found;
  return { status: sha256 === expected ? "same" : "different", expected, found: sha256, chunk: null };
}

async function checkOne(dir: string, sha256: Hex, root: Hex, index: number): Promise<Checked> {
  const leaves = await readFile(chunksPath(dir, sha256), "utf8")
    .then((text) => JSON.parse(text) as Hex[])
    .catch(() => null);
  // The leaves are a side file that nobody signed: they must hash to the signed root before one of them is believed.
  if (leaves === null || toHex(listRoot(leaves.map(fromHex))) !== root)
    return { status: "missing", expected: root, found: null, chunk: index };
  const chunk = leaves.length === 0 ? 0 : index % leaves.length;
  const expected = leaves[chunk] ?? root;
  const found = await hashChunk(filePath(dir, sha256), chunk).catch(() => null);
  if (found === null) return { status: "missing", expected, found, chunk };
  return { status: found === expected ? "same" : "different", expected, found, chunk };
}

/**
 * Fetches a model into this catalogue: its manifest is given, each file comes from `fetchFile` and is checked before it
 * gets its name. Whose manifest it is, the caller has asked before (`verifyManifest`).
 *
 * @throws MANIFEST_MALFORMED, MODEL_EXISTS, MODEL_DIGEST_MISMATCH, WEIGHTS_UNAVAILABLE
 */
export async function pullModel(
  dir: string,
  envelope: Envelope,
  fetchFile: (sha256: Hex, name: string) => Promise<AsyncIterable<Uint8Array> | Uint8Array>,
  onProgress?: Progress,
): Promise<ReadManifest> {
  const read = readManifest(envelope);
  const { name: id, predicate } = read.manifest;
  const known = await showModel(dir, id).catch(() => undefined);
  if (known && known.digest !== read.digest) {
    throw new CountersignError("MODEL_EXISTS", { message: `The name ${id} stands for another model already.` });
  }
  await Promise.all(["models", "files", "chunks"].map((d) => mkdir(join(dir, d), { recursive: true })));
  for (const { name, digest } of predicate.resources) {
    if ((await hashFile(filePath(dir, digest)).catch(() => undefined))?.sha256 === digest) continue;
    await put(filePath(dir, digest), async (path) => {
      try {
        await writeFile(path, await fetchFile(digest, name));
      } catch (cause) {
        throw new CountersignError("WEIGHTS_UNAVAILABLE", { message: `The file ${name} could not be fetched.`, cause });
      }
      const hash = await hashFile(path, onProgress);
      if (hash.sha256 !== digest) {
        throw new CountersignError("MODEL_DIGEST_MISMATCH", {
          message: `What was fetched as ${name} is another file.`,
          facts: { expected: digest, found: hash.sha256 },
        });
      }
      await put(chunksPath(dir, digest), (at) => writeFile(at, JSON.stringify(hash.chunks)));
    });
  }
  if (!(await exists(manifestPath(dir, id))))
    await put(manifestPath(dir, id), (path) => writeFile(path, `${JSON.stringify(envelope)}\n`));
  return read;
}
