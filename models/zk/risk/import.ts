// Imports risk.onnx to integers with hidden weights: ranges from the 700 training rows, measured on the 300 held out. Writes risk.zkm and report.json.
//   node models/zk/risk/import.ts
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { importOnnx, writeModel } from "../../../packages/evidence-zkml/src/import/index.ts";
import { readApplicants } from "./applicants.ts";

const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, "risk.onnx")));
const options = { weights: "hidden", evaluation: readApplicants(true) } as const;
const { model, report, reportDigest } = importOnnx(bytes, readApplicants(false), options);
writeFileSync(join(import.meta.dirname, "risk.zkm"), writeModel(model));
writeFileSync(join(import.meta.dirname, "report.json"), `${JSON.stringify({ reportDigest, report }, null, 1)}\n`);
console.log(reportDigest, JSON.stringify(report.calibration), JSON.stringify(report.evaluation));
