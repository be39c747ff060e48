import { readFile, writeFile } from "node:fs/promises";
import { type RunEvent, readRun } from "@countersign/core";
import { formatTensors } from "@countersign/node";
import { filePath, showModel, verifyModel } from "@countersign/registry";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleOf } from "../../packages/cli/src/network/examples.ts";
import { makeJob, post, startTestNode } from "../../packages/node/src/fixtures/job.ts";

const model = "lande-50";
let node: Awaited<ReturnType<typeof startTestNode>>;
beforeAll(async () => {
  node = await startTestNode([model]);
});
afterAll(() => node.close());

test("X1: other weights under the model's name are hashed before they are loaded, and not run", async () => {
  const { manifest } = await showModel(node.config.catalogue, model);
  const { entry } = manifest.predicate.countersign;
  const digest = manifest.predicate.resources.find((r) => r.name === entry)?.digest as string;
  const path = filePath(node.config.catalogue, digest);
  const bytes = await readFile(path);
  const { tensors } = await exampleOf(model);
  const inputs = formatTensors(tensors);
  const ask = () => post(node, makeJob(node, "/v1/infer", { model, inputs }));
  const swapped = Buffer.from(bytes);
  swapped[swapped.length - 64] = (swapped.at(-64) as number) ^ 1;
  await writeFile(path, swapped);
  expect((await ask()).map((e) => (e.type === "error" ? e.code : e.type))).toEqual(["MODEL_DIGEST_MISMATCH"]);
  expect((await verifyModel(node.config.catalogue, model)).some((f) => f.status === "different")).toBe(true);
  await writeFile(path, bytes);
  const done = (await ask()).at(-1) as Extract<RunEvent, { type: "done" }>;
  expect(done.type).toBe("done");
  expect(readRun(done.statement).predicate.model.id).toBe(model);
});
