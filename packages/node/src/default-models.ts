import { join } from "node:path";
import type { Hex, Signer } from "@countersign/core";
import { addModel, type ModelFacts, type Progress, type ReadManifest, type SourceFile } from "@countersign/registry";
import type { DeploymentConfig } from "./config.ts";
import { onnxModels, smollm2, weightsPath } from "./models/index.ts";
import { readPackageFile } from "./models/package-file.ts";
import { type OnnxModelSource, readModel } from "./models/source.ts";

/** A model that this project knows by heart: how to register it and how to deploy it. */
export type DefaultModel = {
  readonly id: string;
  readonly facts: ModelFacts;
  /** SHA-256 of its weights where this project pins them itself; ONNX sources carry their own pins. */
  readonly sha256?: Hex;
  /** Its files; none when its weights are not on this machine. */
  readonly files: () => Promise<readonly SourceFile[]>;
  readonly deployment: Omit<DeploymentConfig, "model">;
  /** Deployed when nobody says otherwise. */
  readonly byDefault: boolean;
};

/** Folder of the models that this project trained itself. */
export const ownModels = join(import.meta.dirname, "..", "..", "..", "models");

const toy = {
  engine: "llama.cpp",
  architecture: "llama",
  quantisation: "f16",
  licence: "CC0-1.0 (trained by this project on its own synthetic corpus: models/pocket)",
  tokenizer: null,
  chatTemplate: null,
} as const;

const pocket: DefaultModel = {
  id: "countersign-pocket",
  sha256: "b73803913e3887744129f93bd48af63ead15196cf1e85efb70a1e860b96a96bd",
  facts: {
    ...toy,
    title: "Countersign Pocket: a toy chat model of our own",
    job: "chat",
    entry: "countersign-pocket.gguf",
    parameters: 4_786_944,
  },
  files: async () => [{ path: join(ownModels, "pocket", "countersign-pocket.gguf") }],
  deployment: { context: 512, maxOutput: 256 },
  byDefault: true,
};

// A smaller sister, for showing what happens when a node runs another model than it says.
const pocketMini: DefaultModel = {
  id: "countersign-pocket-mini",
  sha256: "5538324e49fbb63bb0dade63cc835f4845645a487a39876018607781384d6c50",
  facts: {
    ...toy,
    title: "Countersign Pocket Mini: a smaller toy, for substitution experiments",
    job: "chat",
    entry: "countersign-pocket-mini.gguf",
    parameters: 902_016,
  },
  files: async () => [{ path: join(ownModels, "pocket", "countersign-pocket-mini.gguf") }],
  deployment: { context: 512, maxOutput: 256 },
  byDefault: false,
};

const smol = (cacheDir: string): DefaultModel => ({
  id: smollm2.id,
  sha256: smollm2.sha256,
  facts: {
    title: smollm2.title,
    job: smollm2.job,
    architecture: smollm2.gguf.architecture,
    engine: "llama.cpp",
    entry: "model.gguf",
    quantisation: smollm2.gguf.quantisation,
    parameters: smollm2.gguf.parameters,
    licence: smollm2.licence.weights,
    tokenizer: null,
    chatTemplate: null,
  },
  files: async () => [{ path: weightsPath(smollm2, cacheDir), name: "model.gguf" }],
  deployment: { context: 2048, maxOutput: 512 },
  byDefault: true,
});

const onnx = (source: OnnxModelSource): DefaultModel => ({
  id: source.id,
  facts: {
    title: source.title,
    job: source.job,
    architecture: "onnx",
    engine: "onnxruntime",
    entry: "model.onnx",
    quantisation: "f32",
    parameters: null,
    licence: source.licence.weights,
    tokenizer: null,
    chatTemplate: null,
  },
  files: async () => [
    { bytes: await readModel(source), name: "model.onnx" },
    ...(await Promise.all(
      source.assets.map(async (asset) => ({
        bytes: await readPackageFile(asset),
        name: asset.file.split("/").at(-1) as string,
      })),
    )),
  ],
  deployment: {},
  byDefault: true,
});

/** All models that this project knows, the toys first. `cacheDir` is the folder of fetched weights. */
export const defaultModels = (cacheDir: string): readonly DefaultModel[] => [
  pocket,
  pocketMini,
  smol(cacheDir),
  ...onnxModels.map(onnx),
];

/**
 * Registers models in a catalogue; doing it again changes nothing.
 *
 * @throws FILE_UNREADABLE or WEIGHTS_UNAVAILABLE when a model's weights are not on this machine; MODEL_DIGEST_MISMATCH
 * when they are not the pinned ones; MODEL_EXISTS
 */
export async function registerModel(
  catalogue: string,
  model: DefaultModel,
  publisher: Signer,
  onProgress?: Progress,
): Promise<ReadManifest> {
  const [weights, ...others] = await model.files();
  const pinned =
    weights && "path" in weights && model.sha256 !== undefined ? { ...weights, sha256: model.sha256 } : weights;
  const files = pinned === undefined ? [] : [pinned, ...others];
  return addModel(catalogue, { id: model.id, facts: model.facts, files }, publisher, onProgress);
}
