import { canonicalBytes, sha256Hex } from "@countersign/core";
import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { run, shiftOf } from "../model.ts";
import { decodeOutput, digestReport, encodeInput, evaluate, importOnnx, lower, readOnnx } from "./index.ts";
import { write } from "./onnx-writer.fixture.ts";
import { type RandomModel, randomModel, randomOf } from "./random-model.fixture.ts";

async function runtime(file: Uint8Array, samples: readonly Float32Array[]): Promise<readonly Float32Array[]> {
  // Without optimisation, so that quantised graphs are computed as they stand.
  const session = await InferenceSession.create(file, { graphOptimizationLevel: "disabled", intraOpNumThreads: 1 });
  const outputs: Float32Array[] = [];
  for (const sample of samples) {
    const result = await session.run({ x: new Tensor("float32", sample, [1, sample.length]) });
    outputs.push((result[session.outputNames[0] as string] as Tensor).data as Float32Array);
  }
  await session.release();
  return outputs;
}

/** Random models that have an integer form: a Clip that cuts low behind few inputs has none, and is refused by name. */
function importable(
  seeds: number,
  qdq = false,
): readonly (RandomModel & { readonly file: Uint8Array; readonly seed: number })[] {
  const found = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const made = randomModel(seed, qdq);
    const file = write(made.model);
    try {
      importOnnx(file, { samples: made.samples });
      found.push({ ...made, file, seed });
    } catch (error) {
      expect((error as Error).message).toMatch(
        /^(The Clip behind linear layer \d+ cuts at .*, lower than its integer form can|Grids between linear layers cut)/,
      );
    }
  }
  expect(found.length).toBeGreaterThan(0.7 * seeds);
  return found;
}

const near = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - (b[i] as number)) / (1 + Math.abs(b[i] as number))));
};

describe("a float model", () => {
  it("means to the importer what it means to onnxruntime", async () => {
    for (let seed = 1; seed <= 120; seed++) {
      const { model, samples } = randomModel(seed);
      const file = write(model);
      const plan = lower(readOnnx(file));
      const expected = await runtime(file, samples.slice(0, 3));
      samples.slice(0, 3).forEach((x, i) => {
        expect(near(evaluate(plan, x), expected[i] as Float32Array), `seed ${seed}`).toBeLessThan(1e-5);
      });
    }
  });

  it("and its integers stay near it, under every choice of ranges and shifts", async () => {
    let [total, agreeing] = [0, 0];
    for (const { seed, file, samples } of importable(60)) {
      const expected = await runtime(file, samples);
      for (const shifts of ["layer", "channel", "auto"] as const)
        for (const ranging of [{ method: "min-max" }, { method: "percentile", share: 0.9999 }] as const) {
          const { model: integers, report } = importOnnx(file, { samples }, { shifts, ranging });
          samples.forEach((x, i) => {
            const { output } = run(integers, encodeInput(report.input, x));
            const float = expected[i] as Float32Array;
            const size = 1 + Math.max(...Array.from(float, Math.abs));
            expect(near(decodeOutput(report.output, output), float) / size, `seed ${seed}`).toBeLessThan(0.25);
          });
          total += samples.length;
          agreeing += report.calibration.agreeing;
        }
    }
    expect(agreeing / total).toBeGreaterThan(0.95);
  });
});

describe("a quantised model", () => {
  it("means what it means to onnxruntime, up to one step of a grid", async () => {
    let [same, all] = [0, 0];
    for (let seed = 1; seed <= 80; seed++) {
      const { model, samples } = randomModel(seed, true);
      const file = write(model);
      const plan = lower(readOnnx(file));
      const expected = await runtime(file, samples);
      samples.forEach((x, i) => {
        all++;
        const far = near(evaluate(plan, x), expected[i] as Float32Array);
        // A tie that float32 and float64 round apart moves a value by one step.
        expect(far, `seed ${seed}`).toBeLessThan(0.05);
        if (far < 1e-5) same++;
      });
    }
    expect(same / all).toBeGreaterThan(0.97);
  });

  it("takes its ranges from its own grids, and decides as before", () => {
    let [agreeing, all] = [0, 0];
    for (const { file, samples } of importable(60, true)) {
      const small = samples.map((x) => x.map((v) => v / 1000));
      const [a, b] = [small, samples].map((s) => importOnnx(file, { samples: s }, { shifts: "layer" }));
      expect(a?.report.input).toEqual(b?.report.input);
      expect(a?.report.input).toMatchObject({ least: -128, most: 127 });
      expect(Number(a?.report.input.scale)).toBeCloseTo(1 / 127, 9);
      expect(a?.model).toEqual(b?.model);
      agreeing += b?.report.calibration.agreeing as number;
      all += samples.length;
    }
    expect(agreeing / all).toBeGreaterThan(0.93);
  });
});

describe("the integer model", () => {
  it("takes every int8 input, the extremes too", () => {
    for (const { seed, file, size, samples } of importable(60)) {
      const { model: integers } = importOnnx(file, { samples });
      const random = randomOf(seed);
      const first = integers.layers[0]?.weights as Int8Array;
      const inputs = [
        new Int8Array(size).fill(-128),
        new Int8Array(size).fill(127),
        ...Array.from({ length: 20 }, () => Int8Array.from({ length: size }, () => Math.floor(256 * random()) - 128)),
        // The input that drives an output as far as it goes, up and down.
        ...[1, -1].map((s) =>
          Int8Array.from({ length: size }, (_, j) => (Math.sign(first[j] as number) * s > 0 ? 127 : -128)),
        ),
      ];
      for (const x of inputs) expect(() => run(integers, x)).not.toThrow();
    }
  });

  it("takes them also where calibration saw sums far smaller than can come", () => {
    const n = 600;
    const constants = {
      w: { dims: [1, n], data: new Float32Array(n).fill(1) },
      v: { dims: [1, 1], data: Float32Array.of(1) },
    };
    const gemm = (from: string, weight: string, out: string) => ({
      op: "Gemm",
      in: [from, weight],
      out: [out],
      attributes: { transB: 1 },
    });
    const nodes = [gemm("x", "w", "z"), { op: "Relu", in: ["z"], out: ["h"] }, gemm("h", "v", "y")];
    const file = write({ nodes, constants, input: ["x", ["n", n]], output: ["y", ["n", 1]] });
    const samples = [Float32Array.from({ length: n }, (_, i) => (i === 0 ? 1 : 0))];
    for (const shifts of ["layer", "channel"] as const) {
      const { model } = importOnnx(file, { samples }, { shifts });
      expect(model.shape.layers[0]?.shift).toEqual([9]);
      for (const x of [127, -128]) expect(() => run(model, new Int8Array(n).fill(x))).not.toThrow();
    }
  });

  it("cuts where Clip cuts, or is refused", () => {
    const file = (n: number) => {
      const constants = {
        w: { dims: [n, 1], data: new Float32Array(n).fill(0.5) },
        v: { dims: [1, 1], data: Float32Array.of(1) },
        low: { dims: [], data: Float32Array.of(0) },
        high: { dims: [], data: Float32Array.of(6) },
      };
      const nodes = [
        { op: "MatMul", in: ["x", "w"], out: ["z"] },
        { op: "Clip", in: ["z", "low", "high"], out: ["h"] },
        { op: "MatMul", in: ["h", "v"], out: ["y"] },
      ];
      return write({ nodes, constants, input: ["x", ["n", n]], output: ["y", ["n", 1]] });
    };
    const samples = (n: number, most: number) => [new Float32Array(n).fill(most)];
    const { model, report } = importOnnx(file(20), { samples: samples(20, 5) });
    expect(report.layers[0]?.scale).toBe(String(6 / 127));
    const { output } = run(model, encodeInput(report.input, new Float32Array(20).fill(5)));
    expect(Number(report.output.scale) * (output[0] as number)).toBeCloseTo(6, 1);
    // Three inputs of up to 10: one alone brings up to 5, and a scale for shift 8 holds 10 and would let 8 pass.
    expect(() => importOnnx(file(3), { samples: samples(3, 10) })).toThrow(
      expect.objectContaining({ code: "ZK_MODEL_INVALID", message: expect.stringContaining("Clip") }),
    );
    // Where nothing can reach the limit nothing is cut.
    expect(importOnnx(file(3), { samples: samples(3, 2) }).report.calibration.agreeing).toBe(1);
  });

  it("is, bit for bit, what its integers say", () => {
    for (const { file, samples } of importable(40)) {
      const { model: integers, report } = importOnnx(file, { samples });
      for (const sample of samples) {
        let x: readonly bigint[] = Array.from(encodeInput(report.input, sample), BigInt);
        const { output } = run(integers, Int8Array.from(x, Number));
        integers.layers.forEach(({ weights, bias }, l) => {
          const acc = Array.from(bias, (b, i) =>
            x.reduce((sum, v, j) => sum + v * BigInt(weights[i * x.length + j] as number), BigInt(b)),
          );
          const shape = integers.shape.layers[l];
          if (l === integers.layers.length - 1 || shape === undefined) x = acc;
          else
            x = acc.map((a, i) => {
              const s = BigInt(shiftOf(shape, i));
              const z = (a + (1n << (s - 1n))) >> s;
              return z < 0n ? 0n : z > 127n ? 127n : z;
            });
        });
        expect(Array.from(output, BigInt)).toEqual(x);
      }
    }
  });

  it("and its report are the same each time, and the report has canonical bytes", () => {
    const { model, samples } = randomModel(7);
    const [a, b] = [0, 1].map(() => importOnnx(write(model), { samples, labels: samples.map(() => 0) }));
    expect(a).toEqual(b);
    expect(a?.reportDigest).toBe(sha256Hex(canonicalBytes(a?.report)));
    expect(digestReport({ ...(a as NonNullable<typeof a>).report, folded: ["x"] })).not.toBe(a?.reportDigest);
  });

  it("of hidden weights leaves nothing in its report that a guess could be checked by", () => {
    const { model, samples } = randomModel(11);
    const { report } = importOnnx(write(model), { samples }, { weights: "hidden" });
    expect(report.source.sha256).toBeNull();
    expect(report.quantisation.shifts).toBe("layer");
    expect(report.layers.every((l) => l.scale === null)).toBe(true);
  });
});

describe("inputs", () => {
  it("are rounded to the nearest integer, ties to even, and cut to int8", () => {
    expect([
      ...encodeInput(
        { scale: "0.5", least: -128, most: 127 },
        Float32Array.of(0.25, 0.75, -0.25, -0.75, 100, -100, 0.26),
      ),
    ]).toEqual([0, 2, 0, -2, 127, -128, 1]);
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -200, max: 200 }), (x) => {
        const q = encodeInput({ scale: "1", least: -128, most: 127 }, Float32Array.of(x))[0] as number;
        expect(Math.abs(q - Math.min(127, Math.max(-128, Math.fround(x))))).toBeLessThanOrEqual(0.5);
      }),
    );
  });

  it("of NaN and infinities are refused", () => {
    for (const x of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => encodeInput({ scale: "1", least: -128, most: 127 }, Float32Array.of(x))).toThrow(
        expect.objectContaining({ code: "ZK_INPUT_INVALID" }),
      );
  });
});
