import * as z from "zod";
import type { Hex } from "./bytes.ts";
import type { Envelope } from "./envelope.ts";
import { envelopeShape } from "./envelope.ts";
import type { ErrorCode } from "./errors/table.ts";
import type { Output, ToolCall } from "./output.ts";
import { paymentShape } from "./payment.ts";
import type { Opening } from "./receipt.ts";
import { type EndpointPath, endpointPaths } from "./request.ts";
import { hex32, name, seconds } from "./shapes.ts";

/** What the gateway hands to a node: `POST /run`, answered by `RunEvent`s as NDJSON. The node believes none of it unchecked. */
export const jobShape = z.strictObject({
  path: z.enum(endpointPaths),
  /** Base64 of the body as the client sent it. */
  body: z.string(),
  clientNonce: hex32,
  nonceSource: z.enum(["client", "gateway"]),
  demand: z.strictObject({
    /** Canonical policy text. */
    require: z.string().min(1).max(2048),
    release: z.enum(["met", "signed", "live"]),
    deadline: seconds.nullable(),
    source: z.enum(["request", "default"]),
  }),
  offer: envelopeShape,
  payment: paymentShape.nullable(),
  log: name,
  labels: z.array(z.enum(["development", "synthetic"])).max(2),
});
export type Job = {
  readonly path: EndpointPath;
  readonly body: string;
  readonly clientNonce: Hex;
  readonly nonceSource: "client" | "gateway";
  readonly demand: {
    readonly require: string;
    readonly release: "met" | "signed" | "live";
    readonly deadline: number | null;
    readonly source: "request" | "default";
  };
  readonly offer: Envelope;
  readonly payment: z.infer<typeof paymentShape> | null;
  readonly log: string;
  readonly labels: readonly ("development" | "synthetic")[];
};

/** Log probability of one token, as OpenAI's `logprobs.content` has it; numbers as decimal strings. */
export type TokenLogprob = {
  readonly token: string;
  readonly logprob: string;
  readonly bytes: readonly number[];
  readonly top: readonly { readonly token: string; readonly logprob: string; readonly bytes: readonly number[] }[];
};

export type Usage = {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
};

/** Leaf `result`: how the run ended and what it used. */
export type RunResult = {
  readonly usage: Usage;
  readonly finish: readonly string[];
  /** Milliseconds: waiting, prompt, generation. */
  readonly timings: { readonly queued: number; readonly prompt: number; readonly generation: number };
};

/** What a node streams back, one JSON object a line. */
export type RunEvent =
  | {
      readonly type: "delta";
      readonly choice: number;
      readonly content?: string;
      readonly tool_calls?: readonly ({ readonly index: number } & ToolCall)[];
      readonly logprobs?: readonly TokenLogprob[];
    }
  /** A whole answer, as committed. */
  | { readonly type: "output"; readonly choice: number; readonly output: Output }
  | {
      readonly type: "done";
      readonly statement: Envelope;
      readonly leaves: readonly Hex[];
      /** Openings of all sixteen fields and their elements; the gateway passes on what is due to whom. */
      readonly openings: readonly Opening[];
      /** Null for a sealed run: then it stands inside the sealed answer. */
      readonly receiptSecret: Hex | null;
      readonly result: RunResult;
      /** Registration of the node's key. */
      readonly keys: readonly Envelope[];
      /** Evidence that was there at the end of the run: an enclave's attestation. */
      readonly evidence?: readonly { readonly envelope: Envelope; readonly blob: string | null }[];
    }
  /** A piece of a sealed answer (spec/channel.md): base64, as the client opens it. The first is the answer's nonce. */
  | { readonly type: "sealed"; readonly data: string }
  | { readonly type: "error"; readonly code: ErrorCode; readonly message: string; readonly param?: string };

/** What a node says of itself: `GET /describe`. */
export type NodeDescription = {
  readonly key: Hex;
  readonly operator: string;
  readonly registration: Envelope;
  /** Base64 of the node's attestation, when it runs in an enclave. */
  readonly attestation?: string;
  readonly deployments: readonly {
    readonly deployment: Envelope;
    readonly manifest: Envelope;
    /** Friendly facts for `/v1/models`: title, job, licence, quantisation. */
    readonly about: Readonly<Record<string, string>>;
    /** For tensors: declared inputs and outputs. */
    readonly tensors?: {
      readonly inputs: readonly {
        readonly name: string;
        readonly type: string;
        readonly dims: readonly (number | string)[];
      }[];
      readonly outputs: readonly {
        readonly name: string;
        readonly type: string;
        readonly dims: readonly (number | string)[];
      }[];
    };
    readonly ready: boolean;
  }[];
};
