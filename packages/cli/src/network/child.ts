import { type ChildProcess, fork } from "node:child_process";
import { createWriteStream } from "node:fs";
import { CountersignError } from "@countersign/core";

/** A process of the local network. */
export type Child = {
  readonly name: string;
  readonly pid: number;
  /** The line by which it said that it is ready: its address and keys. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Why it is no longer there, or undefined while it runs. */
  readonly ended: () => string | undefined;
  /** Ends it in order; kills it after `grace` milliseconds. */
  readonly stop: (grace?: number) => Promise<void>;
  readonly kill: () => void;
};

/** Path of a package's process entry, in the source tree and in a published package alike. */
export function entryOf(name: "gateway" | "node" | "auditor" | "enclave"): string {
  const index = import.meta.resolve(`@countersign/${name === "enclave" ? "node" : name}`);
  const file = name === "enclave" ? "enclave/launcher-main" : "main";
  return new URL(`${file}${index.endsWith(".ts") ? ".ts" : ".js"}`, index).pathname;
}

/** Environment that children inherit: what programs need to run, and nothing that happens to lie around. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "LANG", "SystemRoot", "TEMP", "USERPROFILE"];
  return Object.fromEntries(
    names.flatMap((n) => (process.env[n] === undefined ? [] : [[n, process.env[n] as string]])),
  );
}

function readyLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(line) as Readonly<Record<string, unknown>> | null;
    return typeof value === "object" && value !== null && typeof value.url === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Starts one process and waits until it says its address. Its output goes to a file; it ends when this process ends.
 *
 * @throws INTERNAL with the last lines of its output when it ends before it is ready, or is not ready in time
 */
export async function startChild(options: {
  readonly name: string;
  readonly entry: string;
  readonly config: string;
  /** Secrets: passed by environment, never by arguments, which every user of the machine can read. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly deadline?: number;
  readonly onEnd?: (why: string) => void;
}): Promise<Child> {
  const { name } = options;
  const out = createWriteStream(options.logFile, { flags: "a", mode: 0o600 });
  const tail: string[] = [];
  const child: ChildProcess = fork(options.entry, [options.config], {
    env: { ...inherited(), ...options.secrets },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    // Ctrl-C goes to this process alone, which stops the others in their order.
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      out.write(chunk);
      tail.push(...chunk.toString("utf8").split("\n"));
      tail.splice(0, Math.max(0, tail.length - 12));
    });
  }
  let ended: string | undefined;
  let stopping = false;
  const gone = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      ended = signal ? `ended by ${signal}` : `ended with status ${code}`;
      out.end();
      if (!stopping) options.onEnd?.(ended);
      resolve();
    });
  });
  const ready = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    const fail = (why: string) => {
      const said = tail.filter((l) => l.trim() !== "").join("\n");
      reject(
        new CountersignError("NOT_READY", {
          message: `The ${name} did not start: ${why}.`,
          why: said === "" ? undefined : said,
          remedy: `Its output is in ${options.logFile}.`,
        }),
      );
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("it was not ready in time");
    }, options.deadline ?? 60_000);
    // The first line of output that is a JSON object with an address says where it listens.
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const found = text
        .split("\n")
        .slice(0, -1)
        .map(readyLine)
        .find((line) => line !== undefined);
      if (!found) return;
      clearTimeout(timer);
      resolve(found);
    });
    child.once("error", (error) => {
      clearTimeout(timer);
      fail(error.message);
    });
    void gone.then(() => {
      clearTimeout(timer);
      fail(ended ?? "it ended");
    });
  });
  return {
    name,
    pid: child.pid ?? 0,
    ready,
    ended: () => ended,
    kill: () => child.kill("SIGKILL"),
    async stop(grace = 5000) {
      if (ended) return;
      stopping = true;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), grace);
      await gone;
      clearTimeout(timer);
    },
  };
}
