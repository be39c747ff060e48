import { CountersignError, type ErrorCode, type ErrorDetail } from "@countersign/core";

/** An error on its way through a process border. */
export type SentError = { readonly code: ErrorCode; readonly detail: Omit<ErrorDetail, "cause"> };

/** What a node says to one of its worker processes. */
export type ToWorker =
  | { readonly type: "load"; readonly options: unknown }
  | { readonly type: "run"; readonly id: number; readonly call: unknown }
  | { readonly type: "abort"; readonly id: number };

/** What a worker process answers. */
export type FromWorker =
  | { readonly type: "loaded"; readonly info: unknown }
  | { readonly type: "unloadable"; readonly error: SentError }
  | { readonly type: "event"; readonly id: number; readonly event: unknown }
  | { readonly type: "end"; readonly id: number }
  | { readonly type: "failed"; readonly id: number; readonly error: SentError };

/** An engine as its worker process runs it: one model or runtime, one call at a time. */
export type EngineBody<Options, Info, Call, Event> = {
  readonly load: (options: Options) => Promise<Info>;
  readonly run: (call: Call, emit: (event: Event) => void, signal: AbortSignal) => Promise<void>;
};

function toSent(error: unknown): SentError {
  if (CountersignError.is(error)) {
    const { cause: _, ...detail } = error.detail;
    return { code: error.code, detail };
  }
  // An engine's own words go to the operator's log; a caller learns only that it failed.
  console.error(error);
  return { code: "ENGINE_FAILED", detail: { message: "The engine refused or failed the run." } };
}

/** Serves an engine to the parent process over IPC; ends with it. */
export function serveWorker<Options, Info, Call, Event>(body: EngineBody<Options, Info, Call, Event>): void {
  const running = new Map<number, AbortController>();
  const send = (message: FromWorker) => process.send?.(message);
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message: ToWorker) => {
    if (message.type === "load") {
      body.load(message.options as Options).then(
        (info) => send({ type: "loaded", info }),
        (error: unknown) => send({ type: "unloadable", error: toSent(error) }),
      );
    } else if (message.type === "abort") {
      running.get(message.id)?.abort();
    } else {
      const { id } = message;
      const controller = new AbortController();
      running.set(id, controller);
      body
        .run(message.call as Call, (event) => send({ type: "event", id, event }), controller.signal)
        .then(
          () => send({ type: "end", id }),
          (error: unknown) => send({ type: "failed", id, error: toSent(error) }),
        )
        .finally(() => running.delete(id));
    }
  });
}
