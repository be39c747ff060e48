import { CountersignError, type ErrorCode, fromHex, keccak256, type Payment, toHex } from "@countersign/core";
import type { Inclusion, SettleJob, Store } from "@countersign/store";
import { type Rpc, RpcRefusal } from "../chain/rpc.ts";
import type { Wallet } from "../chain/wallet.ts";
import { findForeignSettlement, inclusionOf, isCanonical, judgeReceipt, readReceipt } from "./judge.ts";
import { callData, type Plan, planSettlement, settlementKey } from "./plan.ts";
import { openSender, type Sender } from "./sender.ts";

/** A transfer that is done: its log is in a canonical block at the demanded depth. */
export type Settled = { readonly transaction: string; readonly block: number };

/** How a job ended. */
export type SettleOutcome = { readonly key: string } & (
  | ({ readonly state: "final" } & Settled)
  | { readonly state: "failed"; readonly code: ErrorCode; readonly why: string }
);

/** The durable queue of one key: what is on disk is sent, also after a crash, and once. */
export type SettleQueue = {
  /** Address that sends the transactions, and that refunds are taken from. */
  readonly sender: string;
  /**
   * Settles a payment; asking again for the same payment gives the same result.
   *
   * @throws SETTLEMENT_REVERTED, SETTLEMENT_NO_TRANSFER; SETTLEMENT_FAILED when it takes longer than the patience: then
   * the job goes on, and `facts.pending` is true
   */
  readonly settle: (payment: Payment) => Promise<Settled>;
  /** Pays an amount back from the sender's own tokens, once for a reference; a debt is on record until it is final. */
  readonly refund: (refund: {
    readonly to: string;
    readonly amount: string;
    readonly token: string;
    readonly reason: string;
    readonly reference: string;
  }) => Promise<Settled>;
  /** Jobs that are not at their end. */
  readonly open: () => Promise<number>;
  /** Stops working. What is open stays on disk and goes on at the next start. */
  readonly close: () => Promise<void>;
};

export type SettleQueueOptions = {
  readonly store: Store;
  readonly rpc: Rpc;
  readonly chainId: number;
  readonly wallet: Wallet;
  /** Blocks that must lie on top of the one with the transfer. Default 0. */
  readonly depth?: number;
  /** Gas limit of a token call. Default 200,000. */
  readonly gas?: bigint;
  /** Milliseconds that a caller waits. Default 60,000. */
  readonly patience?: number;
  /** Milliseconds between looks at the chain, at most. Default 500. */
  readonly pause?: number;
  /** Milliseconds after which unmined bytes are sent again. Default 5,000. */
  readonly resend?: number;
  readonly now?: () => number;
  /** Told of each end, also of jobs that an earlier process began. */
  readonly onEnd?: (outcome: SettleOutcome) => void;
};

type Waiter = { readonly resolve: (settled: Settled) => void; readonly reject: (error: unknown) => void };

/** How many transactions are signed in one go. */
const batch = 64;
const planOf = (job: SettleJob) => job.plan as unknown as Plan;
const hashOf = (raw: string) => `0x${toHex(keccak256(fromHex(raw.slice(2))))}`;

const failure = (code: ErrorCode, key: string, why: string, pending = false) =>
  new CountersignError(code, {
    message: pending ? "The payment is not settled yet." : "The payment could not be settled.",
    why,
    remedy: pending ? "The settlement goes on; ask for the receipt later." : undefined,
    facts: { key, pending },
  });

/** Opens the queue and takes up what an earlier process left. */
export function openSettleQueue(options: SettleQueueOptions): SettleQueue {
  const queue = new Queue(options);
  queue.wake();
  return queue;
}

class Queue implements SettleQueue {
  readonly sender: string;
  readonly #name: string;
  readonly #o: Required<Omit<SettleQueueOptions, "onEnd">> & Pick<SettleQueueOptions, "onEnd">;
  readonly #sender: Sender;
  readonly #waiters = new Map<string, Waiter[]>();
  #loop: Promise<void> | undefined;
  #woken = false;
  #interrupt: (() => void) | undefined;
  #closed = false;
  #gapsFilled = false;
  /** When a job's bytes were sent last. */
  readonly #sentAt = new Map<string, number>();

  constructor(options: SettleQueueOptions) {
    this.#o = { depth: 0, gas: 200_000n, patience: 60_000, pause: 500, resend: 5000, now: Date.now, ...options };
    this.sender = options.wallet.address;
    // The chain is part of the name: a queue for a new local chain never sends what was meant for an old one.
    this.#name = `eip155:${options.chainId}/${this.sender}`;
    const { rpc, wallet, chainId } = options;
    this.#sender = openSender({ rpc, wallet, chainId, gas: this.#o.gas, hash: hashOf });
  }

  settle(payment: Payment): Promise<Settled> {
    if (payment.network !== `eip155:${this.#o.chainId}`) {
      const why = `It is a payment on ${payment.network}; this queue settles on eip155:${this.#o.chainId}.`;
      return Promise.reject(failure("PAYMENT_MISMATCH", settlementKey(payment), why));
    }
    return this.#add(settlementKey(payment), planSettlement(payment));
  }

  async refund(refund: Parameters<SettleQueue["refund"]>[0]): Promise<Settled> {
    const { to, amount, token, reason } = refund;
    const reference = `refund:${refund.reference}`;
    const madeAt = this.#o.now();
    await this.#o.store.debts.add({ reference, debtor: "us", party: to, asset: token, amount, reason, madeAt });
    return this.#add(reference, { kind: "refund", token, from: this.sender, to, value: amount, reason });
  }

  async open(): Promise<number> {
    return (await this.#o.store.settleJobs.open(this.#name)).length;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#interrupt?.();
    await this.#loop;
    for (const [key, waiters] of this.#waiters) {
      for (const w of waiters) w.reject(failure("SETTLEMENT_FAILED", key, "The process is stopping.", true));
    }
    this.#waiters.clear();
  }

  async #add(key: string, plan: Plan): Promise<Settled> {
    const { store, now } = this.#o;
    const job = await store.settleJobs.enqueue({
      key,
      kind: plan.kind,
      sender: this.#name,
      plan: plan as never,
      now: now(),
    });
    if (job.state === "final") return { transaction: job.transaction, block: job.block };
    if (job.state === "failed") throw failure(job.code, key, job.why);
    return new Promise<Settled>((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (settled) => {
          clearTimeout(timer);
          resolve(settled);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        const others = this.#waiters.get(key)?.filter((w) => w !== waiter) ?? [];
        this.#waiters.set(key, others);
        reject(failure("SETTLEMENT_FAILED", key, `The chain took longer than ${this.#o.patience} ms.`, true));
      }, this.#o.patience);
      this.#waiters.set(key, [...(this.#waiters.get(key) ?? []), waiter]);
      this.wake();
    });
  }

  /** Starts the loop, or makes it look again at once. */
  wake(): void {
    this.#woken = true;
    this.#interrupt?.();
    if (this.#closed || this.#loop) return;
    this.#loop = this.#work().finally(() => {
      this.#loop = undefined;
      if (this.#woken && !this.#closed) this.wake();
    });
  }

  async #work(): Promise<void> {
    let pause = 4;
    while (!this.#closed) {
      this.#woken = false;
      let moved = false;
      let open = 1;
      try {
        ({ moved, open } = await this.#step());
      } catch (error) {
        // The chain or the store fails for now; whoever waits too long is told so. Anything else is ours: tell them all.
        if (!CountersignError.is(error) && !(error instanceof RpcRefusal)) this.#refuseAll(error);
      }
      if (open === 0 && !this.#woken) return;
      pause = moved || this.#woken ? 4 : Math.min(pause * 2, this.#o.pause);
      if (!this.#woken) await this.#rest(pause);
    }
  }

  #refuseAll(error: unknown): void {
    for (const waiters of this.#waiters.values()) for (const w of waiters) w.reject(error);
    this.#waiters.clear();
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One look at every open job. */
  async #step(): Promise<{ readonly moved: boolean; readonly open: number }> {
    const { store } = this.#o;
    const jobs = await store.settleJobs.open(this.#name);
    if (!this.#gapsFilled) {
      await this.#fillGaps(jobs);
      this.#gapsFilled = true;
    }
    const queued = jobs.filter((job) => job.state === "queued").slice(0, batch);
    const ready = (await Promise.all(queued.map((job) => this.#simulate(job)))).filter((job) => job !== undefined);
    await this.#signAndSend(ready);
    const looks = await Promise.all(
      jobs.map((job) => {
        if (job.state === "broadcast") return this.#look(job);
        return job.state === "included" ? this.#confirm(job) : false;
      }),
    );
    const open = jobs.length - looks.filter((ended) => ended).length;
    return { moved: queued.length > 0 || looks.includes(true), open };
  }

  /** A payment that would be reverted costs nobody gas: it fails here. */
  async #simulate(job: SettleJob): Promise<SettleJob | undefined> {
    const plan = planOf(job);
    const call = { from: this.sender, to: plan.token, data: callData(plan), gas: `0x${this.#o.gas.toString(16)}` };
    try {
      // In the block that comes next, as it will be mined: on a quiet chain the time of the last one may lie before an
      // authorisation's beginning.
      await this.#o.rpc.call("eth_call", [call, "pending"]);
      return job;
    } catch (error) {
      if (!(error instanceof RpcRefusal)) throw error;
      await this.#reverted(job, `The token refuses it: ${error.message}`);
      return undefined;
    }
  }

  /** Signs, puts the bytes on disk, and only then sends them. */
  async #signAndSend(jobs: readonly SettleJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const { store } = this.#o;
    const held = await store.settleJobs.highestNonce(this.#name);
    const signed: { readonly job: SettleJob; readonly raw: string; readonly hash: string; readonly nonce: number }[] =
      [];
    for (const job of jobs) {
      const plan = planOf(job);
      const nonce = await this.#sender.nextNonce(held);
      signed.push({ job, ...(await this.#sender.sign(plan.token, callData(plan), nonce, 0)) });
    }
    try {
      await Promise.all(signed.map(({ job, ...bytes }) => store.settleJobs.sign(job.key, bytes)));
    } catch (error) {
      this.#sender.forgetNonce();
      throw error;
    }
    for (const one of signed) await this.#send(one.job, one.raw, one.nonce);
  }

  async #send(job: SettleJob, raw: string, nonce: number): Promise<Awaited<ReturnType<Sender["send"]>>> {
    this.#sentAt.set(job.key, performance.now());
    const answer = await this.#sender.send(raw);
    if (answer !== "fee-too-low") return answer;
    // The same nonce with a higher fee: only one of the two can be mined.
    const plan = planOf(job);
    const signed = await this.#sender.sign(plan.token, callData(plan), nonce, 2);
    await this.#o.store.settleJobs.sign(job.key, signed);
    return this.#sender.send(signed.raw);
  }

  /** Looks for the transaction of a job that was sent. Returns whether the job ended. */
  async #look(job: SettleJob & { readonly state: "broadcast" }): Promise<boolean> {
    const { rpc, store } = this.#o;
    const receipts = await Promise.all([job.hash, ...job.hashes].map((hash) => readReceipt(rpc, hash)));
    const receipt = receipts.find((r) => r !== null && r !== undefined);
    if (receipt) {
      switch (judgeReceipt(receipt, planOf(job))) {
        case "transferred":
          return this.#included(job, inclusionOf(receipt));
        case "reverted":
          return this.#reverted(job, `The transaction ${receipt.transactionHash} was reverted.`);
        case "no-transfer":
          return this.#fail(
            job,
            "SETTLEMENT_NO_TRANSFER",
            `The transaction ${receipt.transactionHash} succeeded, and the token's log has no such transfer.`,
          );
      }
    }
    // Signed by an earlier process and perhaps never sent: the same bytes again, at once.
    const sentAt = this.#sentAt.get(job.key) ?? Number.NEGATIVE_INFINITY;
    if (performance.now() - sentAt < this.#o.resend) return false;
    if ((await this.#send(job, job.raw, job.nonce)) !== "nonce-taken") return false;
    const again = await Promise.all([job.hash, ...job.hashes].map((hash) => readReceipt(rpc, hash)));
    if (again.some((r) => r !== null)) return false;
    // Another transaction of this key has the nonce. The token takes an authorisation once, so it may be sent again; a
    // plain transfer could be made twice if the node only lags, so a person must look.
    if (job.kind === "refund") {
      return this.#fail(job, "SETTLEMENT_FAILED", `Another transaction of ${this.sender} has nonce ${job.nonce}.`);
    }
    this.#sender.forgetNonce();
    await store.settleJobs.requeue(job.key);
    return false;
  }

  async #included(job: SettleJob, at: Inclusion): Promise<boolean> {
    const canonical = await isCanonical(this.#o.rpc, at, this.#o.depth);
    if (canonical === "yes") return this.#finish(job, at);
    if (canonical === "shallow") await this.#o.store.settleJobs.include(job.key, at);
    return false;
  }

  async #confirm(job: SettleJob & { readonly state: "included" }): Promise<boolean> {
    const canonical = await isCanonical(this.#o.rpc, job, this.#o.depth);
    if (canonical === "gone") await this.#o.store.settleJobs.reopen(job.key);
    return canonical === "yes" && this.#finish(job, job);
  }

  async #finish(job: SettleJob, at: Inclusion): Promise<boolean> {
    const { store } = this.#o;
    const plan = planOf(job);
    const inclusion = { transaction: at.transaction, block: at.block, blockHash: at.blockHash };
    // The reservation first: after a crash in between the job is looked at again, and this changes nothing twice.
    if (plan.kind === "settle") {
      const { from, nonce } = plan.authorization;
      await store.reservations.complete({ network: plan.network, asset: plan.token, from, nonce });
    } else await store.debts.clear(job.key, at.transaction);
    await store.settleJobs.finish(job.key, inclusion);
    this.#end({ key: job.key, state: "final", transaction: at.transaction, block: at.block });
    return true;
  }

  async #reverted(job: SettleJob, why: string): Promise<boolean> {
    const foreign = await findForeignSettlement(this.#o.rpc, planOf(job));
    if (foreign) return this.#included(job, inclusionOf(foreign));
    return this.#fail(job, "SETTLEMENT_REVERTED", why);
  }

  async #fail(job: SettleJob, code: ErrorCode, why: string): Promise<boolean> {
    await this.#o.store.settleJobs.fail(job.key, code, why);
    this.#end({ key: job.key, state: "failed", code, why });
    return true;
  }

  #end(outcome: SettleOutcome): void {
    this.#sentAt.delete(outcome.key);
    const waiters = this.#waiters.get(outcome.key) ?? [];
    this.#waiters.delete(outcome.key);
    for (const waiter of waiters) {
      if (outcome.state === "final") waiter.resolve({ transaction: outcome.transaction, block: outcome.block });
      else waiter.reject(failure(outcome.code, outcome.key, outcome.why));
    }
    this.#o.onEnd?.(outcome);
  }

  /** A nonce that no job holds, below one that a job holds, would block the key for ever: an empty transaction takes it. */
  async #fillGaps(jobs: readonly SettleJob[]): Promise<void> {
    const held = new Set(jobs.flatMap((job) => (job.state === "broadcast" ? [job.nonce] : [])));
    if (held.size === 0) return;
    const from = await this.#sender.chainNonce("latest");
    for (let nonce = from; nonce < Math.max(...held); nonce++) {
      if (held.has(nonce)) continue;
      const { raw } = await this.#sender.sign(this.sender, "0x", nonce, 1);
      await this.#sender.send(raw);
    }
  }
}
