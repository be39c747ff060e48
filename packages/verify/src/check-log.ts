import {
  bucket,
  type Check,
  CountersignError,
  decodeEntry,
  type Entry,
  encodeEntry,
  envelopeDigest,
  type Finding,
  fromBase64Url,
  levelBits,
  masksOf,
  noDigest,
  type Offer,
  type Opened,
  openedBytes,
  originBit,
  parsePolicy,
  type Receipt,
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
  // One operator alone could show each reader a history of his own: outside development two must have seen it (B5).
  const enough = result.cosigners.length >= (trust.development ? 1 : 2);
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
  };
}

function readEntry(text: string): Entry | undefined {
  try {
    return decodeEntry(fromBase64Url(text));
  } catch {
    return undefined;
  }
}

/** What of the entry contradicts the statement: an entry must not count the receipt as something else than it is. */
function entryFault(entry: Entry, { statement, subject, opened, offer }: Args): string | undefined {
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
    // What was delivered at issue: at most an operator's word, and that another host answered.
    (entry.delivered & ~(levelBits.signature | originBit)) !== 0 &&
      "It counts levels as delivered that nothing here delivers.",
    has("development") !== statement.labels.includes("development") && "It hides or invents the label development.",
    has("synthetic") !== statement.labels.includes("synthetic") && "It hides or invents the label synthetic.",
    has("origin") !== (statement.scope === "origin") && "It hides or invents that another host answered.",
    has("aborted") !== (statement.outcome === "aborted") && "It hides or invents that the run was aborted.",
    (has("simulated") || has("vendor") || has("hardware")) && "It counts hardware that no evidence shows.",
    !usage && openedBytes(opened, "result") && "The field result cannot be read, so its tokens cannot be counted.",
    usage && entry.tokens !== bucket(usage.total_tokens) && "It counts another number of tokens.",
    offer && entry.value !== bucket(BigInt(offer.amount)) && "It counts another price.",
    Math.abs(entry.hour - hour) > 1 && "It counts another hour.",
  ];
  return faults.find((f) => typeof f === "string");
}
