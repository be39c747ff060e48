import { readFileSync } from "node:fs";
import { url as inspectorUrl } from "node:inspector";
import { CountersignError } from "@countersign/core";

/** What a process can know of who looks into it. */
export type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly execArgv: readonly string[];
  readonly inspector: string | undefined;
  /** Process id of a tracer, 0 without one; null where the system does not say. */
  readonly tracer: number | null;
};

/** This process's own. */
export function surroundings(): Surroundings {
  let tracer: number | null = null;
  try {
    tracer = Number(/^TracerPid:\s*([0-9]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? Number.NaN);
  } catch {
    // Not Linux, or no /proc: unknown.
  }
  return {
    env: process.env,
    execArgv: process.execArgv,
    inspector: inspectorUrl(),
    tracer: Number.isNaN(tracer) ? null : tracer,
  };
}

/** Variables that change what a runtime or its loader does before the first line of ours. */
const variables = [
  "NODE_OPTIONS",
  "NODE_PATH",
  "NODE_V8_COVERAGE",
  "LD_PRELOAD",
  "LD_LIBRARY_PATH",
  "LD_AUDIT",
] as const;

/**
 * Refuses to go on where the runtime was changed or is watched: options by environment, flags besides `allowed`, an
 * inspector, a tracer. It stops accidents and stock tools, not the owner of the machine (docs/enclave.md).
 *
 * @throws TEE_UNAVAILABLE
 */
export function requireUndisturbed(allowed: (flag: string) => boolean, seen: Surroundings = surroundings()): void {
  const refuse = (why: string) => {
    throw new CountersignError("TEE_UNAVAILABLE", {
      message: "The enclave does not start: its runtime is changed or watched from outside.",
      why,
      remedy: "Start it without debuggers and without options for the runtime.",
    });
  };
  for (const name of variables) if (seen.env[name]) refuse(`${name} is set.`);
  const flag = seen.execArgv.find((f) => !allowed(f));
  if (flag !== undefined) refuse(`The runtime was started with ${flag}.`);
  if (seen.inspector !== undefined) refuse("An inspector listens.");
  if (seen.tracer) refuse(`Process ${seen.tracer} traces this one.`);
}

/** SIGUSR1 opens an inspector in this runtime unless somebody listens for it. */
export function ignoreInspectorSignal(): void {
  process.on("SIGUSR1", () => undefined);
}
