// Imports digits.onnx to integers: ranges from 1,000 training images, measured on the 10,000 test images. Writes digits.zkm and report.json.
//   node models/zk/digits/import.ts
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { importOnnx, writeModel } from "../../../packages/evidence-zkml/src/import/index.ts";
import { readMnist } from "../mnist.ts";

const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, "digits.onnx")));
const { model, report, reportDigest } = importOnnx(bytes, readMnist("train", 0, 1000), { evaluation: readMnist("t10k", 0, 10_000) });
writeFileSync(join(import.meta.dirname, "digits.zkm"), writeModel(model));
writeFileSync(join(import.meta.dirname, "report.json"), `${JSON.stringify({ reportDigest, report }, null, 1)}\n`);
console.log(reportDigest, JSON.stringify(report.evaluation));
