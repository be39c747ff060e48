import { CountersignError } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { QuantModel } from "../model.ts";
import { readModel, writeModel } from "./index.ts";

const dense = (outputs: number, shift: readonly number[]) => ({ kind: "dense", outputs, shift }) as const;
const model: QuantModel = {
  shape: { inputs: 3, layers: [dense(2, [8, 15]), dense(2, [])], biasDigits: 3 },
  layers: [
    { weights: Int8Array.of(1, -2, 3, 127, -128, 0), bias: Int32Array.of(-70_000, 5) },
    { weights: Int8Array.of(4, 5, 6, -7), bias: Int32Array.of(0, 1) },
  ],
};

describe("the file of an integer model", () => {
  it("gives back the model", () => {
    expect(readModel(writeModel(model))).toEqual(model);
  });

  it("is the only one of its model: whatever one changes is refused or another model", () => {
    const file = writeModel(model);
    const change = fc.record({ at: fc.nat(file.length), length: fc.nat(3), put: fc.uint8Array({ maxLength: 4 }) });
    fc.assert(
      fc.property(change, ({ at, length, put }) => {
        const changed = Uint8Array.from([...file.slice(0, at), ...put, ...file.slice(at + length)]);
        let read: QuantModel;
        try {
          read = readModel(changed);
        } catch (error) {
          expect(CountersignError.is(error), String((error as Error).stack)).toBe(true);
          return;
        }
        expect(writeModel(read)).toEqual(changed);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["cut", (f: Uint8Array) => f.slice(0, -1)],
    ["longer", (f: Uint8Array) => Uint8Array.from([...f, 0])],
    ["of another kind", (f: Uint8Array) => f.slice(1)],
  ])("is refused when %s", (_, change) => {
    expect(() => readModel(change(writeModel(model)))).toThrow(
      expect.objectContaining({ code: "ZK_IMPORT_MALFORMED" }),
    );
  });

  it("is refused with members that say nothing, and with a shape that asks for gigabytes", () => {
    const withShape = (text: string, rest: readonly number[] = []) => {
      const shape = new TextEncoder().encode(text);
      const first = writeModel(model).slice(0, 23);
      return Uint8Array.from([...first, shape.length & 255, shape.length >> 8, 0, 0, ...shape, ...rest]);
    };
    const one = '{"biasDigits":3,"inputs":1,"layers":[{"kind":"dense","outputs":1,"shift":[]}]}';
    expect(readModel(withShape(one, [7, 1, 0, 0, 0])).layers[0]?.weights).toEqual(Int8Array.of(7));
    const refused = (text: string) =>
      expect(() => readModel(withShape(text, [7, 1, 0, 0, 0]))).toThrow(
        expect.objectContaining({ code: "ZK_IMPORT_MALFORMED" }),
      );
    refused(one.replace('"inputs":1', '"inputs":1,"note":1'));
    refused(one.replace('"outputs":1', '"name":1,"outputs":1'));
    refused(one.replace(":3", ": 3"));
    refused(one.replace('"inputs":1', '"inputs":65536').replace('"outputs":1', '"outputs":65536'));
  });
});
