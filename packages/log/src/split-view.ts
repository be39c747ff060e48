import { CountersignError, equalBytes, type Suite, toBase64 } from "@countersign/core";
import { type Check, failed, ok } from "./check.ts";
import { parseCheckpoint, parseHash } from "./checkpoint.ts";
import { checkConsistency } from "./consistency.ts";
import { checkNote, parseNote } from "./note.ts";
import { emptyRoot, type Sha256 } from "./tree.ts";
import type { VerifierKey } from "./vkey.ts";

/**
 * Portable evidence that a log signed two histories; plain JSON.
 *
 * `prefixRoot` is the root that the larger tree has over its first `size(smaller)` entries, `proof` the consistency
 * proof from there to the larger root. It differs from the root that the log signed for that size.
 */
export type SplitView = {
  /** The signed note of the smaller (or equal) size. */
  readonly smaller: string;
  readonly larger: string;
  /** Base64 of 32 bytes. */
  readonly prefixRoot: string;
  /** Base64 of 32 bytes each; empty for two notes of one size. */
  readonly proof: readonly string[];
};

/** Checks that two notes are signed by `log` and cannot both be states of one append-only log. */
export function checkSplitView(claim: {
  readonly evidence: SplitView;
  readonly log: VerifierKey;
  readonly suite: Suite;
  readonly hash?: Sha256;
}): Check {
  const { evidence, log, suite } = claim;
  const no = (reason: string): Check => failed("PROOF_INVALID", reason);
  const checkpoints = [];
  for (const text of [evidence.smaller, evidence.larger]) {
    try {
      const note = parseNote(text);
      const checkpoint = parseCheckpoint(note.text);
      const signed = checkNote({ note, keys: [log], suite });
      if (signed.status === "failed") return signed;
      if (log.use !== "note" || checkpoint.origin !== log.name) return no("A note is of another log.");
      checkpoints.push(checkpoint);
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      return failed(error.code, error.detail.message);
    }
  }
  const [smaller, larger] = checkpoints;
  const prefixRoot = parseHash(evidence.prefixRoot);
  const proof = evidence.proof.map(parseHash);
  if (!smaller || !larger || !prefixRoot || proof.some((hash) => hash === undefined))
    return no("The evidence cannot be read.");
  if (smaller.size > larger.size) return no("The notes are in the wrong order.");
  if (equalBytes(prefixRoot, smaller.root)) return no("The prefix has the root that the log signed for it.");
  if (smaller.size === 0)
    // Consistency from the empty tree needs no path, so the one possible prefix root is checked here.
    return equalBytes(prefixRoot, emptyRoot) ? ok : no("The empty tree has another root.");
  return checkConsistency({
    old: smaller.size,
    oldRoot: prefixRoot,
    size: larger.size,
    root: larger.root,
    proof: proof as Uint8Array[],
    ...(claim.hash && { hash: claim.hash }),
  });
}

/** The error that carries a split view's evidence in `detail.facts`. */
export function splitViewError(evidence: SplitView): CountersignError {
  return new CountersignError("LOG_SPLIT_VIEW", {
    message: "The log signed two checkpoints that cannot both be states of one append-only log.",
    why: "Somebody is shown another history than others.",
    remedy: "Keep the evidence, publish it, and stop trusting this log's key.",
    facts: evidence,
  });
}

/** Evidence from its parts, smaller note first. */
export function splitView(
  smaller: string,
  larger: string,
  prefixRoot: Uint8Array,
  proof: readonly Uint8Array[],
): SplitView {
  return { smaller, larger, prefixRoot: toBase64(prefixRoot), proof: proof.map(toBase64) };
}
