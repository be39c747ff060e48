import {
  canonicalBytes,
  type Envelope,
  type ErrorCode,
  type Hex,
  type Signer,
  sha256Hex,
  signStatement,
  toHex,
} from "@countersign/core";
import { encodePlainEntry } from "./plain-entry.ts";

const refusalsType = "urn:countersign:refusals:v1";

/** Counts of one hour, by code: what was asked and not given leaves no receipt, so the gateway says how often (B4). */
type RefusalCounts = { readonly hour: number; readonly counts: Readonly<Partial<Record<ErrorCode, number>>> };

/** Counts refusals and, hour by hour, signs and logs the counts: a claim of the gateway, labelled as one. */
export type Refusals = {
  readonly count: (code: ErrorCode) => void;
  /** The hour that runs and the last ones that ended, newest first. */
  readonly recent: () => readonly (RefusalCounts & { readonly envelope: Envelope | null })[];
  /** Logs the hours that have ended; called by a clock and at the end. */
  readonly flush: () => Promise<void>;
};

const hourOf = (now: number) => Math.floor(now / 3_600_000);

export function openRefusals(options: {
  readonly network: string;
  readonly gateway: Signer;
  readonly development: boolean;
  readonly append: (entry: Uint8Array) => Promise<unknown>;
  readonly now: () => number;
}): Refusals {
  let hour = hourOf(options.now());
  let counts: Partial<Record<ErrorCode, number>> = {};
  const ended: RefusalCounts[] = [];
  const logged: (RefusalCounts & { readonly envelope: Envelope })[] = [];
  const turn = () => {
    const now = hourOf(options.now());
    if (now === hour) return;
    if (Object.keys(counts).length > 0) ended.push({ hour, counts });
    counts = {};
    hour = now;
  };
  const log = async (one: RefusalCounts) => {
    const { envelope, entry } = signRefusals(one, options);
    await options.append(entry);
    logged.unshift({ ...one, envelope });
    logged.splice(24);
  };
  return {
    count(code) {
      turn();
      counts[code] = (counts[code] ?? 0) + 1;
    },
    recent: () => [{ hour, counts: { ...counts }, envelope: null }, ...logged],
    async flush() {
      turn();
      for (let one = ended.shift(); one !== undefined; one = ended.shift()) await log(one);
    },
  };
}

/** An hour's counts as a signed statement and the log entry for it. */
export function signRefusals(
  { hour, counts }: RefusalCounts,
  options: { readonly network: string; readonly gateway: Signer; readonly development: boolean },
): { readonly envelope: Envelope; readonly entry: Uint8Array } {
  const gateway: Hex = toHex(options.gateway.publicKey);
  const predicate = { suite: "countersign/refusals/v1", network: options.network, gateway, hour, counts };
  const subject = sha256Hex(canonicalBytes(predicate));
  const envelope = signStatement(
    { name: "refusals", subject, predicateType: refusalsType, predicate },
    options.gateway,
  );
  const entry = encodePlainEntry({ kind: "refusals", subject, issuer: gateway, hour }, envelope, options.development);
  return { envelope, entry };
}
