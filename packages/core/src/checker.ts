import type { Hex } from "./bytes.ts";
import type { Check, Finding } from "./claim.ts";
import type { Envelope } from "./envelope.ts";
import type { ErrorCode } from "./errors/table.ts";
import type { Evidence, EvidenceKind } from "./evidence.ts";
import type { Opened } from "./receipt.ts";
import type { Suite } from "./signature.ts";
import type { Statement } from "./statement.ts";
import type { Trust } from "./trust.ts";

/** How supplied or opened content compares with the commitment; `closed` when there was nothing to compare. */
export type Comparison = {
  readonly status: "same" | "different" | "closed";
  readonly reason: string;
  readonly code?: ErrorCode;
};

/** All that a checker of one evidence kind may look at. Values only: no clock, no network, no other kinds. */
export type EvidenceContext = {
  readonly receiptRoot: Hex;
  readonly statement: Statement;
  readonly envelope: Envelope;
  readonly opened: Opened;
  /** Mathematics over issuer-signed bytes and supplied content. */
  readonly content: { readonly request: Comparison; readonly prompt: Comparison; readonly output: Comparison };
  /** The items of this kind. */
  readonly items: readonly {
    readonly envelope: Envelope;
    readonly evidence: Evidence;
    readonly blob: Uint8Array | null;
  }[];
  /** Stapled registrations of keys. */
  readonly keys: readonly Envelope[];
  readonly trust: Trust;
  /** Milliseconds for which the verdict is made. */
  readonly at: number;
  /** Milliseconds by which the statement was in a witnessed log, or null. */
  readonly loggedAt: number | null;
  readonly suite: Suite;
  /** Whether development stand-ins may ground claims. */
  readonly allowDevelopment: boolean;
  /** Whether an entry stands in a trusted log; an answer that is not `logged` says why. */
  readonly inLog: InLog;
};

/** Looks up an entry (base64url of its bytes) with its proof in the logs of the trust; `time` in milliseconds. */
export type InLog = (
  entry: string,
  proof: string,
) => { readonly status: "logged"; readonly time: number } | { readonly status: "unknown"; readonly reason: string };

/** What a checker found. */
export type EvidenceReport = { readonly findings: readonly Finding[]; readonly checks: readonly Check[] };

/** One evidence kind's checker. A new kind is one new package and one line in verify/src/kinds.ts. */
export type EvidenceChecker = {
  readonly kind: EvidenceKind;
  readonly check: (context: EvidenceContext) => EvidenceReport;
};
