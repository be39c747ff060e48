import { CountersignError } from "@countersign/core";
import { invalid, malformed, tooLarge } from "./fault.ts";
import { limits } from "./limits.ts";
import { tensorFields } from "./onnx-fields.ts";
import { type Message, readMessage } from "./wire.ts";

/** Element types that models of this kind have; ONNX's numbers. */
export const elementTypes = {
  1: "float32",
  2: "uint8",
  3: "int8",
  6: "int32",
  7: "int64",
  9: "bool",
  11: "float64",
} as const;
export type ElementType = (typeof elementTypes)[keyof typeof elementTypes];

/** A constant: sizes and numbers in row-major order; int64 as safe integers. Floats are finite and never denormal. */
export type Tensor = {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Float32Array | Float64Array | Int8Array | Uint8Array | Int32Array;
};

const widths: Readonly<Record<ElementType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float64: 8,
};

/** Number of elements of a shape. @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE before anything is allocated */
export function countOf(dims: readonly number[], what: string): number {
  if (dims.length > limits.rank) return tooLarge(`${what} has ${dims.length} dimensions.`);
  let count = 1;
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 1) return malformed(`${what} has a dimension of ${dim}.`);
    count *= dim;
    if (count > limits.elements) return tooLarge(`${what} has more than ${limits.elements} elements.`);
  }
  return count;
}

/** Refuses what float formats hold besides numbers. @throws ZK_MODEL_INVALID */
function checkReals(data: Float32Array | Float64Array, what: string): void {
  for (const value of data) {
    if (!Number.isFinite(value) || Math.abs(value) > 2 ** 64) invalid(`${what} holds ${value}, which is no weight.`);
    // Engines differ in whether denormal numbers are flushed to zero, so such a model has no one meaning.
    if (value !== 0 && Math.abs(value) < 2 ** -126)
      invalid(`${what} holds a denormal number.`, undefined, "Set weights below 1e-30 to zero before the export.");
  }
}

function fromRaw(raw: Uint8Array, type: ElementType): Tensor["data"] {
  const { buffer } = raw.slice();
  if (type === "float32") return new Float32Array(buffer);
  if (type === "float64") return new Float64Array(buffer);
  if (type === "int8") return new Int8Array(buffer);
  if (type === "int32") return new Int32Array(buffer);
  if (type !== "int64") return new Uint8Array(buffer);
  return Float64Array.from(new BigInt64Array(buffer), (n) => {
    const value = Number(n);
    return Number.isSafeInteger(value) ? value : malformed("An integer is larger than 2^53.");
  });
}

const ranges: Partial<Record<ElementType, readonly [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  bool: [0, 1],
};

function fromFields(message: Message, type: ElementType, count: number, what: string): Tensor["data"] {
  const field =
    type === "float32"
      ? "float_data"
      : type === "float64"
        ? "double_data"
        : type === "int64"
          ? "int64_data"
          : "int32_data";
  for (const other of ["float_data", "double_data", "int64_data", "int32_data"])
    if (other !== field && message.has(other)) return malformed(`${what} has ${other}, and its type is ${type}.`);
  const values = message.numbers(field);
  if (values.length !== count) return malformed(`${what} has ${values.length} elements; its shape says ${count}.`);
  const range = ranges[type];
  if (range)
    for (const value of values)
      if (value < range[0] || value > range[1]) return malformed(`${what} holds ${value}, which is no ${type}.`);
  if (type === "float32") return Float32Array.from(values);
  if (type === "int8") return Int8Array.from(values);
  if (type === "int32") return Int32Array.from(values);
  return type === "float64" || type === "int64" ? Float64Array.from(values) : Uint8Array.from(values);
}

/** Reads a TensorProto. @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE, ZK_IMPORT_EXTERNAL, ZK_MODEL_INVALID */
export function readTensor(bytes: Uint8Array): { readonly name: string; readonly tensor: Tensor } {
  const message = readMessage(bytes, "tensor", tensorFields);
  const name = message.text("name") ?? "";
  const what = `The tensor ${JSON.stringify(name)}`;
  if (message.has("external_data") || (message.int("data_location") ?? 0) !== 0)
    throw new CountersignError("ZK_IMPORT_EXTERNAL", {
      message: `${what} keeps its data in another file.`,
      why: "One file with one digest is what is registered; data beside it could change unseen.",
      remedy: "Save the model with its weights inside (save_as_external_data=False).",
    });
  const type = elementTypes[message.int("data_type") as keyof typeof elementTypes];
  if (type === undefined)
    return invalid(`${what} has the element type ${message.int("data_type")}, which is not read.`);
  const dims = [...message.numbers("dims")];
  const count = countOf(dims, what);
  const raw = message.bytes("raw_data");
  if (raw !== undefined && raw.length !== count * widths[type])
    return malformed(`${what} has ${raw.length} bytes; its shape says ${count * widths[type]}.`);
  if (raw !== undefined)
    for (const other of ["float_data", "double_data", "int64_data", "int32_data"])
      if (message.has(other)) return malformed(`${what} has its data twice.`);
  const data = raw === undefined ? fromFields(message, type, count, what) : fromRaw(raw, type);
  if (data instanceof Float32Array || (data instanceof Float64Array && type === "float64")) checkReals(data, what);
  return { name, tensor: { type, dims, data } };
}
