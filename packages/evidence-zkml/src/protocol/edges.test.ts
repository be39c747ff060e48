import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundOf, type ModelShape, type QuantModel, run } from "../model.ts";
import { denseShape, randomInput, randomModel } from "../nets.fixture.ts";
import { judge, perform, type StageOptions, setStage } from "./forge.fixture.ts";

const proves = (shape: ModelShape, options: StageOptions, model?: QuantModel): void => {
  const s = setStage(shape, options, model);
  expect(judge(s, perform(s))).toEqual([]);
};

describe("honest proofs at the edges", () => {
  it("shifts 8 and 15, one for each output", () => {
    proves(denseShape([16, 12, 3], 8), { weights: "open" });
    proves(denseShape([16, 12, 3], 15), { weights: "hidden" });
    const shape: ModelShape = {
      inputs: 16,
      biasDigits: 3,
      layers: [
        { kind: "dense", outputs: 8, shift: [8, 9, 10, 11, 12, 13, 14, 15] },
        { kind: "dense", outputs: 3, shift: [] },
      ],
    };
    proves(shape, { weights: "hidden" });
  });
  it("one layer", () => proves(denseShape([9, 4]), { weights: "hidden", input: "hidden" }));
  it("activations that fill their slots exactly", () => proves(denseShape([20, 200, 56, 4], 10), { weights: "open" }));
  it("accumulators as large as bias digits and weights make them, with three digits and with four", () => {
    for (const [biasDigits, inputs] of [
      [3, 256],
      [4, 64],
    ] as const) {
      const shape = denseShape([inputs, 2], 15, biasDigits);
      const top = 128 ** (biasDigits - 1);
      const rest = biasDigits === 3 ? 129 : 16_513;
      const bias = Int32Array.of(-128 * top - 64 * rest, 127 * top + 63 * rest);
      const model: QuantModel = {
        shape,
        layers: [{ weights: new Int8Array(2 * inputs).fill(127, 0, inputs).fill(-128, inputs), bias }],
      };
      const s = setStage(shape, { weights: "hidden", input8: new Int8Array(inputs).fill(-128) }, model);
      expect([...s.trace.output]).toEqual([
        -128 * 127 * inputs - 128 * top - 64 * rest,
        16_384 * inputs + 127 * top + 63 * rest,
      ]);
      expect(Math.max(...s.trace.output.map(Math.abs))).toBeLessThanOrEqual(boundOf(inputs, biasDigits));
      expect(judge(s, perform(s))).toEqual([]);
    }
  });
  it("a hidden accumulator at both ends of what is provable", () => {
    // 2^(s+15) = 8,388,608 at shift 8; 520 inputs of 127 at weights of ±127 pass it, 8,387,… does not.
    const inputs = 600;
    const shape = denseShape([inputs, 2, 1], 8);
    const weights = new Int8Array(2 * inputs);
    weights.fill(127, 0, 520).fill(-127, inputs, inputs + 520);
    const bias = Int32Array.of(8_388_479 - 520 * 127 * 127, 520 * 127 * 127 - 8_388_736 + 0);
    const model: QuantModel = {
      shape,
      layers: [
        { weights, bias },
        { weights: Int8Array.of(1, 1), bias: Int32Array.of(0) },
      ],
    };
    const input8 = new Int8Array(inputs).fill(127);
    const s = setStage(shape, { weights: "open", input8 }, model);
    expect([...(s.trace.accumulators[0] as Int32Array)]).toEqual([8_388_479, -8_388_736]);
    expect(judge(s, perform(s))).toEqual([]);
    const over = {
      ...model,
      layers: [{ weights, bias: bias.map((b, i) => (i === 0 ? b + 1 : b)) }, ...model.layers.slice(1)],
    };
    expect(() => run(over, input8)).toThrow(/outside what the circuit can prove/);
  });
  it("thousands of activations", () => {
    const s = setStage(denseShape([12, 1100, 3], 10), { weights: "hidden", target: { query: 12, total: 9 } });
    expect(s.circuit.witness.blocks).toBeGreaterThan(1);
    expect(judge(s, perform(s))).toEqual([]);
  });
  it("random shapes, shifts, modes and inputs", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 5 }),
        fc.integer({ min: 8, max: 15 }),
        fc.constantFrom("open" as const, "hidden" as const),
        fc.constantFrom("public" as const, "hidden" as const),
        fc.integer({ min: 1, max: 1e6 }),
        (dims, shift, weights, input, seed) => {
          const shape = denseShape(dims, shift);
          proves(
            shape,
            { weights, input, seed, input8: randomInput(shape.inputs, seed) },
            randomModel(shape, seed, 127),
          );
        },
      ),
      { numRuns: 25 },
    );
  });
});
