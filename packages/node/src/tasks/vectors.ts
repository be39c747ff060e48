import { CountersignError, type ParsedRequest } from "@countersign/core";
import * as z from "zod";
import type { NamedTensors } from "../models/tensor.ts";
import { parseTensors } from "../models/tensor-wire.ts";
import { check, only, readParameters } from "./parameters.ts";

/** An embedding request: texts or token lists, one vector each. */
export type EmbeddingTask = { readonly kind: "embedding"; readonly inputs: readonly (string | readonly number[])[] };
/** A request on named tensors. */
export type TensorTask = { readonly kind: "tensors"; readonly inputs: NamedTensors };

const tokens = z.array(z.number().int().min(0).max(4_294_967_295)).min(1);
const inputShape = z.union([
  z
    .string()
    .min(1)
    .transform((t) => [t]),
  tokens.transform((t) => [t]),
  z.array(z.string().min(1)).min(1).max(256),
  z.array(tokens).min(1).max(256),
]);

// The encoding is how the gateway writes the vector, which is committed as its bytes either way.
const embeddingTable = { encoding_format: z.enum(["float", "base64"]) } as const;

/** Reads an embedding request. @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID */
export function readEmbedding({ value }: ParsedRequest): EmbeddingTask {
  readParameters(value, embeddingTable, ["input"]);
  return { kind: "embedding", inputs: check(inputShape, value.input, "input") };
}

/** Reads a tensor request. @throws PARAMETER_NOT_SUPPORTED, TENSOR_MALFORMED and the other tensor errors */
export function readTensorTask({ value }: ParsedRequest): TensorTask {
  readParameters(value, { encoding: only("base64") }, ["inputs"]);
  const inputs = parseTensors(value.inputs);
  if (inputs.length > 0) return { kind: "tensors", inputs };
  throw new CountersignError("TENSOR_MALFORMED", { message: "`inputs` names no tensor.", param: "inputs" });
}
