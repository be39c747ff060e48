import { CountersignError } from "@countersign/core";

/** Bytes per element of each supported type. */
export const elementSizes = {
  float32: 4,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
} as const;

/** An element type, by ONNX Runtime's name. */
export type ElementType = keyof typeof elementSizes;

/** One named tensor: row-major, little-endian raw bytes. */
export type NamedTensor = {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
};

/** The inputs or outputs of one run; names are unique. */
export type NamedTensors = readonly NamedTensor[];

/** What a graph says about one input or output: a number is a fixed size, a text a free one (equal texts, equal sizes; "" binds nothing). */
export type TensorSpec = {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
};

/** Largest number of bytes that the tensors of one call may hold together: 64 MiB. */
export const maxTensorBytes = 64 * 1024 * 1024;
const maxRank = 8;

/** Whether a value names a supported element type. */
export const isElementType = (value: unknown): value is ElementType =>
  typeof value === "string" && Object.hasOwn(elementSizes, value);

/**
 * Number of bytes that a shape needs.
 *
 * @throws TENSOR_MALFORMED on a negative or fractional size or more than 8 of them; INPUT_TOO_LARGE past `limit`,
 *   before anything is allocated.
 */
export function tensorBytes(name: string, type: ElementType, dims: readonly number[], limit = maxTensorBytes): number {
  if (dims.length > maxRank || !dims.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new CountersignError("TENSOR_MALFORMED", {
      message: `The dims of tensor "${name}" are not up to ${maxRank} non-negative integers.`,
      param: name,
    });
  }
  // A zero anywhere makes the product zero, however large the others are.
  if (dims.includes(0)) return 0;
  let bytes: number = elementSizes[type];
  for (const n of dims) {
    bytes *= n;
    if (bytes > limit) throw tooLarge(name, limit);
  }
  return bytes;
}

const tooLarge = (name: string, limit: number): CountersignError =>
  new CountersignError("INPUT_TOO_LARGE", {
    message: `Tensor "${name}" is larger than the ${limit} bytes that one call may carry.`,
    param: name,
  });

/**
 * Checks tensors by themselves: unique names, known types, data as long as the shape says, finite floats, bools 0 or 1.
 *
 * @throws TENSOR_MALFORMED, TENSOR_TYPE_UNSUPPORTED, TENSOR_SHAPE_MISMATCH, TENSOR_NOT_FINITE, INPUT_TOO_LARGE.
 */
export function checkTensors(tensors: NamedTensors, limit = maxTensorBytes): void {
  const seen = new Set<string>();
  let left = limit;
  for (const tensor of tensors) {
    const { name, type, dims, data } = tensor;
    if (seen.has(name)) {
      throw new CountersignError("TENSOR_MALFORMED", { message: `Tensor "${name}" is given twice.`, param: name });
    }
    seen.add(name);
    if (!isElementType(type)) throw unsupported(name, type);
    const bytes = tensorBytes(name, type, dims, left);
    if (bytes !== data.length) {
      throw new CountersignError("TENSOR_SHAPE_MISMATCH", {
        message: `Tensor "${name}" of shape [${dims}] needs ${bytes} bytes and has ${data.length}.`,
        param: name,
      });
    }
    left -= bytes;
    checkElements(tensor);
  }
}

/** The error for an element type that is not in `elementSizes`. */
export const unsupported = (name: string, type: unknown): CountersignError =>
  new CountersignError("TENSOR_TYPE_UNSUPPORTED", {
    message: `Tensor "${name}" has the element type ${JSON.stringify(type)}.`,
    remedy: `Use one of ${Object.keys(elementSizes).join(", ")}.`,
    param: name,
  });

function checkElements(tensor: NamedTensor): void {
  if (tensor.type === "float32" || tensor.type === "float64") {
    const values = tensor.type === "float32" ? asFloat32(tensor) : asFloat64(tensor);
    const at = values.findIndex((x) => !Number.isFinite(x));
    if (at >= 0) {
      throw new CountersignError("TENSOR_NOT_FINITE", {
        message: `Element ${at} of tensor "${tensor.name}" is ${values[at]}.`,
        why: "NaN has many bit patterns and spreads through a model, so that an answer would say nothing.",
        param: tensor.name,
      });
    }
  }
  if (tensor.type === "bool" && tensor.data.some((x) => x > 1)) {
    throw new CountersignError("TENSOR_MALFORMED", {
      message: `A bool of tensor "${tensor.name}" is neither 0 nor 1.`,
      param: tensor.name,
    });
  }
}

/**
 * Checks tensors against what a graph declares: exactly its names, its types, and shapes that fit.
 *
 * @throws TENSOR_MALFORMED on a missing or unknown name; TENSOR_SHAPE_MISMATCH on another type or shape; all of `checkTensors`.
 */
export function fitTensors(tensors: NamedTensors, specs: readonly TensorSpec[], limit = maxTensorBytes): void {
  checkTensors(tensors, limit);
  const given = new Map(tensors.map((t) => [t.name, t]));
  const sizes = new Map<string, number>();
  for (const spec of specs) {
    const tensor = given.get(spec.name);
    if (!tensor) {
      throw new CountersignError("TENSOR_MALFORMED", {
        message: `The input tensor "${spec.name}" is missing.`,
        remedy: `The model takes ${describe(specs)}.`,
        param: spec.name,
      });
    }
    given.delete(spec.name);
    const fits =
      tensor.type === spec.type &&
      tensor.dims.length === spec.dims.length &&
      spec.dims.every((want, i) => {
        const have = tensor.dims[i] as number;
        if (typeof want === "number") return want === have;
        if (want === "") return true;
        const bound = sizes.get(want);
        if (bound === undefined) sizes.set(want, have);
        return bound === undefined || bound === have;
      });
    if (!fits) {
      throw new CountersignError("TENSOR_SHAPE_MISMATCH", {
        message: `Tensor "${spec.name}" is ${tensor.type}[${tensor.dims}].`,
        remedy: `The model takes ${describe(specs)}.`,
        param: spec.name,
      });
    }
  }
  const [extra] = given.keys();
  if (extra !== undefined) {
    throw new CountersignError("TENSOR_MALFORMED", {
      message: `The model has no input "${extra}".`,
      remedy: `The model takes ${describe(specs)}.`,
      param: extra,
    });
  }
}

const describe = (specs: readonly TensorSpec[]): string =>
  specs.map((s) => `${s.name}: ${s.type}[${s.dims.map((d) => (d === "" ? "?" : d)).join(",")}]`).join(", ");

/** The tensor of that name. @throws TENSOR_MALFORMED when there is none. */
export function pickTensor(tensors: NamedTensors, name: string): NamedTensor {
  const found = tensors.find((t) => t.name === name);
  if (found) return found;
  throw new CountersignError("TENSOR_MALFORMED", { message: `There is no tensor "${name}".`, param: name });
}

// Every platform that ONNX Runtime ships a library for is little-endian, so typed arrays read the wire bytes as they are.
const aligned = (data: Uint8Array, size: number): Uint8Array => (data.byteOffset % size === 0 ? data : data.slice());

/** The elements of a float32 tensor; shares memory where alignment allows it. */
export function asFloat32(tensor: NamedTensor): Float32Array {
  const data = aligned(tensor.data, 4);
  return new Float32Array(data.buffer, data.byteOffset, data.length / 4);
}

function asFloat64(tensor: NamedTensor): Float64Array {
  const data = aligned(tensor.data, 8);
  return new Float64Array(data.buffer, data.byteOffset, data.length / 8);
}

/** A tensor over the memory of a typed array. */
export function tensorOf(
  name: string,
  type: ElementType,
  dims: readonly number[],
  values: Float32Array | BigInt64Array | Uint8Array | Int8Array,
): NamedTensor {
  return { name, type, dims, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}
