import type { Deployment, Envelope, Hex } from "@countersign/core";
import type { ReadManifest } from "@countersign/registry";
import type { FriendlyTask } from "./models/source.ts";
import type { TensorSpec } from "./models/tensor.ts";

/** A GGUF model and the settings under which llama.cpp runs it. */
export type LlamaSpec = {
  readonly kind: "llama";
  readonly path: string;
  readonly sha256: Hex;
  readonly bytes: number;
  readonly context: number;
  readonly batch: number;
  readonly flashAttention: boolean;
  /** The node's own number where none is given. */
  readonly threads?: number;
  readonly dtype: string;
};
/** An ONNX model. */
export type OnnxSpec = {
  readonly kind: "onnx";
  readonly path: string;
  readonly sha256: Hex;
  readonly bytes: number;
  readonly graph: "disabled" | "basic" | "extended" | "all";
  readonly dtype: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Text to tensors and back, where the deployment has a friendlier task than tensors. */
  readonly task?: FriendlyTask;
};
/** Another OpenAI-compatible server: this node relays and says so (scope `origin`). */
export type UpstreamSpec = {
  readonly kind: "upstream";
  /** Base URL up to and including `/v1`. */
  readonly url: string;
  /** What the upstream calls the model. */
  readonly model: string;
  readonly apiKey: string | null;
  /** Whether an answer by another model than asked for is passed on, with `substitutedFrom` committed. */
  readonly allowSubstitution: boolean;
};
/** What runs a deployment. */
export type EngineSpec = LlamaSpec | OnnxSpec | UpstreamSpec;

/** A deployment as a node serves it: what it promises and what runs it. */
export type Served = {
  readonly deployment: Deployment;
  readonly envelope: Envelope;
  readonly manifest: ReadManifest;
  readonly about: Readonly<Record<string, string>>;
  readonly engine: EngineSpec;
};
