import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ed25519Signer } from "@countersign/core/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultModels, ownModels, registerModel } from "./default-models.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "countersign-default-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));
const publisher = ed25519Signer(new Uint8Array(32).fill(7));

test("the digests of our own weights are those of the committed files and of the model card", async () => {
  const card = JSON.parse(await readFile(join(ownModels, "pocket", "model.json"), "utf8")) as {
    readonly sha256: string;
    readonly variants: readonly { readonly sha256: string }[];
  };
  const pinned = defaultModels(dir).slice(0, 2);
  expect(pinned.map((m) => m.sha256)).toEqual([card.sha256, card.variants[0]?.sha256]);
  for (const model of pinned) {
    const { manifest } = await registerModel(join(dir, "catalogue"), model, publisher);
    expect(manifest.predicate.resources[0]?.digest).toBe(model.sha256);
  }
});

test("another file in the place of the weights is not registered under the name", async () => {
  const file = join(dir, "other.gguf");
  await writeFile(file, "other weights");
  const [model] = defaultModels(dir);
  if (!model) throw new Error("There is no first model.");
  const swapped = { ...model, files: async () => [{ path: file }] };
  await expect(registerModel(join(dir, "empty"), swapped, publisher)).rejects.toMatchObject({
    code: "MODEL_DIGEST_MISMATCH",
  });
});
