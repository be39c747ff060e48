import { CountersignError } from "@countersign/core";
import * as z from "zod";
import { checkText, decimal, readBody } from "./body.ts";
import { writeOnnx } from "./onnx.ts";
import { once, readAsset } from "./package-file.ts";
import type { FriendlyTask, OnnxModelSource } from "./source.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";

const from = (file: string) => ({ name: "lande", version: "1.0.10", file }) as const;
const weights = {
  ...from("standalone/t50-options.js"),
  sha256: "cd199ed06f759cdf90527d32612049d8dd34c755ba7288e26f61a2609168c13c",
};
const ngramList = {
  ...from("standalone/t50-ngrams.js"),
  sha256: "00216250cc4d1526ba76e787d99467290ec5fedb0c53b70aab68c5c435cc78cc",
};
const languageList = {
  ...from("standalone/t50-langs.js"),
  sha256: "b242071a51e94386dce00e22ad3e32e7db7cbdf18c5fe1b16c5d38c7683d818a",
};

// The package's data files are JavaScript modules of one JSON literal; they are read as data and never run.
const readLiteral = async (asset: typeof weights): Promise<unknown> =>
  JSON.parse((await readAsset(asset)).replace(/^export default /, "").replace(/;\s*$/, ""));

const dense = z.object({ type: z.literal("dense"), _biases: z.string(), _filters: z.array(z.string()) });
const network = z.object({
  layers: z.tuple([
    z.object({ type: z.literal("input"), sz: z.literal(620) }),
    dense,
    z.object({ type: z.literal("relu") }),
    dense,
    z.object({ type: z.literal("softmax") }),
  ]),
});
const grams = z.object({
  unigrams: z.array(z.string()),
  bigrams: z.array(z.string()),
  trigrams: z.array(z.string()),
  quadgrams: z.array(z.string()),
});

/** One row of the package's 8-bit encoding: "1" + scale + "|" + base64 of round-toward-zero(weight · scale) + 127. */
function decodeRow(text: string): Float32Array {
  const bar = text.indexOf("|");
  const scale = Number(text.slice(1, bar));
  if (text[0] !== "1" || !(scale > 0)) throw new RangeError("The row is not in lande's 8-bit encoding.");
  return Float32Array.from(Buffer.from(text.slice(bar + 1), "base64"), (byte) => (byte - 127) / scale);
}

/** Weights of the two-layer network, row-major `[out, in]`: 620 → 120 (ReLU) → 50 (softmax). */
export type LanguageWeights = {
  readonly hidden: Float32Array;
  readonly hiddenBias: Float32Array;
  readonly output: Float32Array;
  readonly outputBias: Float32Array;
};

/** Reads the network's weights out of the package, for the ONNX conversion and for provers. */
export async function readLanguageWeights(): Promise<LanguageWeights> {
  const { layers } = network.parse(await readLiteral(weights));
  const flat = (rows: readonly string[]): Float32Array =>
    Float32Array.from(rows.flatMap((row) => Array.from(decodeRow(row))));
  return {
    hidden: flat(layers[1]._filters),
    hiddenBias: decodeRow(layers[1]._biases),
    output: flat(layers[3]._filters),
    outputBias: decodeRow(layers[3]._biases),
  };
}

const readGrams = once(async () => {
  const lists = grams.parse(await readLiteral(ngramList));
  return [lists.unigrams, lists.bigrams, lists.trigrams, lists.quadgrams] as const;
});
const readLanguages = once(async () =>
  z
    .array(z.string())
    .length(50)
    .parse(await readLiteral(languageList)),
);

/** Letters, marks and single spaces, lower case, one space at each end: what lande counts n-grams over. */
const normalise = (text: string): string => {
  const letters = text.replace(/-+/g, " ").replace(/[^\p{L}\p{M}\s]/gu, "");
  return ` ${letters
    .replace(/\s{2,}/g, " ")
    .toLowerCase()
    .trim()} `;
};

/** The 620 features: relative frequency of each listed n-gram among all of its length (UTF-16 units), as float32. */
export async function languageFeatures(text: string): Promise<Float32Array> {
  const clean = normalise(text);
  const features: number[] = [];
  for (const [i, list] of (await readGrams()).entries()) {
    const length = i + 1;
    const counts = new Map<string, number>();
    const total = Math.max(0, clean.length - length + 1);
    for (let at = 0; at < total; at++) {
      const gram = clean.slice(at, at + length);
      counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
    for (const gram of list) features.push((counts.get(gram) ?? 0) / (total || 1));
  }
  return Float32Array.from(features);
}

const body = z.strictObject({ text: z.string().min(1), limit: z.int().min(1).max(50).optional() });

const task: FriendlyTask = {
  path: "/v1/tasks/language",
  example: { text: "Wo ist der nächste Bahnhof?", limit: 3 },
  async encode(value) {
    const { text } = readBody(body, value);
    checkText(text, 100_000, "text");
    if (normalise(text).trim() === "") {
      throw new CountersignError("REQUEST_FIELD_INVALID", { message: "The text has no letters.", param: "text" });
    }
    return [tensorOf("features", "float32", [1, 620], await languageFeatures(text))];
  },
  async decode(outputs, value) {
    const { limit = 5 } = readBody(body, value);
    const scores = asFloat32(pickTensor(outputs, "probabilities"));
    const ranked = (await readLanguages())
      .map((language, i) => ({ language, score: scores[i] ?? 0 }))
      .sort((a, b) => b.score - a.score || (a.language < b.language ? -1 : 1));
    return { languages: ranked.slice(0, limit).map((x) => ({ language: x.language, probability: decimal(x.score) })) };
  },
};

const inputs = [{ name: "features", type: "float32", dims: ["batch", 620] }] as const;
const outputs = [{ name: "probabilities", type: "float32", dims: ["batch", 50] }] as const;

/** Language identification: lande's 50-language network as ONNX. */
export const languageModel: OnnxModelSource = {
  id: "lande-50",
  job: "language-identification",
  title: "lande: which of 50 languages a text is in",
  description:
    "A two-layer network over the frequencies of 620 character n-grams, trained by its author on Tatoeba sentences; 81,000 weights of 8 bits. ISO 639-3 codes. Unreliable on a few words and on mixed text.",
  licence: {
    weights: "MIT (the package's licence file; no separate statement for the weights)",
    package: "MIT",
    upstream: "github.com/fabiospampinato/lande",
  },
  package: from("standalone/t50-options.js"),
  converted: true,
  sha256: "63154171f264b65277a34fb6c22172889d0a7a2abee4c2aa384a072f476023e3",
  assets: [weights, ngramList, languageList],
  async load() {
    const w = await readLanguageWeights();
    return writeOnnx({
      name: "lande-50",
      nodes: [
        {
          op: "Gemm",
          inputs: ["features", "hidden.w", "hidden.b"],
          outputs: ["a"],
          attributes: [{ name: "transB", int: 1 }],
        },
        { op: "Relu", inputs: ["a"], outputs: ["h"] },
        { op: "Gemm", inputs: ["h", "output.w", "output.b"], outputs: ["z"], attributes: [{ name: "transB", int: 1 }] },
        { op: "Softmax", inputs: ["z"], outputs: ["probabilities"], attributes: [{ name: "axis", int: 1 }] },
      ],
      weights: [
        tensorOf("hidden.w", "float32", [120, 620], w.hidden),
        tensorOf("hidden.b", "float32", [120], w.hiddenBias),
        tensorOf("output.w", "float32", [50, 120], w.output),
        tensorOf("output.b", "float32", [50], w.outputBias),
      ],
      inputs,
      outputs,
    });
  },
  inputs,
  outputs,
  task,
};
