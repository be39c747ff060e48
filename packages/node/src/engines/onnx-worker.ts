// Entry of a worker process: ONNX Runtime with many sessions, one call at a time.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { CountersignError, type Hex } from "@countersign/core";
import { loadVerified } from "@countersign/registry";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import {
  checkTensors,
  type ElementType,
  isElementType,
  type NamedTensor,
  type NamedTensors,
} from "../models/tensor.ts";
import { serveWorker } from "./worker-side.ts";

/** Settings of the runtime: part of each profile. */
export type OnnxLoad = {
  /** Bytes of model files whose sessions may be open together. */
  readonly memory: number;
  readonly version: string;
};

/** One run of one model. */
export type OnnxCall = {
  readonly path: string;
  readonly sha256: Hex;
  /** `graphOptimizationLevel`: other levels give other bits. */
  readonly graph: "disabled" | "basic" | "extended" | "all";
  readonly inputs: NamedTensors;
};

/** What the runtime says of itself. */
export type OnnxInfo = { readonly version: string; readonly library: Hex; readonly device: string };
/** The outputs of a run, with milliseconds. */
export type OnnxEvent = { readonly outputs: NamedTensors; readonly loading: number; readonly running: number };

type Ort = typeof import("onnxruntime-node");
let ort: Ort;
let memory = 0;
// Insertion order is order of use.
const sessions = new Map<string, { readonly session: InferenceSession; readonly bytes: number }>();

async function load(options: OnnxLoad): Promise<OnnxInfo> {
  memory = options.memory;
  try {
    ort = await import("onnxruntime-node");
  } catch (cause) {
    throw new CountersignError("NATIVE_MODULE_MISSING", {
      message: "ONNX Runtime's library did not load.",
      why: cause instanceof Error ? cause.message.split("\n")[0] : undefined,
      cause,
    });
  }
  const report = process.report.getReport() as unknown as { sharedObjects: readonly string[] };
  const files = [...new Set(report.sharedObjects)].filter((p) => /onnxruntime[^/\\]*$/.test(p));
  files.sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
  const whole = createHash("sha256");
  for (const file of files) whole.update(createHash("sha256").update(readFileSync(file)).digest());
  return { version: options.version, library: whole.digest("hex"), device: `${process.platform}-${process.arch}/cpu` };
}

async function sessionOf({ path, sha256, graph }: OnnxCall): Promise<InferenceSession> {
  const key = `${sha256}/${graph}`;
  const known = sessions.get(key);
  if (known) {
    sessions.delete(key);
    sessions.set(key, known);
    return known.session;
  }
  // From the very buffer that was hashed: the path may hold something else by now.
  const bytes = await loadVerified(path, sha256);
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    enableCpuMemArena: false,
    enableMemPattern: false,
    graphOptimizationLevel: graph,
    executionProviders: ["cpu"],
  });
  sessions.set(key, { session, bytes: bytes.length });
  let held = [...sessions.values()].reduce((sum, s) => sum + s.bytes, 0);
  for (const [oldest, { session: old, bytes: size }] of sessions) {
    if (held <= memory || oldest === key) break;
    sessions.delete(oldest);
    held -= size;
    await old.release();
  }
  return session;
}

const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies Readonly<Record<ElementType, unknown>>;

function toTensor({ type, dims, data }: NamedTensor): Tensor {
  const copy = data.slice();
  return new ort.Tensor(type, new arrays[type](copy.buffer as ArrayBuffer) as never, [...dims]);
}

async function run(call: OnnxCall, emit: (event: OnnxEvent) => void): Promise<void> {
  const before = performance.now();
  const session = await sessionOf(call);
  const ready = performance.now();
  const results = await session.run(Object.fromEntries(call.inputs.map((t) => [t.name, toTensor(t)])));
  const outputs = Object.entries(results).map(([name, tensor]): NamedTensor => {
    if (!isElementType(tensor.type)) {
      throw new CountersignError("TENSOR_TYPE_UNSUPPORTED", { message: `The model gives ${name} as ${tensor.type}.` });
    }
    const { buffer, byteOffset, byteLength } = tensor.data as unknown as Uint8Array;
    const data = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice();
    return { name, type: tensor.type, dims: tensor.dims, data };
  });
  outputs.sort((a, b) => (a.name < b.name ? -1 : 1));
  checkTensors(outputs, Number.MAX_SAFE_INTEGER);
  emit({ outputs, loading: Math.round(ready - before), running: Math.round(performance.now() - ready) });
}

serveWorker({ load, run });
