import { readFile, writeFile } from "node:fs/promises";
import type { Hex } from "@countersign/core";
import { findOnnxModel } from "@countersign/node";
import { filePath, showModel } from "@countersign/registry";
import { inferTensors } from "../../tasks.ts";
import { exampleOf } from "../examples.ts";
import { attempt, caughtWith, type Play } from "./fraud.ts";
import { stageModels } from "./stage.ts";

/** The node's operator, or somebody on his machine, puts other weights under the same name, of the same length. */
export const playSwappedFile: Play = async (stage) => {
  const model = stageModels.tensors;
  const { manifest } = await showModel(stage.catalogue, model);
  const { entry } = manifest.predicate.countersign;
  const digest = manifest.predicate.resources.find((r) => r.name === entry)?.digest as Hex;
  const path = filePath(stage.catalogue, digest);
  const client = stage.client(stage.gateway.url);
  const { tensors, body } = await exampleOf(model);
  const ask = () => inferTensors(client, model, tensors, body, { policy: "signature", synthetic: true });
  const original = await readFile(path);
  const before = await stage.balance();
  // One byte near the end of the file: a weight, not the format.
  const swapped = Buffer.from(original);
  const at = swapped.length - 64;
  swapped[at] = (swapped[at] as number) ^ 0x40;
  let refused: Awaited<ReturnType<typeof attempt<unknown>>>;
  try {
    await writeFile(path, swapped);
    refused = await attempt(ask);
  } finally {
    await writeFile(path, original);
  }
  const charged = before - (await stage.balance());
  const after = await attempt(ask);
  const answers = after.status === "answered" && after.value.verdict.outcome === "met";
  const expected = "MODEL_DIGEST_MISMATCH";
  const caught = caughtWith(refused, expected);
  return {
    name: "swapped-file",
    what: `one byte of ${findOnnxModel(model)?.title ?? model} changed on the node's disk, behind its name`,
    by: "whoever can write to the node's disk",
    expected,
    caught,
    held: caught === expected && charged === 0n && answers,
    detail: `The engine hashed what it read and did not load it; charged: ${charged}. With the file restored the same question is answered${answers ? "" : ": NO, it was not"}.`,
  };
};
