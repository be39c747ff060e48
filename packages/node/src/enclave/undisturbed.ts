import { readFileSync } from "node:fs";
import { url as inspectorUrl } from "node:inspector";
import { CountersignError } from "@countersign/core";
import { coreLimitOf } from "./core-limit.ts";

/** What a process can know of who looks into it. */
export type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly execArgv: readonly string[];
  readonly inspector: string | undefined;
  /** Process id of a tracer, 0 without one; null where the system does not say. */
  readonly tracer: number | null;
  /** Bytes of a core file that it may leave; null where the system does not say. */
  readonly core: number | null;
};

function readOwn(name: "status" | "limits"): string {
  try {
    return readFileSync(`/proc/self/${name}`, "utf8");
  } catch {
    // Not Linux, or no /proc: unknown.
    return "";
  }
}

/** This process's own. */
export function surroundings(): Surroundings {
  const tracer = /^TracerPid:\s*([0-9]+)$/m.exec(readOwn("status"))?.[1];
  return {
    env: process.env,
    execArgv: process.execArgv,
    inspector: inspectorUrl(),
    tracer: tracer === undefined ? null : Number(tracer),
    core: coreLimitOf(readOwn("limits")),
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

/**
 * Refuses to go on where this process or a worker of it could leave a core file: its limit cannot be lowered from within.
 *
 * @throws TEE_UNAVAILABLE
 */
export function requireNoCore({ core }: Pick<Surroundings, "core"> = surroundings()): void {
  if (core === null || core <= 1) return;
  throw new CountersignError("TEE_UNAVAILABLE", {
    message: "The enclave does not start: a crash would write its memory to a file.",
    why: "The hard limit of core files is above one byte.",
    remedy: "Start it under prlimit --core=1:1, as the image's entry point does.",
  });
}

/** SIGUSR1 opens an inspector in this runtime unless somebody listens for it. */
export function ignoreInspectorSignal(): void {
  process.on("SIGUSR1", () => undefined);
}
