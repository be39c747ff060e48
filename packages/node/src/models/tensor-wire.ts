import { CountersignError, type Json } from "@countersign/core";
import {
  checkTensors,
  type ElementType,
  elementSizes,
  isElementType,
  maxTensorBytes,
  type NamedTensor,
  type NamedTensors,
  tensorBytes,
  unsupported,
} from "./tensor.ts";

const refuse = (name: string, message: string): never => {
  throw new CountersignError("TENSOR_MALFORMED", {
    message: `Tensor "${name}" ${message}.`,
    remedy: 'Write a tensor as {"type":"float32","dims":[1,4],"data":[…]} or with "base64" in place of "data".',
    param: name,
  });
};

/**
 * Reads the JSON form of named tensors, `{ name: { type, dims, data | base64 } }`, as `POST /v1/infer` takes it.
 *
 * `data` is a flat row-major list of numbers (64-bit integers also as decimal text, bools also as true and false);
 * `base64` holds the little-endian bytes in canonical standard base64. Exactly one of the two.
 *
 * @throws TENSOR_MALFORMED, TENSOR_TYPE_UNSUPPORTED, TENSOR_SHAPE_MISMATCH, TENSOR_NOT_FINITE, INPUT_TOO_LARGE.
 * @example parseTensors({ x: { type: "float32", dims: [1, 2], data: [0.5, 1] } })
 */
export function parseTensors(value: unknown, limit = maxTensorBytes): NamedTensors {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse("inputs", "is not an object");
  let left = limit;
  const tensors = Object.entries(value).map(([name, entry]) => {
    const tensor = parseTensor(name, entry, left);
    left -= tensor.data.length;
    return tensor;
  });
  checkTensors(tensors, limit);
  return tensors;
}

function parseTensor(name: string, entry: unknown, limit: number): NamedTensor {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return refuse(name, "is not an object");
  const { type, dims, data, base64, ...rest } = entry as Record<string, unknown>;
  const [extra] = Object.keys(rest);
  if (extra !== undefined) return refuse(name, `has an unknown field "${extra}"`);
  if (!isElementType(type)) throw unsupported(name, type);
  if (!Array.isArray(dims)) return refuse(name, "has no list of dims");
  const bytes = tensorBytes(name, type, dims as number[], limit);
  if ((data === undefined) === (base64 === undefined)) return refuse(name, "needs exactly one of data and base64");
  const raw = base64 === undefined ? parseList(name, type, data, bytes) : parseBase64(name, base64, bytes);
  return { name, type, dims: dims as number[], data: raw };
}

const mismatch = (name: string, need: string, have: string): never => {
  throw new CountersignError("TENSOR_SHAPE_MISMATCH", {
    message: `Tensor "${name}" needs ${need} for its dims and has ${have}.`,
    param: name,
  });
};

function parseBase64(name: string, text: unknown, bytes: number): Uint8Array {
  if (typeof text !== "string") return refuse(name, "has a base64 field that is not text");
  const length = 4 * Math.ceil(bytes / 3);
  if (text.length !== length) return mismatch(name, `${length} base64 characters`, String(text.length));
  const raw = Buffer.from(text, "base64");
  // Buffer forgives foreign characters and stray bits; a second spelling of committed bytes is refused.
  if (raw.toString("base64") !== text) return refuse(name, "has base64 text that is not canonical");
  return raw.length === bytes ? new Uint8Array(raw) : mismatch(name, `${bytes} bytes`, String(raw.length));
}

function parseList(name: string, type: ElementType, list: unknown, bytes: number): Uint8Array {
  if (!Array.isArray(list)) return refuse(name, "has data that is not a list");
  const count = bytes / elementSizes[type];
  if (list.length !== count) return mismatch(name, `${count} elements`, String(list.length));
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  const write = writers[type];
  list.forEach((element: unknown, i) => {
    if (!write(view, i * elementSizes[type], element)) {
      if (typeof element === "number" && type.startsWith("float")) {
        throw new CountersignError("TENSOR_NOT_FINITE", {
          message: `Element ${i} of tensor "${name}", ${element}, is not a finite ${type}.`,
          param: name,
        });
      }
      refuse(name, `has an element, number ${i}, that is not a ${type}`);
    }
  });
  return out;
}

type Write = (view: DataView, at: number, value: unknown) => boolean;

const integer =
  (low: number, high: number, set: (view: DataView, at: number, n: number) => void): Write =>
  (view, at, value) => {
    if (!Number.isInteger(value) || (value as number) < low || (value as number) > high) return false;
    set(view, at, value as number);
    return true;
  };

const bigInteger =
  (low: bigint, high: bigint): Write =>
  (view, at, value) => {
    const exact =
      Number.isSafeInteger(value) || (typeof value === "string" && /^(?:0|-?[1-9][0-9]{0,19})$/.test(value));
    if (!exact) return false;
    const n = BigInt(value as number | string);
    if (n < low || n > high) return false;
    view.setBigUint64(at, BigInt.asUintN(64, n), true);
    return true;
  };

const writers: Readonly<Record<ElementType, Write>> = {
  float32: (view, at, value) => {
    if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) return false;
    view.setFloat32(at, value, true);
    return true;
  },
  float64: (view, at, value) => {
    if (typeof value !== "number" || !Number.isFinite(value)) return false;
    view.setFloat64(at, value, true);
    return true;
  },
  int8: integer(-0x80, 0x7f, (v, at, n) => v.setInt8(at, n)),
  uint8: integer(0, 0xff, (v, at, n) => v.setUint8(at, n)),
  int16: integer(-0x8000, 0x7fff, (v, at, n) => v.setInt16(at, n, true)),
  uint16: integer(0, 0xffff, (v, at, n) => v.setUint16(at, n, true)),
  int32: integer(-0x80000000, 0x7fffffff, (v, at, n) => v.setInt32(at, n, true)),
  uint32: integer(0, 0xffffffff, (v, at, n) => v.setUint32(at, n, true)),
  int64: bigInteger(-(1n << 63n), (1n << 63n) - 1n),
  uint64: bigInteger(0n, (1n << 64n) - 1n),
  bool: (view, at, value) => {
    const bit = typeof value === "boolean" ? Number(value) : value;
    if (bit !== 0 && bit !== 1) return false;
    view.setUint8(at, bit);
    return true;
  },
};

const readers: Readonly<Record<ElementType, (view: DataView, at: number) => Json>> = {
  float32: (v, at) => v.getFloat32(at, true),
  float64: (v, at) => v.getFloat64(at, true),
  int8: (v, at) => v.getInt8(at),
  uint8: (v, at) => v.getUint8(at),
  int16: (v, at) => v.getInt16(at, true),
  uint16: (v, at) => v.getUint16(at, true),
  int32: (v, at) => v.getInt32(at, true),
  uint32: (v, at) => v.getUint32(at, true),
  int64: (v, at) => v.getBigInt64(at, true).toString(),
  uint64: (v, at) => v.getBigUint64(at, true).toString(),
  bool: (v, at) => v.getUint8(at) === 1,
};

/** Writes named tensors in their JSON form; `base64` is exact and compact, `data` is for eyes (64-bit integers as text). */
export function formatTensors(
  tensors: NamedTensors,
  form: "base64" | "data" = "base64",
): Readonly<Record<string, Json>> {
  return Object.fromEntries(
    tensors.map(({ name, type, dims, data }): [string, Json] => {
      if (form === "base64") return [name, { type, dims: [...dims], base64: Buffer.from(data).toString("base64") }];
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const list = Array.from({ length: data.length / elementSizes[type] }, (_, i) =>
        readers[type](view, i * elementSizes[type]),
      );
      return [name, { type, dims: [...dims], data: list }];
    }),
  );
}
