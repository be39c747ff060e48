import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { LlamaSpec } from "../served.ts";
import type { LanguageCall, LanguageEvent, LanguageInfo } from "./language.ts";
import type { LlamaLoad } from "./llama-worker.ts";
import type { OnnxCall, OnnxEvent, OnnxInfo, OnnxLoad } from "./onnx-worker.ts";
import { type WorkerPlan, WorkerPool } from "./pool.ts";

/** How much a node's engines may use. */
export type EngineLimits = {
  /** Bytes of model files in memory. */
  readonly memory: number;
  /** Calls that may wait for one model. */
  readonly queue: number;
  readonly threads: number;
  /** Milliseconds that an aborted run may take to stop before its process is killed. */
  readonly grace?: number;
};

export const defaultEngineLimits: EngineLimits = { memory: 4 * 1024 ** 3, queue: 16, threads: 1 };

const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
const entry = (name: string): URL => new URL(`./${name}${extension}`, import.meta.url);

/** Version of an installed package, as its own package.json says. */
function versionOf(name: string): string {
  const require = createRequire(import.meta.url);
  for (let at = dirname(require.resolve(name)); ; at = dirname(at)) {
    try {
      const found = JSON.parse(readFileSync(join(at, "package.json"), "utf8")) as { name?: string; version?: string };
      if (found.name === name && found.version !== undefined) return found.version;
    } catch {
      // No package.json here: look further up.
    }
    if (at === dirname(at)) return "unknown";
  }
}

/** The worker processes of a node: one for each GGUF model, one for all ONNX models. */
export class Engines {
  readonly #limits: EngineLimits;
  readonly #pool: WorkerPool;

  constructor(limits: EngineLimits = defaultEngineLimits) {
    this.#limits = limits;
    this.#pool = new WorkerPool(limits);
  }

  /**
   * Runs a language call on a GGUF model, and gives what the engine that ran it says of itself.
   *
   * @throws NODE_BUSY, ENGINE_CRASHED, MODEL_DIGEST_MISMATCH, CONTEXT_TOO_LONG and what else the engine refuses with
   */
  runLanguage(
    spec: LlamaSpec,
    call: LanguageCall,
    onEvent: (event: LanguageEvent) => void,
    signal: AbortSignal,
  ): Promise<LanguageInfo> {
    return this.#pool.use(this.#llama(spec), (w) => w.run(call, onEvent, signal)) as Promise<LanguageInfo>;
  }

  /** Loads a GGUF model, if it is not loaded, and gives what its engine says of itself. */
  loadLanguage(spec: LlamaSpec): Promise<LanguageInfo> {
    return this.#pool.use(this.#llama(spec), (w) => w.load()) as Promise<LanguageInfo>;
  }

  /** Runs an ONNX model. @throws NODE_BUSY, ENGINE_CRASHED, MODEL_DIGEST_MISMATCH, ENGINE_FAILED */
  runTensors(call: OnnxCall, onEvent: (event: OnnxEvent) => void, signal: AbortSignal): Promise<OnnxInfo> {
    return this.#pool.use(this.#onnx(), (w) => w.run(call, onEvent, signal)) as Promise<OnnxInfo>;
  }

  /** Starts ONNX Runtime, if it does not run, and gives what it says of itself. */
  loadTensors(): Promise<OnnxInfo> {
    return this.#pool.use(this.#onnx(), (w) => w.load()) as Promise<OnnxInfo>;
  }

  #llama(spec: LlamaSpec): WorkerPlan {
    const { path, sha256, context, batch, flashAttention, dtype } = spec;
    const load: LlamaLoad = {
      path,
      sha256,
      context,
      batch,
      flashAttention,
      dtype,
      threads: spec.threads ?? this.#limits.threads,
      engine: "llama.cpp",
      version: `node-llama-cpp-${versionOf("node-llama-cpp")}`,
    };
    return { key: `llama/${JSON.stringify(load)}`, entry: entry("llama-worker"), load, bytes: spec.bytes };
  }

  #onnx(): WorkerPlan {
    const load: OnnxLoad = { memory: this.#limits.memory / 4, version: versionOf("onnxruntime-node") };
    return { key: "onnx", entry: entry("onnx-worker"), load, bytes: 0 };
  }

  /** How the workers stand. */
  status() {
    return this.#pool.status().map(({ key, ...rest }) => ({ engine: key.split("/")[0] as string, ...rest }));
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}
