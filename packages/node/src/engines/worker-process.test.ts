import { afterEach, describe, expect, it } from "vitest";
import { WorkerPool } from "./pool.ts";
import { WorkerProcess } from "./worker-process.ts";

const entry = new URL("../fixtures/slow-worker.ts", import.meta.url);
const open: { close: () => Promise<void> }[] = [];
const start = (options: { queue?: number; grace?: number; load?: unknown } = {}) => {
  const worker = new WorkerProcess({ entry, load: {}, queue: 4, ...options });
  open.push(worker);
  return worker;
};
afterEach(() => Promise.all(open.splice(0).map((w) => w.close())));
const forever = new AbortController().signal;
const ignore = () => undefined;
const code = (expected: string) => expect.objectContaining({ code: expected });

/** A call that has begun, with a promise for its first event. */
function begin(worker: WorkerProcess, call: object, signal = forever) {
  const begun = Promise.withResolvers<void>();
  const done = worker.run(call, () => begun.resolve(), signal);
  done.catch(() => undefined);
  return { begun: begun.promise, done };
}

describe("a worker process", () => {
  it("runs calls in order, one at a time", async () => {
    const worker = start();
    const seen: unknown[] = [];
    await Promise.all(["a", "b", "c"].map((value) => worker.run({ do: "echo", value }, (e) => seen.push(e), forever)));
    expect(seen).toEqual(["a", "b", "c"].flatMap((value) => [{ started: "echo" }, { value }]));
    expect(worker.status).toMatchObject({ state: "ready", runs: 3, crashes: 0 });
  });

  it("loses one call to a crash and none of those that wait, and starts again", async () => {
    const worker = start();
    const first = ((await worker.load()) as { pid: number }).pid;
    const dying = begin(worker, { do: "hang" });
    const waiting: unknown[] = [];
    const later = worker.run({ do: "echo", value: "x" }, (e) => waiting.push(e), forever);
    await dying.begun;
    process.kill(first, "SIGKILL");
    await expect(dying.done).rejects.toThrow(code("ENGINE_CRASHED"));
    await later;
    expect(waiting).toContainEqual({ value: "x" });
    expect(worker.status).toMatchObject({
      state: "ready",
      crashes: 1,
      lastFailure: expect.stringContaining("SIGKILL"),
    });
    expect(worker.status.pid).not.toBe(first);
  });

  it("hands on a refusal by its code and an engine's own words to nobody", async () => {
    const worker = start();
    await expect(worker.run({ do: "refuse" }, ignore, forever)).rejects.toMatchObject({
      code: "CONTEXT_TOO_LONG",
      detail: { param: "messages" },
    });
    const broken = worker.run({ do: "break" }, ignore, forever);
    await expect(broken).rejects.toMatchObject({
      code: "ENGINE_FAILED",
      message: expect.not.stringContaining("somebody"),
    });
  });

  it("stops a run when it is aborted, and goes on with the same process", async () => {
    const worker = start();
    const stop = new AbortController();
    const { begun, done } = begin(worker, { do: "wait" }, stop.signal);
    await begun;
    const { pid } = worker.status;
    stop.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    await worker.run({ do: "echo", value: "x" }, ignore, forever);
    expect(worker.status).toMatchObject({ pid, crashes: 0 });
  });

  it("kills a run that does not stop", async () => {
    const worker = start({ grace: 50 });
    const stop = new AbortController();
    const { begun, done } = begin(worker, { do: "hang" }, stop.signal);
    await begun;
    const { pid } = worker.status;
    stop.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    await worker.run({ do: "echo", value: "x" }, ignore, forever);
    expect(worker.status.pid).not.toBe(pid);
    expect(worker.status.crashes).toBe(0);
  });

  it("refuses calls past its queue, and forgets one that left it", async () => {
    const worker = start({ queue: 1, grace: 50 });
    const stop = new AbortController();
    const first = begin(worker, { do: "wait" }, stop.signal);
    await first.begun;
    const leave = new AbortController();
    const second = worker.run({ do: "echo", value: "2" }, ignore, leave.signal);
    await expect(worker.run({ do: "echo", value: "3" }, ignore, forever)).rejects.toThrow(code("NODE_BUSY"));
    leave.abort(new Error("left"));
    await expect(second).rejects.toThrow("left");
    const third = worker.run({ do: "echo", value: "3" }, ignore, forever);
    stop.abort(new Error("enough"));
    await expect(first.done).rejects.toThrow("enough");
    await third;
  });

  it("says why it could not load, and tries again at the next call", async () => {
    const worker = start({ load: { fail: true } });
    await expect(worker.run({ do: "echo" }, ignore, forever)).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
    await expect(worker.run({ do: "echo" }, ignore, forever)).rejects.toThrow(code("MODEL_DIGEST_MISMATCH"));
    expect(worker.status.lastFailure).toBe("another file");
  });

  it("gets none of the node's environment", async () => {
    process.env.COUNTERSIGN_NODE_SEED = "00".repeat(32);
    try {
      const seen: unknown[] = [];
      await start().run({ do: "secrets" }, (e) => seen.push(e), forever);
      expect(seen.at(-1)).not.toContain("COUNTERSIGN_NODE_SEED");
    } finally {
      delete process.env.COUNTERSIGN_NODE_SEED;
    }
  });

  it("refuses what waits when it is closed", async () => {
    const worker = start();
    const first = begin(worker, { do: "hang" });
    await first.begun;
    const waiting = worker.run({ do: "echo" }, ignore, forever);
    waiting.catch(ignore);
    await worker.close();
    await expect(waiting).rejects.toThrow(code("NODE_UNREACHABLE"));
    await expect(first.done).rejects.toThrow();
  });
});

describe("a pool of workers", () => {
  const plan = (key: string, bytes: number) => ({ key, entry, load: {}, bytes });
  const make = (memory: number) => {
    const pool = new WorkerPool({ memory, queue: 4, grace: 50 });
    open.push(pool);
    return pool;
  };

  const same = async (worker: WorkerProcess) => worker;

  it("gives one worker to all that ask for the same", async () => {
    const pool = make(100);
    const [a, b] = await Promise.all([pool.use(plan("a", 10), same), pool.use(plan("a", 10), same)]);
    expect(a).toBe(b);
  });

  it("puts away the longest unused when room is short", async () => {
    const pool = make(100);
    for (const key of ["a", "b", "a", "c"]) await pool.use(plan(key, 50), same);
    expect(pool.status().map((s) => s.key)).toEqual(["a", "c"]);
  });

  it("never puts away one that works", async () => {
    const pool = make(100);
    const stop = new AbortController();
    const begun = Promise.withResolvers<void>();
    const done = pool.use(plan("a", 80), (w) => w.run({ do: "wait" }, () => begun.resolve(), stop.signal));
    done.catch(ignore);
    await begun.promise;
    await expect(pool.use(plan("b", 80), same)).rejects.toThrow(code("NODE_BUSY"));
    expect(pool.status().map((s) => s.key)).toEqual(["a"]);
    stop.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    await pool.use(plan("b", 80), same);
    expect(pool.status().map((s) => s.key)).toEqual(["b"]);
  });
});
