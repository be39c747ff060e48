import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  asFloat32,
  checkTensors,
  type ElementType,
  elementSizes,
  fitTensors,
  type NamedTensor,
  type TensorSpec,
  tensorBytes,
  tensorOf,
} from "./tensor.ts";
import { formatTensors, parseTensors } from "./tensor-wire.ts";

const refusal = (code: string) => expect.objectContaining({ code });
const x = (dims: number[], ...values: number[]) => tensorOf("x", "float32", dims, Float32Array.from(values));

describe("checks", () => {
  test.each([
    [[x([1, 2], 1, 2), x([1], 1)], "TENSOR_MALFORMED"],
    [[x([3], 1, 2)], "TENSOR_SHAPE_MISMATCH"],
    [[x([2], 1, Number.NaN)], "TENSOR_NOT_FINITE"],
    [[x([2], Number.NEGATIVE_INFINITY, 1)], "TENSOR_NOT_FINITE"],
    [[tensorOf("x", "float16" as ElementType, [1], Float32Array.of(1))], "TENSOR_TYPE_UNSUPPORTED"],
    [[tensorOf("x", "toString" as ElementType, [1], Float32Array.of(1))], "TENSOR_TYPE_UNSUPPORTED"],
    [[tensorOf("x", "bool", [1], Uint8Array.of(2))], "TENSOR_MALFORMED"],
    [[x([-1], 1)], "TENSOR_MALFORMED"],
    [[x([0.5], 1)], "TENSOR_MALFORMED"],
    [[x([1, 1, 1, 1, 1, 1, 1, 1, 1], 1)], "TENSOR_MALFORMED"],
  ])("%#", (tensors, code) => {
    expect(() => checkTensors(tensors)).toThrow(refusal(code));
  });

  test("sizes past the limit are refused before anything is allocated, also when their product overflows", () => {
    expect(() => tensorBytes("x", "float32", [1_000_000, 1_000_000])).toThrow(refusal("INPUT_TOO_LARGE"));
    expect(() => tensorBytes("x", "int8", [2 ** 52, 2 ** 52, 2 ** 52])).toThrow(refusal("INPUT_TOO_LARGE"));
    expect(tensorBytes("x", "float64", [2 ** 40, 0])).toBe(0);
    expect(() => checkTensors([x([2], 1, 2), { ...x([2], 1, 2), name: "y" }], 15)).toThrow(refusal("INPUT_TOO_LARGE"));
    expect(() => checkTensors([x([2], 1, 2), { ...x([2], 1, 2), name: "y" }], 16)).not.toThrow();
  });

  test("float32 bytes at an odd address read the same", () => {
    const odd = new Uint8Array(9);
    odd.set(x([2], 1, -2).data, 1);
    expect([...asFloat32({ ...x([2], 0, 0), data: odd.subarray(1) })]).toEqual([1, -2]);
  });

  test("tensors must be exactly those of the graph", () => {
    const specs: TensorSpec[] = [
      { name: "x", type: "float32", dims: ["n", 2] },
      { name: "y", type: "float32", dims: ["n", ""] },
    ];
    const y = (dims: number[], ...values: number[]) => ({ ...x(dims, ...values), name: "y" });
    expect(() => fitTensors([y([1, 3], 1, 2, 3), x([1, 2], 1, 2)], specs)).not.toThrow();
    const cases: [NamedTensor[], string][] = [
      [[x([1, 2], 1, 2)], "TENSOR_MALFORMED"],
      [[x([1, 2], 1, 2), y([1, 1], 1), { ...y([1, 1], 1), name: "z" }], "TENSOR_MALFORMED"],
      [[x([2, 1], 1, 2), y([2, 1], 1, 2)], "TENSOR_SHAPE_MISMATCH"],
      [[x([2], 1, 2), y([1, 1], 1)], "TENSOR_SHAPE_MISMATCH"],
      [[x([1, 2], 1, 2), y([2, 1], 1, 2)], "TENSOR_SHAPE_MISMATCH"],
      [[{ ...x([1, 2], 1, 2), type: "int32" }, y([1, 1], 1)], "TENSOR_SHAPE_MISMATCH"],
    ];
    for (const [tensors, code] of cases) expect(() => fitTensors(tensors, specs)).toThrow(refusal(code));
  });
});

describe("wire form", () => {
  const tensors = fc
    .uniqueArray(
      fc.record({
        name: fc.string().filter((n) => n !== "__proto__"),
        type: fc.constantFrom(...(Object.keys(elementSizes) as ElementType[])),
        dims: fc.array(fc.nat({ max: 3 }), { maxLength: 4 }),
      }),
      { selector: (t) => t.name, maxLength: 4 },
    )
    .chain((list) =>
      fc.tuple(
        ...list.map((t) => {
          const count = t.dims.reduce((a, b) => a * b, 1);
          const bytes = count * elementSizes[t.type];
          return t.type === "float32" || t.type === "float64"
            ? fc
                .array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: count, maxLength: count })
                .map((values) => {
                  const array = t.type === "float32" ? Float32Array.from(values) : Float64Array.from(values);
                  return { ...t, data: new Uint8Array(array.buffer) };
                })
            : fc
                .uint8Array({ minLength: bytes, maxLength: bytes, max: t.type === "bool" ? 1 : 255 })
                .map((data) => ({ ...t, data }));
        }),
      ),
    );
  // JSON has one zero with a sign and object keys like "1" come first: compare by name, through real text.
  const byName = (list: readonly NamedTensor[]) => new Map(list.map((t) => [t.name, { ...t, data: [...t.data] }]));

  test("base64 and data both read back to the same bytes", () => {
    fc.assert(
      fc.property(tensors, (list) => {
        const exact = JSON.parse(JSON.stringify(formatTensors(list, "base64")));
        expect(byName(parseTensors(exact))).toEqual(byName(list));
        const plain = formatTensors(list, "data");
        expect(byName(parseTensors(plain))).toEqual(byName(list));
      }),
    );
  });

  test.each([
    [[], "TENSOR_MALFORMED"],
    [{ x: 1 }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1], data: [1], more: 1 } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1], data: [1], base64: "AACAPw==" } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: 1, data: [1] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: ["1"], data: [1] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1], data: ["1"] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "string", dims: [1], data: ["a"] } }, "TENSOR_TYPE_UNSUPPORTED"],
    [{ x: { type: "float32", dims: [2], data: [1] } }, "TENSOR_SHAPE_MISMATCH"],
    [{ x: { type: "float32", dims: [2], base64: "AACAPw==" } }, "TENSOR_SHAPE_MISMATCH"],
    [{ x: { type: "float32", dims: [1], data: [1e39] } }, "TENSOR_NOT_FINITE"],
    [{ x: { type: "float32", dims: [1], base64: "AADAfw==" } }, "TENSOR_NOT_FINITE"],
    [{ x: { type: "float32", dims: [1], base64: "AACAP===" } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1], base64: "AACAPx==" } }, "TENSOR_MALFORMED"],
    [{ x: { type: "int8", dims: [1], data: [128] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "uint8", dims: [1], data: [1.5] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "int64", dims: [1], data: ["9223372036854775808"] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "int64", dims: [1], data: [2 ** 53] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "bool", dims: [1], data: [2] } }, "TENSOR_MALFORMED"],
    [{ x: { type: "float32", dims: [1_000_000, 1_000_000], base64: "" } }, "INPUT_TOO_LARGE"],
  ])("refuses %j", (value, code) => {
    expect(() => parseTensors(value)).toThrow(refusal(code));
  });
});
