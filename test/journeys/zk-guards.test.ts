import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readTexts } from "../../models/zk/guard/texts.ts";
import { type ImportReport, importOnnx, readModel } from "../../packages/evidence-zkml/src/import/index.ts";
import { guardFeatures, injectionGuard, jailbreakGuard, maliceGuard } from "../../packages/node/src/models/guard.ts";

type Entry = { readonly id: string; readonly reportDigest: string; readonly report: ImportReport };
const committed: readonly Entry[] = JSON.parse(readFileSync("models/zk/guard/report.json", "utf8"));
const texts = readTexts();

it.each([injectionGuard, jailbreakGuard, maliceGuard])(
  "$source.id is, as integers, what its committed report says",
  async (guard) => {
    const weights = await guard.readWeights();
    const features = texts.map((text) => guardFeatures(weights, text));
    const calibration = { samples: features.filter((_, i) => i % 2 === 0) };
    const evaluation = { samples: features.filter((_, i) => i % 2 === 1) };
    const { model, report, reportDigest } = importOnnx(await guard.source.load(), calibration, { evaluation });
    expect({ id: guard.source.id, reportDigest, report }).toEqual(committed.find((c) => c.id === guard.source.id));
    expect(readModel(new Uint8Array(readFileSync(`models/zk/guard/${guard.source.id}.zkm`)))).toEqual(model);
    const { agreeing = 0, samples = 1 } = report.evaluation ?? {};
    expect(agreeing / samples).toBeGreaterThan(0.985);
  },
);
