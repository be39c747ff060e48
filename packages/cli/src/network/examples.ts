import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { findOnnxModel, type NamedTensors, tensorOf } from "@countersign/node";

const folder = join(import.meta.dirname, "..", "..", "examples");
const image = async (name: string) => ({ image: (await readFile(join(folder, name))).toString("base64") });

/** Two seconds of a buzzing vowel-like tone at 16 kHz, 16-bit: something for a voice detector to look at. */
function buzz(): Buffer {
  const samples = new Int16Array(32_000);
  for (let i = 0; i < samples.length; i++) {
    const phase = (i / 16_000) * 120;
    samples[i] = Math.round(6000 * (2 * (phase % 1) - 1) * (0.6 + 0.4 * Math.sin((i / 16_000) * 2 * Math.PI * 3)));
  }
  return Buffer.from(samples.buffer);
}

const inputs: Readonly<Record<string, () => Promise<unknown>>> = {
  "ppocr-v4-rec": () => image("line.pgm"),
  "ppocr-v2-cls": () => image("line-turned.pgm"),
  "ppocr-v4-det": () => image("page.png"),
  "silero-vad-v5-clip": async () => ({ audio: buzz().toString("base64"), encoding: "pcm16", sampleRate: 16_000 }),
};

/** A real input for a model of the catalogue, as its tensors and, where it has a friendly task, the task's body. */
export async function exampleOf(model: string): Promise<{ readonly tensors: NamedTensors; readonly body: unknown }> {
  const task = findOnnxModel(model)?.task;
  if (task) {
    const body = (await inputs[model]?.()) ?? task.example;
    return { tensors: await task.encode(body), body };
  }
  // Silero's own step form: context and frame, state, and the rate.
  const tensors = [
    tensorOf("input", "float32", [1, 576], new Float32Array(576)),
    tensorOf("state", "float32", [2, 1, 128], new Float32Array(256)),
    tensorOf("sr", "int64", [], new BigInt64Array([16_000n])),
  ];
  return { tensors, body: undefined };
}
