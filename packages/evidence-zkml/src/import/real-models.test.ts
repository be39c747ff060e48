import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readMnist } from "../../../../models/zk/mnist.ts";
import { readApplicants } from "../../../../models/zk/risk/applicants.ts";
import { run } from "../model.ts";
import { decide, encodeInput, type ImportReport, importOnnx, readModel } from "./index.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "..", "models", "zk");
const file = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const committed = (name: string): { reportDigest: string; report: ImportReport } =>
  JSON.parse(readFileSync(join(folder, name), "utf8"));

describe("the digit classifier", () => {
  it("decides at least 97 % of 10,000 held-out images as integers, and its report is the committed one", () => {
    const held = readMnist("t10k", 0, 10_000);
    const { model, report, reportDigest } = importOnnx(file("digits/digits.onnx"), readMnist("train", 0, 1000), {
      evaluation: held,
    });
    expect({ reportDigest, report }).toEqual(committed("digits/report.json"));
    expect(readModel(file("digits/digits.zkm"))).toEqual(model);
    // Counted once more, without the importer's measure.
    const right = held.samples.filter(
      (x, i) => decide(run(model, encodeInput(report.input, x)).output) === held.labels[i],
    ).length;
    expect(right).toBe(report.evaluation?.correct?.after);
    expect(right).toBeGreaterThanOrEqual(9700);
  });
});

describe("the digit classifier as a quantiser made it", () => {
  it("keeps its decisions, though the quantiser left out the ReLU and took uint8", () => {
    const evaluation = readMnist("t10k", 0, 2000);
    const { report } = importOnnx(file("digits/digits-quantised.onnx"), readMnist("train", 0, 200), { evaluation });
    expect(report.parameters).toBe(101_770);
    expect(report.input).toMatchObject({ least: 0, most: 127 });
    expect(report.output.after).toEqual(["QuantizeLinear"]);
    expect(report.evaluation?.agreeing).toBeGreaterThanOrEqual(1990);
  });
});

describe("the convolutional digit classifier", () => {
  it("is refused by the name of its first operator without a circuit", () => {
    const { samples } = readMnist("train", 0, 1);
    expect(() => importOnnx(file("digits-cnn/digits-cnn.onnx"), { samples })).toThrow(
      expect.objectContaining({ code: "ZK_OPERATOR_UNSUPPORTED", message: expect.stringContaining("Conv") }),
    );
  });
});

describe("the risk score", () => {
  it("of hidden weights decides as its float model on nearly all held-out applicants", () => {
    const options = { weights: "hidden", evaluation: readApplicants(true) } as const;
    const { model, report, reportDigest } = importOnnx(file("risk/risk.onnx"), readApplicants(false), options);
    expect({ reportDigest, report }).toEqual(committed("risk/report.json"));
    expect(readModel(file("risk/risk.zkm"))).toEqual(model);
    expect(report.evaluation?.samples).toBe(300);
    expect(report.evaluation?.agreeing).toBeGreaterThanOrEqual(297);
    expect(report.output.after).toEqual(["Sigmoid"]);
  });
});
