import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { CountersignError, fromHex, type Hex, toHex } from "@countersign/core";
import { ed25519Signer, generateSeed } from "@countersign/core/node";
import { addModel, type Progress } from "@countersign/registry";

/** The publisher's seed in a file of his own; a new one is made where there is none. */
async function readSeed(path: string): Promise<Uint8Array> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new CountersignError("FILE_UNREADABLE", { message: `The file ${path} cannot be read.`, cause: error });
  });
  if (text === undefined) {
    const seed = generateSeed();
    await writeFile(path, `${toHex(seed)}\n`, { mode: 0o600, flag: "wx" });
    return seed;
  }
  if (/^[0-9a-f]{64}\n?$/.test(text)) return fromHex(text.trim());
  throw new CountersignError("FILE_UNREADABLE", { message: `${path} does not hold a seed of 64 hexadecimal digits.` });
}

/** Registers a GGUF file under a name, signed by its publisher. @throws MODEL_EXISTS, FILE_UNREADABLE */
export async function addFile(options: {
  readonly file: string;
  readonly catalogue: string;
  readonly name: string;
  readonly licence: string;
  readonly keyFile: string;
  readonly onProgress?: Progress;
}): Promise<{ readonly digest: Hex; readonly publisher: Hex }> {
  if (!options.file.endsWith(".gguf")) {
    throw new CountersignError("COMMAND_MISUSED", {
      message: "Only GGUF files can be added from the command line.",
      remedy:
        "ONNX models of your own are registered through @countersign/registry's addModel, which names their inputs and outputs.",
    });
  }
  const signer = ed25519Signer(await readSeed(options.keyFile));
  const facts = {
    title: options.name,
    job: "chat",
    architecture: "gguf",
    engine: "llama.cpp",
    entry: basename(options.file),
    quantisation: "as in the file",
    parameters: null,
    licence: options.licence,
    tokenizer: null,
    chatTemplate: null,
  } as const;
  const model = { id: options.name, facts, files: [{ path: options.file }] };
  const { digest } = await addModel(options.catalogue, model, signer, options.onProgress);
  return { digest, publisher: toHex(signer.publicKey) };
}
