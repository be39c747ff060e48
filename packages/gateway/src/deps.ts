import type { Envelope, Hex, Payment, Signer, Suite, TokenDomain, Trust } from "@countersign/core";
import type { Recover, Rpc, Settled } from "@countersign/settlement";
import type { Store } from "@countersign/store";
import type { Attestations } from "./attestations.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Challenge } from "./challenge.ts";
import type { GatewayLog } from "./log.ts";
import type { Monitors } from "./monitors.ts";
import type { CheckOnNode } from "./node-check.ts";
import type { RunOnNode } from "./node-run.ts";
import type { Refusals } from "./refusals.ts";

/** Who this gateway is. */
export type Identity = {
  /** CAIP-2 name of the chain. */
  readonly network: string;
  readonly key: Hex;
  readonly signer: Signer;
  readonly operator: string;
  /** A registrar's word for the key; absent where `Trust` files name the key itself. */
  readonly registration: Envelope | null;
  /** Milliseconds that this process has not given out yet: `now`, or one more than the last. */
  readonly tick: (now: number) => number;
};

/** On what terms it sells. */
export type Terms = {
  readonly token: TokenDomain;
  readonly payTo: string;
  /** Seconds that an offer stands. */
  readonly offerSeconds: number;
  /** Seconds that an authorisation may live past the offer's end: a run and its settlement. At most 600. */
  readonly paymentSeconds: number;
};

/** What it allows. */
export type Limits = {
  readonly bodyBytes: number;
  /** Inferences at once. */
  readonly concurrent: number;
  /** Milliseconds of a run. */
  readonly runMs: number;
  /** Milliseconds after which a held stream opens with heartbeats, and between two of them. */
  readonly heartbeatMs: number;
  /** Milliseconds to wait for witnesses when a policy demands it. */
  readonly witnessMs: number;
  /** Milliseconds that a paid answer is kept for a retry. */
  readonly answerMs: number;
  /** Bytes of one answer. */
  readonly answerBytes: number;
};

/** The chain side of payments. */
export type Payments = {
  readonly rpc: Rpc;
  readonly recover: Recover;
  /** @throws SETTLEMENT_*; `facts.pending` when it goes on */
  readonly settle: (payment: Payment) => Promise<Settled>;
  readonly refund: (refund: {
    readonly to: string;
    readonly amount: string;
    readonly token: string;
    readonly reason: string;
    readonly reference: string;
  }) => Promise<Settled>;
};

/** Everything that the steps of an inference work with; a test or a demonstration composes its own. */
export type Deps = {
  readonly identity: Identity;
  readonly terms: Terms;
  readonly limits: Limits;
  /** Whom the gateway itself believes when it checks on behalf of clients that check nothing. */
  readonly trust: Trust;
  readonly suite: Suite;
  readonly catalogue: Catalogue;
  readonly store: Store;
  readonly payments: Payments;
  readonly attestations: Attestations;
  /** Asks an enclave that serves a model for a document that answers a nonce. */
  readonly challenge: Challenge;
  readonly log: GatewayLog;
  readonly monitors: Monitors;
  readonly runOnNode: RunOnNode;
  /** Asked before a 402; absent where nodes are not asked, and refuse in the run. */
  readonly checkOnNode?: CheckOnNode;
  readonly refusals: Refusals;
  /** What is still missing before anything is sold; empty when ready. */
  readonly missing: () => readonly string[];
  /** Milliseconds. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** Hears of what goes wrong behind an answer. */
  readonly onFault: (error: unknown) => void;
};
