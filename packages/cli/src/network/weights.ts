import type { Hex } from "@countersign/core";
import { findOnnxModel, type LlamaSpec, type OnnxSpec } from "@countersign/node";
import { filePath, listModels } from "@countersign/registry";

/**
 * How to run the model of a manifest with the weights of a catalogue; undefined where the catalogue does not hold it.
 *
 * Nothing here is believed: the engine hashes the file against the manifest's digest before it loads it, and the settings
 * of a replay come from the receipt's own profile.
 */
export async function findSpec(catalogue: string, manifest: Hex): Promise<LlamaSpec | OnnxSpec | undefined> {
  const found = (await listModels(catalogue)).find((m) => m.digest === manifest);
  if (!found) return undefined;
  const { name, predicate } = found.manifest;
  const { countersign, resources } = predicate;
  const at = resources.findIndex((r) => r.name === countersign.entry);
  const sha256 = resources[at]?.digest;
  if (sha256 === undefined) return undefined;
  const file = {
    path: filePath(catalogue, sha256),
    sha256,
    bytes: countersign.files[at]?.size ?? 0,
    dtype: countersign.quantisation,
  };
  if (countersign.engine === "llama.cpp")
    return { kind: "llama", ...file, context: 2048, batch: 512, flashAttention: false };
  const source = findOnnxModel(name);
  if (countersign.engine !== "onnxruntime" || source?.sha256 !== sha256) return undefined;
  const { inputs, outputs, task } = source;
  return { kind: "onnx", ...file, graph: "all", inputs, outputs, ...(task && { task }) };
}
