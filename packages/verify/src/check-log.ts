import {
  type Check,
  CountersignError,
  decodeEntry,
  type Entry,
  encodeEntry,
  envelopeDigest,
  type Finding,
  fromBase64Url,
  fromHex,
  masksOf,
  noDigest,
  parsePolicy,
  type Receipt,
  type Statement,
  type Suite,
  type Trust,
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

/** Where and when the statement is in a log, as far as the proofs show. */
export type Logged = {
  readonly checks: readonly Check[];
  readonly finding: Finding;
  /** Milliseconds by which the witnesses had seen it, or null. */
  readonly loggedAt: number | null;
  /** The entry's place, when its inclusion holds. */
  readonly place: { readonly origin: string; readonly index: number } | null;
};

const title = "The receipt is in a transparency log that independent witnesses cosigned";

/** Checks the statement's log entry against the statement, and its proof against the trusted logs and witnesses. */
export function checkLog(args: {
  readonly receipt: Receipt;
  readonly statement: Statement;
  readonly subject: string;
  readonly trust: Trust;
  readonly at: number;
  readonly suite: Suite;
}): Logged {
  const { receipt, statement, trust } = args;
  const none = (check: Check): Logged => ({
    checks: [check],
    finding: find("logged", "log", "unproven", check.detail, trust.development, check.code ? { code: check.code } : {}),
    loggedAt: null,
    place: null,
  });
  const digest = envelopeDigest(receipt.statement);
  const found = receipt.inclusion.flatMap((item) => {
    const entry = readEntry(item.entry);
    return entry && entry.kind === "receipt" && entry.envelope === digest ? [{ entry, proof: item.proof }] : [];
  })[0];
  if (!found)
    return none(notRun("log.entry", title, "The receipt carries no proof of its entry.", "INCLUSION_MISSING"));
  const fault = entryFault(found.entry, statement, args.subject);
  if (fault)
    return none(ran("log.entry", "The log entry says what the statement says", false, fault, "ENTRY_EVIDENCE_INVALID"));
  const entryCheck = ran(
    "log.entry",
    "The log entry says what the statement says",
    true,
    "They agree.",
    "ENTRY_EVIDENCE_INVALID",
  );
  if (trust.logs.length === 0)
    return none(notRun("log.proof", title, `The trust "${trust.name}" names no log.`, "TRUST_MISSING"));
  let result: TlogProofCheck;
  try {
    const origin = parseCheckpoint(parseNote(parseTlogProof(found.proof).checkpoint).text).origin;
    const log = trust.logs.map(parseVkey).find((key) => key.name === origin);
    if (!log)
      return none(
        ran("log.proof", title, false, `The trust "${trust.name}" does not name the log ${origin}.`, "TRUST_MISSING"),
      );
    result = checkTlogProof({
      proof: found.proof,
      entry: encodeEntry(found.entry),
      log,
      witnesses: parseWitnessPolicy(trust.witnesses),
      suite: args.suite,
      notAfter: Math.floor(args.at / 1000),
    });
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return none(ran("log.proof", title, false, error.detail.message, error.code));
  }
  // One operator alone could show each reader a history of his own: outside development two must have seen it (B5).
  const enough = result.cosigners.length >= (trust.development ? 1 : 2);
  const holds = result.outcome === "logged" && enough && result.time !== undefined;
  const names = result.cosigners.map((c) => c.name).join(", ");
  const detail = holds
    ? `Entry ${result.index} of ${result.checkpoint?.origin}, cosigned by ${names}.`
    : [...result.reasons, !enough && "Fewer witnesses cosigned than are needed."].filter((r) => r !== false).join(" ");
  const included = result.checks.inclusion.status === "ok" && result.checks.log.status === "ok";
  return {
    checks: [
      entryCheck,
      ran("log.proof", title, holds, detail, included ? "CHECKPOINT_NOT_WITNESSED" : "PROOF_INVALID"),
    ],
    finding: holds
      ? find("logged", "log", "proven", detail, trust.development)
      : find("logged", "log", "unproven", detail, trust.development, {
          code: included ? "CHECKPOINT_NOT_WITNESSED" : "PROOF_INVALID",
        }),
    loggedAt: holds && result.time !== undefined ? result.time * 1000 : null,
    place:
      included && result.checkpoint && result.index !== undefined
        ? { origin: result.checkpoint.origin, index: result.index }
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
function entryFault(entry: Entry, statement: Statement, subject: string): string | undefined {
  const has = (flag: Entry["flags"][number]) => entry.flags.includes(flag);
  const masks = masksOf(parsePolicy(statement.policy.demanded));
  const bought = masksOf(parsePolicy(statement.policy.bought));
  if (entry.subject !== subject) return "It is about another receipt.";
  if (entry.issuer !== statement.issuer) return "It names another issuer.";
  if (entry.model !== statement.model.digest) return "It names another model.";
  if (entry.tag !== statement.requestTag || entry.tag === noDigest) return "It names another request.";
  if (entry.demanded.join() !== masks.join()) return "It counts other demanded levels.";
  if (!bought.includes(entry.bought)) return "It counts another bought level.";
  if (has("development") !== statement.labels.includes("development"))
    return "It hides or invents the label development.";
  if (has("synthetic") !== statement.labels.includes("synthetic")) return "It hides or invents the label synthetic.";
  if (has("origin") !== (statement.scope === "origin")) return "It hides or invents that another host answered.";
  if (has("aborted") !== (statement.outcome === "aborted")) return "It hides or invents that the run was aborted.";
  return fromHex(entry.deployment).length === 32 ? undefined : "It names no deployment.";
}
