import { type ChildProcess, fork } from "node:child_process";
import { CountersignError } from "@countersign/core";
import type { FromWorker, SentError, ToWorker } from "./worker-side.ts";

/** How a worker stands, for status pages. */
export type WorkerStatus = {
  readonly state: "stopped" | "starting" | "ready" | "running" | "closed";
  readonly pid: number | null;
  readonly queued: number;
  readonly runs: number;
  readonly crashes: number;
  /** What it said when it last died or could not load. */
  readonly lastFailure: string | null;
};

/** What a worker is made of. */
export type WorkerOptions = {
  /** The entry file of the process. */
  readonly entry: URL;
  /** Passed to the engine's `load`. */
  readonly load: unknown;
  /** Calls that may wait; one more is refused with NODE_BUSY. */
  readonly queue: number;
  /** Milliseconds that an aborted run may take to stop before its process is killed. */
  readonly grace?: number;
  /** Milliseconds that loading may take. */
  readonly loadLimit?: number;
};

type Waiting = {
  readonly start: () => void;
  readonly refuse: (error: unknown) => void;
};

const revive = ({ code, detail }: SentError) => new CountersignError(code, detail);

/**
 * One engine in a process of its own: a native crash costs the call that ran, nothing else.
 *
 * Calls run one at a time in the order they came; so a death has exactly one victim. The process starts with the first
 * call and starts again after a crash.
 */
export class WorkerProcess {
  readonly #options: WorkerOptions;
  #child: ChildProcess | undefined;
  #loading: Promise<unknown> | undefined;
  #busy = false;
  #closed = false;
  #next = 1;
  #runs = 0;
  #crashes = 0;
  #lastFailure: string | null = null;
  readonly #waiting: Waiting[] = [];
  #current: ((message: FromWorker | { readonly type: "exit"; readonly how: string }) => void) | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  get status(): WorkerStatus {
    const state = this.#closed
      ? "closed"
      : !this.#child
        ? "stopped"
        : this.#busy
          ? "running"
          : this.#loading
            ? "ready"
            : "starting";
    return {
      state,
      pid: this.#child?.pid ?? null,
      queued: this.#waiting.length,
      runs: this.#runs,
      crashes: this.#crashes,
      lastFailure: this.#lastFailure,
    };
  }

  /** Whether it has nothing to do and may be put away. */
  get idle(): boolean {
    return !this.#busy && this.#waiting.length === 0;
  }

  /** Starts the process and loads the engine, once; gives what the engine says of itself. */
  load(): Promise<unknown> {
    if (this.#closed) return Promise.reject(closed());
    this.#loading ??= this.#start().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /**
   * Runs a call; events come in order, the promise resolves after the last with what the engine says of itself.
   *
   * @throws NODE_BUSY, ENGINE_CRASHED, whatever the engine refuses with, and the signal's reason when it is aborted
   */
  async run<Event>(call: unknown, onEvent: (event: Event) => void, signal: AbortSignal): Promise<unknown> {
    await this.#turn(signal);
    try {
      this.#runs++;
      const info = await this.#within(this.load(), signal);
      await this.#exchange(call, (event) => onEvent(event as Event), signal);
      return info;
    } finally {
      this.#busy = false;
      this.#waiting.shift()?.start();
    }
  }

  /** Ends the process; what waits is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.refuse(closed());
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGKILL");
    await gone;
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(closed());
    if (signal.aborted) return Promise.reject(signal.reason);
    if (!this.#busy) {
      this.#busy = true;
      return Promise.resolve();
    }
    if (this.#waiting.length >= this.#options.queue) {
      return Promise.reject(
        new CountersignError("NODE_BUSY", {
          message: `${this.#waiting.length + 1} runs are ahead in this model's queue; it takes no more.`,
          remedy: "Try again in a moment, or ask another node.",
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        start: () => {
          signal.removeEventListener("abort", leave);
          this.#busy = true;
          resolve();
        },
        refuse: (error) => {
          signal.removeEventListener("abort", leave);
          reject(error);
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiting);
    });
  }

  // Loading goes on for those that come after when one caller leaves.
  #within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const leave = () => reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
    });
  }

  #start(): Promise<unknown> {
    const child = fork(this.#options.entry, [], {
      // Inside an enclave a signal must open no inspector in a worker either.
      execArgv: process.execArgv.filter((flag) => flag === "--disable-sigusr1"),
      serialization: "advanced",
      // A worker needs none of the node's secrets: it gets no environment but what finds programs and its own libraries.
      env: {
        PATH: process.env.PATH ?? "",
        NODE_LLAMA_CPP_SKIP_DOWNLOAD: "true",
        NODE_NO_WARNINGS: "1",
        // A sandbox has no user database to look the home up in, and llama.cpp's binding wants one.
        ...(process.env.HOME !== undefined && { HOME: process.env.HOME }),
      },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    let words = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-2000);
    });
    const limit = this.#options.loadLimit ?? 300_000;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), limit);
      const fail = (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      };
      child.on("error", fail);
      child.on("exit", (code, signal) => {
        const how = signal ?? `exit status ${code}`;
        if (this.#child === child) {
          this.#child = undefined;
          this.#loading = undefined;
        }
        if (!this.#closed) this.#lastFailure = `${how}${words ? `: ${words.trim().split("\n").at(-1)}` : ""}`;
        fail(crashed(how));
        if (this.#currentChild === child) this.#current?.({ type: "exit", how });
      });
      child.on("message", (message: FromWorker) => {
        if (message.type === "loaded") {
          clearTimeout(timer);
          resolve(message.info);
        } else if (message.type === "unloadable") {
          this.#lastFailure = message.error.detail.message;
          this.#child = undefined;
          child.kill("SIGKILL");
          fail(revive(message.error));
        } else if (this.#currentChild === child) this.#current?.(message);
      });
      child.send({ type: "load", options: this.#options.load } satisfies ToWorker, (error) => error && fail(error));
    });
  }

  #currentChild: ChildProcess | undefined;

  #exchange(call: unknown, onEvent: (event: unknown) => void, signal: AbortSignal): Promise<void> {
    const child = this.#child;
    if (!child) return Promise.reject(crashed("it ended before the run began"));
    const id = this.#next++;
    return new Promise<void>((resolve, reject) => {
      let killer: NodeJS.Timeout | undefined;
      const settle = (act: () => void) => {
        clearTimeout(killer);
        signal.removeEventListener("abort", abort);
        this.#current = undefined;
        this.#currentChild = undefined;
        act();
      };
      const abort = () => {
        child.send({ type: "abort", id } satisfies ToWorker, () => undefined);
        killer = setTimeout(() => child.kill("SIGKILL"), this.#options.grace ?? 2000);
      };
      this.#currentChild = child;
      this.#current = (message) => {
        if (message.type === "exit") {
          if (signal.aborted) return settle(() => reject(signal.reason));
          this.#crashes++;
          return settle(() => reject(crashed(message.how)));
        }
        if (!("id" in message) || message.id !== id) return;
        if (message.type === "event") {
          if (!signal.aborted) onEvent(message.event);
        } else if (signal.aborted) settle(() => reject(signal.reason));
        else if (message.type === "end") settle(resolve);
        else settle(() => reject(revive(message.error)));
      };
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      child.send({ type: "run", id, call } satisfies ToWorker, (error) => {
        // A closed channel also shows as `exit`, which says more.
        if (error && child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      });
    });
  }
}

const crashed = (how: string) =>
  new CountersignError("ENGINE_CRASHED", {
    message: "The engine's worker process died during the run.",
    why: how,
    remedy: "Send the request again: the worker has been started anew. Nothing was signed and nothing is charged.",
  });
const closed = () => new CountersignError("NODE_UNREACHABLE", { message: "The node is shutting down." });
