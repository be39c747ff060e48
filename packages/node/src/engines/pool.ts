import { CountersignError } from "@countersign/core";
import { WorkerProcess, type WorkerStatus } from "./worker-process.ts";

/** A worker to be held in the pool. */
export type WorkerPlan = {
  /** Equal keys share one worker, and so one load. */
  readonly key: string;
  readonly entry: URL;
  readonly load: unknown;
  /** Bytes that it will hold in memory, roughly: the size of its files. */
  readonly bytes: number;
};

/** Limits of a pool. */
export type PoolLimits = {
  /** Bytes that all workers may hold together. */
  readonly memory: number;
  /** Calls that may wait for one worker. */
  readonly queue: number;
  readonly grace?: number;
};

/** Worker processes under a budget of bytes: the longest unused idle one goes first; one that works stays. */
export class WorkerPool {
  readonly #limits: PoolLimits;
  // Insertion order is order of use.
  readonly #workers = new Map<string, { readonly worker: WorkerProcess; readonly bytes: number; uses: number }>();

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /** Does something with the worker of a plan, made if need be; as long as that lasts the worker stays. @throws NODE_BUSY */
  async use<T>(plan: WorkerPlan, act: (worker: WorkerProcess) => Promise<T>): Promise<T> {
    const known = this.#workers.get(plan.key);
    const held = known ?? { worker: this.#make(plan), bytes: plan.bytes, uses: 0 };
    held.uses++;
    // Entered before anything is awaited, so that a second caller finds it instead of loading the model twice.
    this.#workers.delete(plan.key);
    this.#workers.set(plan.key, held);
    try {
      if (!known) await this.#makeRoom(plan.key);
      return await act(held.worker);
    } finally {
      held.uses--;
    }
  }

  #make(plan: WorkerPlan): WorkerProcess {
    const { queue, grace } = this.#limits;
    return new WorkerProcess({ entry: plan.entry, load: plan.load, queue, ...(grace !== undefined && { grace }) });
  }

  /** How each worker stands. */
  status(): readonly (WorkerStatus & { readonly key: string; readonly bytes: number })[] {
    return [...this.#workers].map(([key, { worker, bytes }]) => ({ key, bytes, ...worker.status }));
  }

  /** Ends every worker. */
  async close(): Promise<void> {
    const all = [...this.#workers.values()];
    this.#workers.clear();
    await Promise.all(all.map(({ worker }) => worker.close()));
  }

  async #makeRoom(keep: string): Promise<void> {
    const held = () => [...this.#workers.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    while (held() > this.#limits.memory) {
      const victim = [...this.#workers].find(([, { uses, worker }]) => uses === 0 && worker.idle);
      if (victim) {
        this.#workers.delete(victim[0]);
        await victim[1].worker.close();
        continue;
      }
      // One model alone may be larger than the budget: it is what the operator asked for.
      if (this.#workers.size === 1) return;
      this.#workers.delete(keep);
      throw new CountersignError("NODE_BUSY", {
        message: "Every model in memory is at work, and there is no room for one more.",
        remedy: "Try again in a moment, or ask another node.",
      });
    }
  }
}
