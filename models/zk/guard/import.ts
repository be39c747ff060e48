// Imports the three linear guards of the npm package llm_guardrail to integers: writes a .zkm file each and report.json.
//   node models/zk/guard/import.ts
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { importOnnx, writeModel } from "../../../packages/evidence-zkml/src/import/index.ts";
import { guardFeatures, injectionGuard, jailbreakGuard, maliceGuard } from "../../../packages/node/src/models/guard.ts";
import { readTexts } from "./texts.ts";

const texts = readTexts();
const reports = [];
for (const guard of [injectionGuard, jailbreakGuard, maliceGuard]) {
  const weights = await guard.readWeights();
  const features = texts.map((text) => guardFeatures(weights, text));
  const calibration = { samples: features.filter((_, i) => i % 2 === 0) };
  const evaluation = { samples: features.filter((_, i) => i % 2 === 1) };
  const { model, report, reportDigest } = importOnnx(await guard.source.load(), calibration, { evaluation });
  writeFileSync(join(import.meta.dirname, `${guard.source.id}.zkm`), writeModel(model));
  reports.push({ id: guard.source.id, reportDigest, report });
  console.log(guard.source.id, reportDigest, report.output.scale, JSON.stringify(report.evaluation));
}
writeFileSync(join(import.meta.dirname, "report.json"), `${JSON.stringify(reports, null, 1)}\n`);
