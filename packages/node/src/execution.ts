import type { Contents, Output, Param, ProfileLeaf, RunEvent, RunResult } from "@countersign/core";

/** What an engine gives while it runs: pieces of the answer, for whoever reads along. */
export type Delta = Extract<RunEvent, { readonly type: "delta" }>;

/** One finished execution, before anything is committed. */
export type Execution = {
  /** Bytes that went to the engine or upstream; undefined for tensors. */
  readonly forwarded: Uint8Array | undefined;
  /** What the model saw; undefined where another host ran it. */
  readonly modelInput: Contents["modelInput"];
  /** Each answer with, for text, its token ids. */
  readonly outputs: readonly { readonly output: Output; readonly tokens?: Uint8Array | undefined }[];
  /** Parameters in effect where the request says nothing. */
  readonly defaults: Readonly<Record<string, Param>>;
  readonly profile: ProfileLeaf;
  readonly result: RunResult;
  /** Changes between the bytes received and what the model saw, by name (R6). */
  readonly rewrites: readonly string[];
  /** The name under which another host said it answered. */
  readonly served: string | null;
  readonly substitutedFrom: string | null;
};

/** Runs a request: pieces on the way, the execution at the end. */
export type Execute = AsyncGenerator<Delta, Execution, void>;
