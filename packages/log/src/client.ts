import { CountersignError, fromUtf8, type Suite, sha256 } from "@countersign/core";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { checkConsistency, proveConsistency } from "./consistency.ts";
import { checkInclusion, proveInclusion } from "./inclusion.ts";
import { checkNote, parseNote, type SignedBy } from "./note.ts";
import { evaluateQuorum, type WitnessPolicy } from "./policy.ts";
import { decodeBundle, tileAt, tilePath, tileWidth } from "./tile.ts";
import { type FetchTile, readFromTiles } from "./tile-reader.ts";
import { hashLeaf, type Sha256 } from "./tree.ts";
import type { VerifierKey } from "./vkey.ts";

/** A checkpoint whose signatures were checked, and the note it came in. */
export type SignedCheckpoint = Checkpoint & { readonly note: string; readonly signedBy: readonly SignedBy[] };

/** Where to read a log and whom to believe about it. */
export type LogSource = {
  readonly fetchTile: FetchTile;
  readonly log: VerifierKey;
  /** Without it the log's own signature is all that is asked for. */
  readonly witnesses?: WitnessPolicy;
  readonly suite: Suite;
  readonly hash?: Sha256;
};

/** Reads a log whose files may lie: everything returned was checked against a signed root. */
export type LogReader = {
  readonly source: LogSource;
  /** The published checkpoint, its signatures checked. */
  readonly checkpoint: () => Promise<SignedCheckpoint>;
  /** Entries `from` (inclusive) up to `to` (exclusive), bundle by bundle, each bundle checked against the root. */
  readonly entries: (
    checkpoint: Checkpoint,
    from: number,
    to: number,
  ) => AsyncGenerator<{ readonly index: number; readonly entry: Uint8Array }, void, undefined>;
  /** Inclusion proof of the leaf hash `leaf` at `index`, checked. @throws CountersignError PROOF_INVALID when it is not there. */
  readonly inclusion: (checkpoint: Checkpoint, index: number, leaf: Uint8Array) => Promise<readonly Uint8Array[]>;
  /** Consistency proof between two checkpoints, checked. @throws CountersignError PROOF_INVALID when there is none. */
  readonly consistency: (old: Checkpoint, now: Checkpoint) => Promise<readonly Uint8Array[]>;
};

/** Checks a note as a checkpoint of this source. @throws CountersignError with the code of the check that failed. */
export function openCheckpoint(text: string, source: Omit<LogSource, "fetchTile">): SignedCheckpoint {
  const note = parseNote(text);
  const checkpoint = parseCheckpoint(note.text);
  const no = (code: "CHECKPOINT_SIGNATURE_INVALID" | "CHECKPOINT_NOT_WITNESSED", message: string) =>
    new CountersignError(code, { message });
  if (source.log.use !== "note" || checkpoint.origin !== source.log.name)
    throw no("CHECKPOINT_SIGNATURE_INVALID", `The checkpoint is of ${checkpoint.origin}, not of ${source.log.name}.`);
  const keys = [source.log, ...(source.witnesses?.witnesses.map(({ key }) => key) ?? [])];
  const signed = checkNote({ note, keys, suite: source.suite });
  if (signed.status === "failed") throw new CountersignError(signed.code, { message: signed.reason });
  if (!signed.signedBy.some(({ key }) => key === source.log))
    throw no("CHECKPOINT_SIGNATURE_INVALID", "The log itself did not sign the checkpoint.");
  if (source.witnesses) {
    const quorum = evaluateQuorum(source.witnesses.quorum, signed.signedBy);
    if (quorum.status === "missing") throw no("CHECKPOINT_NOT_WITNESSED", quorum.reason);
  }
  return { ...checkpoint, note: text, signedBy: signed.signedBy };
}

/** A reader of the log at `source`. */
export function openReader(source: LogSource): LogReader {
  const hash = source.hash ?? sha256;
  const { fetchTile } = source;
  return {
    source,
    async checkpoint() {
      const bytes = await fetchTile("checkpoint");
      let text: string;
      try {
        text = fromUtf8(bytes);
      } catch (cause) {
        throw new CountersignError("NOTE_MALFORMED", { message: "The checkpoint is not UTF-8.", cause });
      }
      return openCheckpoint(text, source);
    },
    async *entries(checkpoint, from, to) {
      const { size } = checkpoint;
      if (!(from >= 0 && from <= to && to <= size))
        throw new CountersignError("PROOF_INVALID", { message: `A log of ${size} has no entries ${from} to ${to}.` });
      for (let bundle = Math.floor(from / tileWidth); bundle * tileWidth < to; bundle++) {
        const first = bundle * tileWidth;
        const entries = await readBundle(source, checkpoint, bundle, hash);
        for (let i = Math.max(from, first); i < Math.min(to, first + entries.length); i++)
          yield { index: i, entry: entries[i - first] as Uint8Array };
      }
    },
    async inclusion({ size, root }, index, leaf) {
      const proof = await proveInclusion(index, size, readFromTiles(fetchTile, size, { hash }), hash);
      requireOk(checkInclusion({ index, size, leaf, proof, root, hash }));
      return proof;
    },
    async consistency(old, now) {
      const proof = await proveConsistency(old.size, now.size, readFromTiles(fetchTile, now.size, { hash }), hash);
      requireOk(checkConsistency({ old: old.size, oldRoot: old.root, size: now.size, root: now.root, proof, hash }));
      return proof;
    },
  };
}

/** A bundle whose every entry is under the root: the proof of its first leaf is made from all the others' hashes. */
async function readBundle(
  { fetchTile }: LogSource,
  { size, root }: Checkpoint,
  bundle: number,
  hash: Sha256,
): Promise<readonly Uint8Array[]> {
  const address = tileAt("entries", bundle, size);
  if (address === undefined)
    throw new CountersignError("PROOF_INVALID", { message: `A log of ${size} has no bundle ${bundle}.` });
  const entries = await fetchBundle(fetchTile, bundle, address.width);
  const leaves = entries.map((entry) => hashLeaf(entry, hash));
  const index = bundle * tileWidth;
  const read = readFromTiles(fetchTile, size, { hash, leaves: new Map([[bundle, leaves]]) });
  const proof = await proveInclusion(index, size, read, hash);
  requireOk(checkInclusion({ index, size, leaf: leaves[0] as Uint8Array, proof, root, hash }));
  return entries;
}

async function fetchBundle(fetchTile: FetchTile, index: number, width: number): Promise<readonly Uint8Array[]> {
  const path = (w: number) => tilePath({ level: "entries", index, width: w });
  try {
    return decodeBundle(await fetchTile(path(width)), width);
  } catch (error) {
    if (width === tileWidth) throw error;
    // C2SP tlog-tiles lets a log drop a partial bundle once the full one is there.
    const full = await fetchTile(path(tileWidth)).then(
      (bytes) => decodeBundle(bytes, tileWidth),
      () => Promise.reject(error),
    );
    return full.slice(0, width);
  }
}

function requireOk(check: ReturnType<typeof checkInclusion>): void {
  if (check.status === "ok") return;
  throw new CountersignError(check.status === "failed" ? check.code : "PROOF_INVALID", {
    message: check.reason,
    why: "What the log serves does not fit its signed checkpoint.",
  });
}
