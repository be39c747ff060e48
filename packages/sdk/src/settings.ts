import {
  CountersignError,
  type Envelope,
  type Hex,
  noTrust,
  type Policy,
  parsePolicy,
  parseTrust,
  portableSuite,
  type Release,
  releases,
  type Suite,
  type Trust,
} from "@countersign/core";
import type { AttestedKeys } from "./attested-keys.ts";
import { type Budget, Ledger } from "./budget.ts";
import { memoryReceipts, type ReceiptStore, type SignedPayment } from "./receipt-store.ts";
import type { Wallet } from "./wallet.ts";

/** The web's `fetch`, as far as it is used here. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Looks on the chain whether a payment was taken: `authorizationState` of the token, or an `AuthorizationUsed` log. */
export type WatchCharge = (payment: SignedPayment) => Promise<boolean>;

/** Options of `countersign()`. An option that is not here is refused, never ignored. */
export type Options = {
  /** Where the gateway is: `https://gateway.example`. */
  readonly gateway: string;
  /** Who pays. Without it only free deployments answer. */
  readonly wallet?: Wallet;
  /** Whom to believe: a trust file's content. Without it every call ends before anything is sent or paid. */
  readonly trust?: Trust;
  /** Demanded of every answer, on top of what a call says; default `signature & logged` for calls that say nothing. */
  readonly policy?: string | Policy;
  /** When content may be reached; default `met`: not before the verdict. */
  readonly release?: Release;
  readonly budget?: Budget;
  /** Accept a trust file that names development stand-ins. */
  readonly allowDevelopment?: boolean;
  /** Accept an answer that is weaker than what the same deployment gave before. */
  readonly acceptDowngrade?: boolean;
  /** Milliseconds to wait for evidence that is still to come before an answer is refused; default 15,000. */
  readonly waitFor?: number;
  /** Milliseconds within which the log must hold an entry; default one hour. */
  readonly inclusionWithin?: number;
  readonly watchCharge?: WatchCharge;
  readonly fetch?: Fetch;
  /** Cryptographic randomness; default `crypto.getRandomValues`. */
  readonly random?: (bytes: number) => Uint8Array;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
  /** Waits; default `setTimeout`. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly receipts?: ReceiptStore;
  /** Ed25519 verification; default in plain JavaScript. */
  readonly suite?: Suite;
};

/** Options with every default filled in, and what is shared by all calls of one client. */
export type Settings = {
  readonly gateway: string;
  readonly wallet: Wallet | undefined;
  readonly trust: Trust;
  readonly floor: Policy | undefined;
  readonly release: Release | undefined;
  readonly budget: Budget | undefined;
  readonly allowDevelopment: boolean;
  readonly acceptDowngrade: boolean;
  readonly waitFor: number;
  readonly inclusionWithin: number;
  readonly watchCharge: WatchCharge | undefined;
  readonly fetch: Fetch;
  readonly random: (bytes: number) => Uint8Array;
  readonly now: () => number;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly receipts: ReceiptStore;
  readonly suite: Suite;
  readonly ledger: Ledger;
  /** Registrations that gateways showed, by key; judged anew for every offer. */
  readonly registrations: Map<Hex, readonly Envelope[]>;
  /** Keys of enclaves that were checked, by model. */
  readonly attested: Map<string, AttestedKeys>;
};

/** Policy of the SDK for calls that say none (spec/policy.md): stronger than the gateway's own default. */
export const defaultPolicy: Policy = parsePolicy("signature & logged");
/** Longest life of an authorisation that is signed, in seconds. */
export const longestDeadline = 600;

const optionNames: readonly string[] = [
  "gateway",
  "wallet",
  "trust",
  "policy",
  "release",
  "budget",
  "allowDevelopment",
  "acceptDowngrade",
  "waitFor",
  "inclusionWithin",
  "watchCharge",
  "fetch",
  "random",
  "now",
  "sleep",
  "receipts",
  "suite",
] satisfies readonly (keyof Options)[];
const budgetNames: readonly string[] = [
  "perRequest",
  "total",
  "asset",
  "maxDeadlineSeconds",
] satisfies readonly (keyof Budget)[];

/** Refuses names that nobody reads: a misspelt option would weaken the call in silence. @throws OPTION_UNKNOWN */
export function refuseUnknown(given: object, known: readonly string[], where: string): void {
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new CountersignError("OPTION_UNKNOWN", {
    message: `${where} has no option ${unknown.map((n) => JSON.stringify(n)).join(", ")}.`,
    remedy: `The options are ${known.join(", ")}.`,
    param: unknown[0],
  });
}

/** A policy as text or tree. @throws POLICY_MALFORMED, LEVEL_UNKNOWN */
export const readPolicy = (policy: string | Policy): Policy =>
  typeof policy === "string" ? parsePolicy(policy) : policy;

/** A release rule. @throws POLICY_MALFORMED */
export function readRelease(release: Release): Release {
  if (releases.includes(release)) return release;
  throw new CountersignError("POLICY_MALFORMED", {
    message: `"${String(release)}" is not a release rule.`,
    remedy: `The rules are ${releases.join(", ")}.`,
    param: "release",
  });
}

function readGateway(url: string): string {
  try {
    const { protocol, origin, pathname, search } = new URL(url);
    if (/^https?:$/.test(protocol) && search === "") return origin + pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
  } catch {
    // Told below.
  }
  throw new CountersignError("CONFIG_INVALID", {
    message: "`gateway` is not the http address of a gateway.",
    remedy: "Give its root, such as https://gateway.example.",
    param: "gateway",
  });
}

const systemRandom = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes));
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Reads the options of a client. @throws OPTION_UNKNOWN, CONFIG_INVALID, TRUST_MALFORMED, POLICY_MALFORMED */
export function readOptions(options: Options): Settings {
  refuseUnknown(options, optionNames, "countersign()");
  if (options.budget) refuseUnknown(options.budget, budgetNames, "budget");
  const now = options.now ?? Date.now;
  return {
    gateway: readGateway(options.gateway),
    wallet: options.wallet,
    trust: options.trust === undefined ? noTrust : parseTrust(options.trust),
    floor: options.policy === undefined ? undefined : readPolicy(options.policy),
    release: options.release === undefined ? undefined : readRelease(options.release),
    budget: options.budget,
    allowDevelopment: options.allowDevelopment === true,
    acceptDowngrade: options.acceptDowngrade === true,
    waitFor: options.waitFor ?? 15_000,
    inclusionWithin: options.inclusionWithin ?? 3_600_000,
    watchCharge: options.watchCharge,
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    random: options.random ?? systemRandom,
    now,
    sleep: options.sleep ?? pause,
    receipts: options.receipts ?? memoryReceipts(),
    suite: options.suite ?? portableSuite,
    ledger: new Ledger(options.budget, now),
    registrations: new Map(),
    attested: new Map(),
  };
}

/**
 * Whether anybody is believed at all: asked before a prompt leaves or a payment is signed.
 *
 * @throws TRUST_MISSING, DEVELOPMENT_TRUST_NOT_ALLOWED
 */
export function requireTrust({ trust, allowDevelopment }: Pick<Settings, "trust" | "allowDevelopment">): void {
  if (trust.registrars.length === 0 && trust.gateways.length === 0) {
    throw new CountersignError("TRUST_MISSING", {
      message: "No trust file says whom to believe, so no answer could ever be checked. Nothing was sent or paid.",
      remedy:
        "Give `trust`: the parsed content of the network's trust file, from somebody whom you believe. `countersign up` writes trust.dev.json for its local network.",
    });
  }
  if (trust.development && !allowDevelopment) {
    throw new CountersignError("DEVELOPMENT_TRUST_NOT_ALLOWED", {
      message: `The trust file "${trust.name}" names development stand-ins. Nothing was sent or paid.`,
      remedy: "Give `allowDevelopment: true` if this is a test, or the trust file of a real network.",
    });
  }
}
