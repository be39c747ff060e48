import { CountersignError, equalBytes, sha256 } from "@countersign/core";
import { type LogReader, openCheckpoint, type SignedCheckpoint } from "./client.ts";
import { checkConsistency, consistencyRanges } from "./consistency.ts";
import { readRanges } from "./inclusion.ts";
import { splitView, splitViewError } from "./split-view.ts";
import { readFromTiles } from "./tile-reader.ts";
import { emptyRoot, foldNodes, perfectNodes } from "./tree.ts";

/**
 * One step of following a log. `remembered` is the note to store before the next step; it never shrinks.
 *
 * `behind`: the log showed an older state of the same history, so the remembered note stays.
 */
export type FollowStep = {
  readonly status: "first" | "same" | "grown" | "behind";
  readonly remembered: string;
  readonly checkpoint: SignedCheckpoint;
};

/**
 * Fetches a log's checkpoint and checks it against the one that was remembered.
 *
 * @throws CountersignError LOG_SPLIT_VIEW with a `SplitView` in `detail.facts` when the log signed two histories;
 * PROOF_INVALID when its tiles show neither that nor consistency.
 */
export async function followLog(options: {
  readonly reader: LogReader;
  /** The signed note of the last step, none at the first. */
  readonly remembered?: string;
}): Promise<FollowStep> {
  const { reader, remembered } = options;
  const shown = await reader.checkpoint();
  if (remembered === undefined) return { status: "first", remembered: shown.note, checkpoint: shown };
  // The remembered note was checked under the policy of its day; the log's own signature is what it must still carry.
  const { witnesses: _, ...source } = reader.source;
  const old = openCheckpoint(remembered, source);
  const behind = shown.size < old.size;
  const [smaller, larger] = behind ? [shown, old] : [old, shown];
  await requireConsistent(reader, smaller, larger);
  if (behind) return { status: "behind", remembered, checkpoint: shown };
  if (shown.size > old.size) return { status: "grown", remembered: shown.note, checkpoint: shown };
  // One state; the newer note may carry more cosignatures.
  return { status: "same", remembered: shown.note, checkpoint: shown };
}

/** Passes when `smaller` is a prefix of `larger`; @throws LOG_SPLIT_VIEW with evidence when it provably is not. */
export async function requireConsistent(
  { source }: LogReader,
  smaller: SignedCheckpoint,
  larger: SignedCheckpoint,
): Promise<void> {
  const hash = source.hash ?? sha256;
  if (smaller.size === larger.size || smaller.size === 0) {
    const prefixRoot = smaller.size === 0 ? emptyRoot : larger.root;
    if (equalBytes(prefixRoot, smaller.root)) return;
    throw splitViewError(splitView(smaller.note, larger.note, prefixRoot, []));
  }
  const read = readFromTiles(source.fetchTile, larger.size, { hash });
  const proof = await readRanges(consistencyRanges(smaller.size, larger.size), read, hash);
  const claim = { old: smaller.size, size: larger.size, root: larger.root, proof, hash };
  const check = checkConsistency({ ...claim, oldRoot: smaller.root });
  if (check.status === "ok") return;
  // What root does the larger tree have at the smaller size? Under a checked proof this is a fact about the signed tree.
  const prefixRoot = foldNodes(await read(perfectNodes({ from: 0, to: smaller.size })), hash);
  if (checkConsistency({ ...claim, oldRoot: prefixRoot }).status === "ok")
    throw splitViewError(splitView(smaller.note, larger.note, prefixRoot, proof));
  throw new CountersignError("PROOF_INVALID", {
    message: `The log's tiles show no consistency between its sizes ${smaller.size} and ${larger.size}.`,
    why: "They do not fit the larger checkpoint either, so they prove nothing against the log.",
  });
}
