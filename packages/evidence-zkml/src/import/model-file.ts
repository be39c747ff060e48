import { CountersignError, canonicalBytes, concat, parseCanonical, utf8 } from "@countersign/core";
import { checkModel, checkShape, inputsOf, type ModelShape, type QuantModel } from "../model.ts";
import { malformed, tooLarge } from "./fault.ts";
import { limits } from "./limits.ts";

const head = utf8("countersign-zk-model-1\n");
const headerMost = 2 ** 24;

/**
 * The canonical bytes of an integer model: a first line, the length of the shape (4 bytes, little-endian), the shape as
 * canonical JSON, and for each layer its int8 weights row after row and its int32 biases, little-endian.
 *
 * @throws ZK_MODEL_INVALID
 */
export function writeModel(model: QuantModel): Uint8Array {
  checkModel(model);
  const shape = canonicalBytes(model.shape);
  const parts = [head, littleEndian([shape.length]), shape];
  for (const { weights, bias } of model.layers)
    parts.push(new Uint8Array(weights.buffer, weights.byteOffset, weights.length), littleEndian(bias));
  return concat(...parts);
}

function littleEndian(values: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(4 * values.length);
  const view = new DataView(out.buffer);
  for (let i = 0; i < values.length; i++) view.setInt32(4 * i, values[i] as number, true);
  return out;
}

function readShape(bytes: Uint8Array): ModelShape {
  try {
    return parseCanonical(bytes) as unknown as ModelShape;
  } catch (cause) {
    throw new CountersignError("ZK_IMPORT_MALFORMED", { message: "The model's shape is no canonical JSON.", cause });
  }
}

/** Refuses members that `checkShape` does not look at: two files would hold one model. */
function checkMembers(shape: ModelShape): void {
  const only = (value: object, ...names: string[]) => Object.keys(value).sort().join() === names.sort().join();
  if (!only(shape, "inputs", "layers", "biasDigits") || !shape.layers.every((l) => only(l, "kind", "outputs", "shift")))
    malformed("The model's shape has members that no shape has.");
}

/**
 * Reads what `writeModel` wrote, and nothing else: each model has one file.
 *
 * @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE, ZK_MODEL_INVALID, ZK_OPERATOR_UNSUPPORTED
 */
export function readModel(bytes: Uint8Array): QuantModel {
  if (bytes.length > limits.fileBytes) return tooLarge(`The file is larger than ${limits.fileBytes} bytes.`);
  let at = 0;
  const take = (n: number): Uint8Array => {
    if (n > bytes.length - at) return malformed("The model file is cut.");
    at += n;
    return bytes.slice(at - n, at);
  };
  if (!take(head.length).every((b, i) => b === head[i])) return malformed("The file holds no integer model.");
  const length = new DataView(take(4).buffer).getUint32(0, true);
  if (length > headerMost) return tooLarge(`The model's shape is longer than ${headerMost} bytes.`);
  const shape = readShape(take(length));
  checkShape(shape);
  checkMembers(shape);
  const layers = shape.layers.map(({ outputs }, l) => {
    const weights = new Int8Array(take(outputs * inputsOf(shape, l)).buffer);
    const view = new DataView(take(4 * outputs).buffer);
    return { weights, bias: Int32Array.from({ length: outputs }, (_, i) => view.getInt32(4 * i, true)) };
  });
  if (at !== bytes.length) return malformed("The model file has bytes behind its end.");
  const model = { shape, layers };
  checkModel(model);
  return model;
}
