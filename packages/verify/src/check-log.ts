import {
  bucket,
  type Check,
  CountersignError,
  decodeEntry,
  type Entry,
  type Envelope,
  encodeEntry,
  envelopeDigest,
  type Finding,
  fromBase64Url,
  type InLog,
  isSignedBy,
  levelBits,
  masksOf,
  noDigest,
  type Offer,
  type Opened,
  openedBytes,
  originBit,
  parsePolicy,
  type Receipt,
  readEvidence,
  resultLeafShape,
  type Statement,
  type Suite,
  type Trust,
  toHex,
} from "@countersign/core";
import {
  checkTlogProof,
  parseCheckpoint,
  parseNote,
  parseTlogProof,
  parseVkey,
  parsePolicy as parseWitnessPolicy,
  type TlogProofCheck,
} from "@countersign/log";
import { find, notRun, ran } from "./findings.ts";
import { readLeaf } from "./read-leaf.ts";

/** The receipt's place in a log. */
export type Place = { readonly origin: string; readonly index: number; readonly size: number; readonly root: string };

/** Where and when the statement is in a log, as far as the proofs show. */
export type Logged = {
  readonly checks: readonly Check[];
  readonly finding: Finding;
  /** Milliseconds by which the witnesses had seen it, or null. */
  readonly loggedAt: number | null;
  /** The entry's place, when its inclusion holds. */
  readonly place: Place | null;
  /** The entry that the statement and the log agree on, or null. */
  readonly entry: Entry | null;
};

type Args = {
  readonly receipt: Receipt;
  readonly statement: Statement;
  readonly subject: string;
  readonly opened: Opened;
  readonly offer: Offer | undefined;
  /** Whether the statement itself stands: signed, of this network, by a known key's claim. */
  readonly signed: boolean;
  readonly trust: Trust;
  readonly at: number;
  readonly suite: Suite;
};

const title = "The receipt is in a transparency log that independent witnesses cosigned";
const entryTitle = "The log entry says what the statement says";

/** Checks the statement's log entries against the statement, and their proofs against the trusted logs and witnesses. */
export function checkLog(args: Args): Logged {
  const { receipt, trust } = args;
  const digest = envelopeDigest(receipt.statement);
  const found = receipt.inclusion.flatMap((item) => {
    const entry = readEntry(item.entry);
    return entry && entry.kind === "receipt" && entry.envelope === digest ? [{ entry, proof: item.proof }] : [];
  });
  const none = (check: Check): Logged => ({
    checks: [check],
    finding: find("logged", "log", "unproven", check.detail, trust.development, check.code ? { code: check.code } : {}),
    loggedAt: null,
    place: null,
    entry: null,
  });
  if (!args.signed)
    return none(notRun("log.entry", title, "The statement is not signed by the node it names, for this network."));
  // Every proof is tried: one that fails takes nothing away from one that holds.
  let best: Logged | undefined;
  for (const item of found) {
    const one = checkOne(args, item.entry, item.proof, none);
    if (one.finding.status === "proven") return one;
    if (!best || (one.place && !best.place)) best = one;
  }
  return best ?? none(notRun("log.entry", title, "The receipt carries no proof of its entry.", "INCLUSION_MISSING"));
}

// One operator alone could show each reader a history of his own: outside development two must have seen it (B5).
const leastWitnesses = ({ development }: Trust): number => (development ? 1 : 2);

function checkOne(args: Args, entry: Entry, proof: string, none: (check: Check) => Logged): Logged {
  const { trust } = args;
  const fault = entryFault(entry, args);
  if (fault) return none(ran("log.entry", entryTitle, false, fault, "ENTRY_EVIDENCE_INVALID"));
  if (trust.logs.length === 0)
    return none(notRun("log.proof", title, `The trust "${trust.name}" names no log.`, "TRUST_MISSING"));
  let results: readonly TlogProofCheck[];
  try {
    const { origin } = parseCheckpoint(parseNote(parseTlogProof(proof).checkpoint).text);
    const logs = trust.logs.map(parseVkey).filter((key) => key.name === origin);
    if (logs.length === 0) {
      return none(ran("log.proof", title, false, `The trust "${trust.name}" does not name this log.`, "TRUST_MISSING"));
    }
    if (origin !== args.statement.log) {
      return none(
        ran("log.proof", title, false, "It is in another log than the statement names.", "ENTRY_EVIDENCE_INVALID"),
      );
    }
    const witnesses = parseWitnessPolicy(trust.witnesses);
    const notAfter = Math.floor(args.at / 1000);
    results = logs.map((log) =>
      checkTlogProof({ proof, entry: encodeEntry(entry), log, witnesses, suite: args.suite, notAfter }),
    );
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return none(ran("log.proof", title, false, error.detail.message, error.code));
  }
  const result = (results.find((r) => r.outcome === "logged") ?? results[0]) as TlogProofCheck;
  const enough = result.cosigners.length >= leastWitnesses(trust);
  const holds = result.outcome === "logged" && enough && result.time !== undefined;
  const names = result.cosigners.map((c) => c.name).join(", ");
  const detail = holds
    ? `Entry ${result.index} of ${result.checkpoint?.origin}, cosigned by ${names}.`
    : [...result.reasons, !enough && "Fewer witnesses cosigned than are needed."].filter((r) => r !== false).join(" ");
  const included = result.checks.inclusion.status === "ok" && result.checks.log.status === "ok";
  const code = included ? "CHECKPOINT_NOT_WITNESSED" : "PROOF_INVALID";
  const { checkpoint, index } = result;
  return {
    checks: [
      ran("log.entry", entryTitle, true, "They agree.", "ENTRY_EVIDENCE_INVALID"),
      ran("log.proof", title, holds, detail, code),
    ],
    finding: find("logged", "log", holds ? "proven" : "unproven", detail, trust.development, holds ? {} : { code }),
    loggedAt: holds && result.time !== undefined ? result.time * 1000 : null,
    place:
      included && checkpoint && index !== undefined
        ? { origin: checkpoint.origin, index, size: checkpoint.size, root: toHex(checkpoint.root) }
        : null,
    entry: holds ? entry : null,
  };
}

function readEntry(text: string): Entry | undefined {
  try {
    return decodeEntry(fromBase64Url(text));
  } catch {
    return undefined;
  }
}

const hardwareFlags = ["simulated", "vendor", "hardware"] as const;

/** An entry counts an enclave's attestation once, as one kind, and only where one is attached. */
function hardwareFaults(entry: Entry, args: Args): readonly (string | false)[] {
  const { receipt, statement } = args;
  const flags = hardwareFlags.filter((flag) => entry.flags.includes(flag));
  const counts = (entry.delivered & levelBits.hardware) !== 0;
  const attached = receipt.evidence.some(({ envelope }) => isAttestation(envelope, args));
  return [
    flags.length !== (counts ? 1 : 0) &&
      "It counts hardware and does not say of which kind, or says a kind and counts none.",
    counts && !attached && "It counts hardware that no evidence shows.",
    flags[0] === "simulated" &&
      !statement.labels.includes("development") &&
      "It counts a simulation as no development.",
  ];
}

/** Whether the issuer itself attached it to this receipt: an envelope that only names him is anybody's to write. */
function isAttestation(envelope: Envelope, { statement, subject, suite }: Args): boolean {
  try {
    const read = readEvidence(envelope);
    const { kind, issuer } = read.predicate;
    return (
      kind === "tee" && issuer === statement.issuer && read.subject === subject && isSignedBy(envelope, issuer, suite)
    );
  } catch {
    return false;
  }
}

const assuranceOf = { simulated: "simulated", vendor: "vendor-verifier", hardware: "hardware" } as const;

/** Holds the kind of hardware that the entry counts against the one that the evidence shows: a simulation must not count as hardware. */
export function checkCounted(logged: Logged, findings: readonly Finding[]): Pick<Logged, "checks" | "finding"> {
  const flag = hardwareFlags.find((f) => logged.entry?.flags.includes(f));
  if (!flag) return { checks: [], finding: logged.finding };
  const title = "The log entry counts the kind of hardware that the evidence shows";
  const shown = findings.find((f) => f.ground === "hardware" && f.status === "proven")?.facts.assurance;
  const simulated = findings.some((f) => f.ground === "hardware" && f.code === "TEE_SIMULATED_NOT_ALLOWED");
  const kind = shown ?? (simulated ? "simulated" : undefined);
  if (kind === undefined)
    return {
      checks: [notRun("log.hardware", title, "This trust does not accept the evidence.")],
      finding: logged.finding,
    };
  const holds = kind === assuranceOf[flag];
  const detail = holds ? `${kind}.` : `It counts ${assuranceOf[flag]}; the evidence shows ${kind}.`;
  const code = "ENTRY_EVIDENCE_INVALID" as const;
  return {
    checks: [ran("log.hardware", title, holds, detail, code)],
    finding: holds ? logged.finding : { ...logged.finding, status: "unproven", reason: detail, code },
  };
}

/** Looks up any entry with its proof in the logs of the trust, under the same rules as the receipt's own. */
export function lookUp(entry: string, proof: string, trust: Trust, at: number, suite: Suite): ReturnType<InLog> {
  try {
    const bytes = fromBase64Url(entry);
    const { origin } = parseCheckpoint(parseNote(parseTlogProof(proof).checkpoint).text);
    const witnesses = parseWitnessPolicy(trust.witnesses);
    for (const log of trust.logs.map(parseVkey).filter((key) => key.name === origin)) {
      const found = checkTlogProof({ proof, entry: bytes, log, witnesses, suite, notAfter: Math.floor(at / 1000) });
      if (found.outcome === "logged" && found.cosigners.length >= leastWitnesses(trust) && found.time !== undefined)
        return { status: "logged", time: found.time * 1000 };
    }
    return { status: "unknown", reason: "No trusted log and witnesses show it." };
  } catch (error) {
    const reason = CountersignError.is(error) ? error.detail.message : "The entry or its proof cannot be read.";
    return { status: "unknown", reason };
  }
}

/** What of the entry contradicts the statement: an entry must not count the receipt as something else than it is. */
function entryFault(entry: Entry, args: Args): string | undefined {
  const { statement, subject, opened, offer } = args;
  const has = (flag: Entry["flags"][number]) => entry.flags.includes(flag);
  let demanded: readonly number[];
  let bought: readonly number[];
  try {
    demanded = masksOf(parsePolicy(statement.policy.demanded));
    bought = masksOf(parsePolicy(statement.policy.bought));
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return "The statement's policies cannot be counted.";
  }
  const usage = readLeaf(resultLeafShape, opened, "result")?.usage;
  const hour = Math.floor(statement.issuedAt / 3_600_000);
  const faults: readonly (string | false | undefined)[] = [
    entry.subject !== subject && "It is about another receipt.",
    entry.issuer !== statement.issuer && "It names another issuer.",
    entry.model !== statement.model.digest && "It names another model.",
    (entry.tag !== statement.requestTag || entry.tag === noDigest) && "It names another request.",
    entry.demanded.join() !== demanded.join() && "It counts other demanded levels.",
    !bought.includes(entry.bought) && "It counts another bought level.",
    // What was delivered at issue: at most an operator's word, that another host answered, and an enclave's attestation.
    (entry.delivered & ~(levelBits.signature | levelBits.hardware | originBit)) !== 0 &&
      "It counts levels as delivered that nothing here delivers.",
    has("development") !== statement.labels.includes("development") && "It hides or invents the label development.",
    has("synthetic") !== statement.labels.includes("synthetic") && "It hides or invents the label synthetic.",
    has("origin") !== (statement.scope === "origin") && "It hides or invents that another host answered.",
    has("aborted") !== (statement.outcome === "aborted") && "It hides or invents that the run was aborted.",
    ...hardwareFaults(entry, args),
    !usage && openedBytes(opened, "result") && "The field result cannot be read, so its tokens cannot be counted.",
    usage && entry.tokens !== bucket(usage.total_tokens) && "It counts another number of tokens.",
    offer && entry.value !== bucket(BigInt(offer.amount)) && "It counts another price.",
    Math.abs(entry.hour - hour) > 1 && "It counts another hour.",
  ];
  return faults.find((f) => typeof f === "string");
}
