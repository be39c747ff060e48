import { CountersignError, fromBase64, type Suite, toBase64 } from "@countersign/core";
import { type Check, failed, notRun, ok } from "./check.ts";
import { type Checkpoint, parseCheckpoint, parseHash, parseSize } from "./checkpoint.ts";
import { checkInclusion } from "./inclusion.ts";
import { checkNote, parseNote, type SignedBy } from "./note.ts";
import { evaluateQuorum, type WitnessPolicy } from "./policy.ts";
import { hashLeaf, type Sha256 } from "./tree.ts";
import type { VerifierKey } from "./vkey.ts";

/** An offline proof that an entry is in a log (C2SP tlog-proof@v1). */
export type TlogProof = {
  readonly index: number;
  /** From the leaf's sibling to the root's child, 32 bytes each. */
  readonly path: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
  /** Opaque and authenticated by nothing. */
  readonly extra?: Uint8Array;
};

const header = "c2sp.org/tlog-proof@v1";
const maxPath = 63;
const malformed = (message: string, cause?: unknown) => new CountersignError("PROOF_INVALID", { message, cause });

/** The proof as text; stored with the extension `.tlog-proof`. */
export function formatTlogProof({ index, path, checkpoint, extra }: TlogProof): string {
  const head = extra === undefined ? [header] : [header, `extra ${toBase64(extra)}`];
  return `${[...head, `index ${index}`, ...path.map(toBase64)].join("\n")}\n\n${checkpoint}`;
}

/** Reads a proof; checks nothing but its form. @throws CountersignError PROOF_INVALID */
export function parseTlogProof(text: string): TlogProof {
  const gap = text.indexOf("\n\n");
  if (gap < 0) throw malformed("The proof has no blank line before its checkpoint.");
  const [first, ...lines] = text.slice(0, gap).split("\n");
  if (first !== header) throw malformed(`The proof does not begin with ${header}.`);
  const extra = lines[0]?.startsWith("extra ") ? readExtra(lines.shift() as string) : undefined;
  const [indexLine = "", ...hashes] = lines;
  const index = indexLine.startsWith("index ") ? parseSize(indexLine.slice(6)) : undefined;
  if (index === undefined) throw malformed("The proof has no index.");
  if (hashes.length > maxPath) throw malformed(`The proof has more than ${maxPath} hashes.`);
  const path = hashes.map((hash) => {
    const bytes = parseHash(hash);
    if (bytes === undefined) throw malformed("A hash of the proof is not the base64 of 32 bytes.");
    return bytes;
  });
  return { index, path, checkpoint: text.slice(gap + 2), ...(extra && { extra }) };
}

function readExtra(line: string): Uint8Array {
  try {
    return fromBase64(line.slice("extra ".length));
  } catch (cause) {
    throw malformed("The proof's extra line is not canonical base64.", cause);
  }
}

/** What `checkTlogProof` found, check by check. `logged` only when every one of them ran and holds. */
export type TlogProofCheck = {
  readonly outcome: "logged" | "unproven";
  readonly checks: {
    /** The text is a tlog-proof with a signed checkpoint in it. */
    readonly form: Check;
    /** The checkpoint is of this log and this log signed it; no known key's signature on it fails. */
    readonly log: Check;
    /** The entry's hash is in the tree under the checkpoint's root. */
    readonly inclusion: Check;
    /** The witnesses' quorum is reached. */
    readonly witnesses: Check;
  };
  /** Reasons of all checks that are not ok. */
  readonly reasons: readonly string[];
  readonly index?: number;
  readonly checkpoint?: Checkpoint;
  /** The checkpoint's signed note, verbatim. */
  readonly note?: string;
  /** Witnesses of the policy whose cosignature holds, with the seconds since 1970 at which each signed. */
  readonly cosigners: readonly { readonly name: string; readonly time: number }[];
  /** Seconds since 1970 by which the quorum had seen the checkpoint: the time at which the entry counts as logged. */
  readonly time?: number;
};

/**
 * Checks offline that an entry is in a log and that the witnesses' quorum has seen it there.
 *
 * `entry` is the verifier's own encoding: bytes that came with the proof prove only themselves. Cosignatures later than
 * `notAfter` (seconds) are left out of the quorum; `notAfter` is the time of judgement where the caller has one.
 */
export function checkTlogProof(claim: {
  readonly proof: string;
  readonly entry: Uint8Array;
  readonly log: VerifierKey;
  readonly witnesses: WitnessPolicy;
  readonly suite: Suite;
  readonly notAfter?: number;
  readonly hash?: Sha256;
}): TlogProofCheck {
  let proof: TlogProof;
  let note: ReturnType<typeof parseNote>;
  let checkpoint: Checkpoint;
  try {
    proof = parseTlogProof(claim.proof);
    note = parseNote(proof.checkpoint);
    checkpoint = parseCheckpoint(note.text);
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    const rest = notRun("The proof cannot be read.");
    const form = failed(error.code, error.detail.message);
    return conclude({ form, log: rest, inclusion: rest, witnesses: rest }, { cosigners: [] });
  }
  const { log, signedBy } = checkLog(claim, note, checkpoint);
  const inclusion = checkInclusion({
    index: proof.index,
    size: checkpoint.size,
    leaf: hashLeaf(claim.entry, claim.hash),
    proof: proof.path,
    root: checkpoint.root,
    ...(claim.hash && { hash: claim.hash }),
  });
  const timely = signedBy.filter(({ time }) => time === undefined || time <= (claim.notAfter ?? Infinity));
  const quorum = evaluateQuorum(claim.witnesses.quorum, timely);
  const witnesses =
    log.status !== "ok"
      ? notRun("The log's own signature does not stand.")
      : quorum.status === "reached"
        ? ok
        : failed("CHECKPOINT_NOT_WITNESSED", quorum.reason);
  const cosigners = claim.witnesses.witnesses.flatMap(({ name, key }) => {
    const time = timely.find((signed) => signed.key === key)?.time;
    return time === undefined ? [] : [{ name, time }];
  });
  return conclude(
    { form: ok, log, inclusion, witnesses },
    {
      index: proof.index,
      checkpoint,
      note: proof.checkpoint,
      cosigners,
      ...(witnesses.status === "ok" && quorum.status === "reached" && quorum.time && { time: quorum.time }),
    },
  );
}

function checkLog(
  claim: { readonly log: VerifierKey; readonly witnesses: WitnessPolicy; readonly suite: Suite },
  note: ReturnType<typeof parseNote>,
  checkpoint: Checkpoint,
): { readonly log: Check; readonly signedBy: readonly SignedBy[] } {
  const no = (log: Check) => ({ log, signedBy: [] });
  // A key of another use or name would vouch for a log that the caller did not mean.
  if (claim.log.use !== "note" || claim.log.name !== checkpoint.origin)
    return no(
      failed("CHECKPOINT_SIGNATURE_INVALID", `The checkpoint is of ${checkpoint.origin}, not of the known log.`),
    );
  const keys = [claim.log, ...claim.witnesses.witnesses.map(({ key }) => key)];
  const signed = checkNote({ note, keys, suite: claim.suite });
  if (signed.status === "failed") return no(signed);
  if (!signed.signedBy.some(({ key }) => key === claim.log))
    return no(failed("CHECKPOINT_SIGNATURE_INVALID", "The log itself did not sign the checkpoint."));
  return { log: ok, signedBy: signed.signedBy };
}

function conclude(
  checks: TlogProofCheck["checks"],
  facts: Omit<TlogProofCheck, "outcome" | "checks" | "reasons">,
): TlogProofCheck {
  const all = Object.values(checks);
  const reasons = all.flatMap((check) => (check.status === "ok" ? [] : [check.reason]));
  return { outcome: all.every(({ status }) => status === "ok") ? "logged" : "unproven", checks, reasons, ...facts };
}
