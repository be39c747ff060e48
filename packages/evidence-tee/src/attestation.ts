import {
  type Assurance,
  type AttestationFormat,
  type CollateralKind,
  CountersignError,
  type ErrorCode,
  type Hex,
  type Suite,
} from "@countersign/core";

/** Codes of this package, as they stand in the table of all errors. */
export type TeeCode = Extract<ErrorCode, `TEE_${string}`>;

/** The checks of a document, in the order in which they run (docs/tee.md has what each means for each format). */
export const checkTitles = {
  form: "The document can be read, whole, with nothing behind it",
  algorithm: "It uses its format's one algorithm",
  root: "Its chain ends at a pinned root",
  chain: "Each certificate is signed by the one above, which may sign certificates",
  validity: "Every certificate was valid at the time",
  revocation: "No certificate is on a signed, current revocation list",
  signature: "The document is signed by its certificate's key",
  tcb: "Firmware and microcode are at an accepted level",
  debug: "Debug mode is off",
  attributes: "Nothing else opens the enclave: migration, privilege level, overrides",
  measurement: "The measured code is accepted, all registers together",
  eventlog: "The event log gives the measured registers",
  freshness: "The document answers our nonce, or is fresh",
  binding: "The document attests exactly this statement",
} as const;
/** Name of a check. */
export type CheckId = keyof typeof checkTitles;
const order = Object.keys(checkTitles) as CheckId[];

/** One check: passed, failed with its code, or not run with the reason. A check that did not run satisfies nothing. */
export type TeeCheck = { readonly id: CheckId; readonly title: string; readonly why: string } & (
  | { readonly result: "passed" }
  | { readonly result: "failed"; readonly code: TeeCode }
  | { readonly result: "not-run" }
);

/** A pinned root: the digest of its certificate's DER, of its SubjectPublicKeyInfo (AMD), or of a key set (tokens). */
export type Root = {
  readonly format: AttestationFormat;
  readonly digest: Hex;
  readonly assurance: Assurance;
  readonly name: string;
  /** AMD's processor family: the layout of the TCB bytes follows from it. */
  readonly family?: "milan" | "genoa" | "turin";
};

/** What of the platform's level is accepted. */
export type TcbPolicy = {
  /** Besides `UpToDate`. */
  readonly statuses: readonly string[];
  readonly advisories: readonly string[];
  /** Least value of a component, by the vendor's name: `microcode`, `tcbEvaluationDataNumber`. */
  readonly floors: Readonly<Record<string, number>>;
};

/** Data that was fetched beforehand and is archived with the document. */
export type Collateral = { readonly kind: CollateralKind; readonly data: Uint8Array };

/** Everything a document is checked with. No clock, no network. */
export type DocumentArgs = {
  readonly document: Uint8Array;
  /** Milliseconds to judge for. */
  readonly at: number;
  readonly roots: readonly Root[];
  readonly collateral: readonly Collateral[];
  /** Accepted measurement ids; null where nobody asks, and then the check is not run. An empty list refuses. */
  readonly measurements: readonly Hex[] | null;
  readonly revoked: readonly Hex[];
  readonly tcb: TcbPolicy;
  /** Whether debug mode is accepted: for looking at a document, never for believing it. */
  readonly allowDebug: boolean;
  /** The 32 bytes that the document must carry, or null where nobody asks. */
  readonly binding: Uint8Array | null;
  /** The nonce in the format's own field (Nitro, TPM, GPU), or null where nobody asks: then age is judged. */
  readonly nonce: Uint8Array | null;
  /** Milliseconds that a document without our nonce may be old. */
  readonly maxAge: number;
  readonly suite: Suite;
};

/** What a document shows. `assurance` is null unless its chain ends at a pinned root and every check up to the signature passed. */
export type DocumentReport = {
  readonly format: AttestationFormat;
  readonly vendor: string;
  readonly assurance: Assurance | null;
  readonly debug: boolean | null;
  /** The vendor's word for the platform's level in policy spelling: `up-to-date`, `unrated`, …; with what it rests on. */
  readonly tcb: {
    readonly status: string;
    readonly advisories: readonly string[];
    readonly components: Readonly<Record<string, string | number>>;
  };
  /** Measured registers that stand for the code, lowercase hex. */
  readonly registers: Readonly<Record<string, string>>;
  /** `measurementId` of the registers. */
  readonly measurement: Hex | null;
  /** Other facts that are signed: for people. */
  readonly facts: Readonly<Record<string, string>>;
  /** Registers that hold what was measured at run time: Nitro's PCR 16. */
  readonly runtime: Readonly<Record<string, string>>;
  readonly reportData: Uint8Array | null;
  /** Milliseconds, where the document says. */
  readonly producedAt: number | null;
  /** Stable name of who signed: issuer and serial, or chip; never a hash of the document, whose signature is malleable. */
  readonly attester: string | null;
  readonly checks: readonly TeeCheck[];
};

/** Checks one document. Never throws: what cannot be read is a failed check. */
export type CheckDocument = (args: DocumentArgs) => DocumentReport;

/** A check that failed, thrown inside a format's checker and caught by its ledger alone. */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: TeeCode;
  constructor(code: TeeCode, why: string) {
    super(why);
    this.code = code;
  }
}

/** Refuses: for use inside a ledger's `run`. */
export function fault(code: TeeCode, why: string): never {
  throw new Fault(code, why);
}

/** Marks a check as not run, with the reason: for use inside a ledger's `run`. */
class NotRun extends Error {}
export function notRun(why: string): never {
  throw new NotRun(why);
}

/** Records checks in their fixed order. After the first failure none runs; those that never ran stand as not run. */
export type Ledger = {
  /** Runs a check: what it returns says why it passed. Any exception but `notRun` is a failure. */
  readonly run: (id: CheckId, check: () => string) => void;
  readonly failed: () => boolean;
  readonly close: () => readonly TeeCheck[];
};

export function openLedger(): Ledger {
  const made = new Map<CheckId, TeeCheck>();
  let failure: CheckId | undefined;
  return {
    run(id, check) {
      const title = checkTitles[id];
      if (made.has(id)) throw new RangeError(`The check ${id} ran twice.`);
      if (failure !== undefined) {
        made.set(id, { id, title, result: "not-run", why: `"${failure}" failed before it.` });
        return;
      }
      try {
        made.set(id, { id, title, result: "passed", why: check() });
      } catch (error) {
        if (error instanceof NotRun) {
          made.set(id, { id, title, result: "not-run", why: error.message });
          return;
        }
        failure = id;
        // Whatever else a hostile document provokes in a parser is a document that cannot be read.
        const code = error instanceof Fault ? error.code : "TEE_EVIDENCE_MALFORMED";
        const why = error instanceof Fault || CountersignError.is(error) ? error.message : "It cannot be read.";
        made.set(id, { id, title, result: "failed", code, why });
      }
    },
    failed: () => failure !== undefined,
    close: () =>
      order.map(
        (id) =>
          made.get(id) ?? { id, title: checkTitles[id], result: "not-run", why: "This format has no such check." },
      ),
  };
}

/**
 * The first thing that keeps a report from meeting what is required, or undefined.
 *
 * @param required At least one; a required check that did not run is TEE_CHECK_SKIPPED.
 */
export function obstacleOf(
  report: Pick<DocumentReport, "checks">,
  required: readonly CheckId[],
): { readonly code: TeeCode; readonly why: string } | undefined {
  if (required.length === 0)
    return { code: "TEE_CHECK_SKIPPED", why: "Nothing is required, and nothing proves nothing." };
  for (const check of report.checks) if (check.result === "failed") return { code: check.code, why: check.why };
  for (const id of required) {
    const check = report.checks.find((c) => c.id === id);
    if (check?.result !== "passed")
      return { code: "TEE_CHECK_SKIPPED", why: `${checkTitles[id]}: ${check?.why ?? "not run"}` };
  }
  return undefined;
}
