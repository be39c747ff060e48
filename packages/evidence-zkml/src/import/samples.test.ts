import { CountersignError } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCalibration } from "./index.ts";

const text = (s: string) => new TextEncoder().encode(s);
const npy = (type: string, shape: string, data: Float32Array | Float64Array, order = "False"): Uint8Array => {
  const header = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': (${shape}), }\n`;
  return new Uint8Array(
    Buffer.concat([
      Buffer.from([0x93]),
      text("NUMPY"),
      Buffer.from([1, 0, header.length, 0]),
      text(header),
      Buffer.from(data.buffer),
    ]),
  );
};
const refused = (bytes: Uint8Array, labels?: Uint8Array) =>
  expect(() => readCalibration(bytes, 2, labels)).toThrow(expect.objectContaining({ code: "ZK_CALIBRATION_INVALID" }));
const two = [Float32Array.of(1, 2), Float32Array.of(3, 4)];

describe("a calibration file", () => {
  it("may be NumPy's", () => {
    expect(readCalibration(npy("<f4", "2, 2", Float32Array.of(1, 2, 3, 4)), 2)).toEqual({ samples: two });
    expect(readCalibration(npy("<f8", "2, 2", Float64Array.of(1, 2, 3, 4)), 2)).toEqual({ samples: two });
    refused(npy("<f4", "3, 2", Float32Array.of(1, 2, 3, 4)));
    refused(npy("<f4", "2, 2", Float32Array.of(1, 2, 3, 4), "True"));
    refused(npy("<i4", "2, 2", Float32Array.of(1, 2, 3, 4)));
    refused(npy("<f4", "3", Float32Array.of(1, 2, 3)));
  });

  it("may be IDX with labels beside it", () => {
    const images = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 102);
    const labels = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 1);
    expect(readCalibration(images, 2, labels)).toEqual({
      samples: [Float32Array.of(0, 1), Float32Array.of(0.2, 0.4)],
      labels: [7, 1],
    });
    refused(images.slice(0, -1));
    refused(images, labels.slice(0, -1));
    refused(Uint8Array.of(0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1));
  });

  it("may be JSON or CSV", () => {
    expect(readCalibration(text('{"samples": [[1, 2], [3, 4]], "labels": [0, 1]}'), 2)).toEqual({
      samples: two,
      labels: [0, 1],
    });
    expect(readCalibration(text("1,2\n3,4\n"), 2)).toEqual({ samples: two });
    expect(readCalibration(text("a,label,b\r\n1,5,2\r\n3,6,4\r\n"), 2)).toEqual({ samples: two, labels: [5, 6] });
    for (const bad of ["1,2\n3\n", "{}", '{"samples": [["1"]]}', '{"samples": [[1]', "a,b,c\n1,2,3\n"])
      refused(text(bad));
  });

  it("never crashes the reader", () => {
    fc.assert(
      fc.property(fc.constantFrom("", "{", "\u0000\u0000", "1,2\n"), fc.uint8Array({ maxLength: 60 }), (head, body) => {
        try {
          readCalibration(Uint8Array.from([...text(head), ...body]), 2);
        } catch (error) {
          expect(CountersignError.is(error), String(error)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
