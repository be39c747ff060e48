import { CountersignError, fromBase64, isObject, type Json, type JsonObject, toBase64 } from "@countersign/core";

/** A tensor that is sent: flat row-major values, or their little-endian bytes. */
export type TensorInput = {
  /** `float32`, `int64`, `uint8`, `bool`, … */
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: readonly (number | string | boolean)[] | ArrayBufferView;
};

/** A tensor that came back. */
export type Tensor = {
  readonly type: string;
  readonly dims: readonly number[];
  /** Little-endian bytes, as committed. */
  readonly bytes: Uint8Array;
  /** The values; 64-bit integers as bigint, bools as 0 and 1. */
  readonly data: readonly (number | bigint)[];
};

type Read = readonly [size: number, read: (view: DataView, at: number) => number | bigint];
const reads: Readonly<Record<string, Read>> = {
  float32: [4, (v, at) => v.getFloat32(at, true)],
  float64: [8, (v, at) => v.getFloat64(at, true)],
  int8: [1, (v, at) => v.getInt8(at)],
  uint8: [1, (v, at) => v.getUint8(at)],
  bool: [1, (v, at) => v.getUint8(at)],
  int16: [2, (v, at) => v.getInt16(at, true)],
  uint16: [2, (v, at) => v.getUint16(at, true)],
  int32: [4, (v, at) => v.getInt32(at, true)],
  uint32: [4, (v, at) => v.getUint32(at, true)],
  int64: [8, (v, at) => v.getBigInt64(at, true)],
  uint64: [8, (v, at) => v.getBigUint64(at, true)],
};

/** The `inputs` member of a body of `/v1/infer`. */
export function writeTensors(tensors: Readonly<Record<string, TensorInput>>): JsonObject {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { type, dims, data }]) => {
      if (!ArrayBuffer.isView(data)) return [name, { type, dims, data }];
      return [name, { type, dims, base64: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) }];
    }),
  );
}

const malformed = (name: string): never => {
  throw new CountersignError("TENSOR_MALFORMED", { message: `The tensor "${name}" in the answer cannot be read.` });
};

/** The tensors of an answer that was checked. @throws TENSOR_MALFORMED */
export function readTensors(outputs: Json | undefined): Readonly<Record<string, Tensor>> {
  if (!isObject(outputs)) return malformed("outputs");
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => {
      const { type, dims, base64 } = isObject(value) ? value : malformed(name);
      const entry = reads[String(type)];
      if (typeof type !== "string" || !Array.isArray(dims) || typeof base64 !== "string" || !entry)
        return malformed(name);
      const bytes = fromBase64(base64);
      const [size, read] = entry;
      if (bytes.length % size !== 0) return malformed(name);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const data = Array.from({ length: bytes.length / size }, (_, i) => read(view, i * size));
      return [name, { type, dims: dims as readonly number[], bytes, data }];
    }),
  );
}

/** A vector of an embedding: numbers as they came, or little-endian float32 in base64. @throws TENSOR_MALFORMED */
export function readVector(embedding: Json | undefined): readonly number[] {
  if (Array.isArray(embedding)) return embedding as readonly number[];
  if (typeof embedding !== "string") return malformed("embedding");
  const bytes = fromBase64(embedding);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
