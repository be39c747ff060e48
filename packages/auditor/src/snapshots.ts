import { type Envelope, fromHex, type Hex, type Signer, signSnapshot, toBase64Url, toHex } from "@countersign/core";
import { buildSortedSet, encodeSetProof, type SignedCheckpoint, type SortedSet } from "@countersign/log";
import { nativeSha256 } from "@countersign/log/write";
import type { Tally } from "./tally.ts";

const names = ["refuted", "revoked", "evidence", "deploymentHeads"] as const;
/** The sorted sets of a tally. */
type SnapshotSets = Readonly<Record<(typeof names)[number], SortedSet>>;

/** The four sets of one checkpoint, and the word for them. */
export type Snapshots = {
  readonly checkpoint: SignedCheckpoint;
  readonly sets: SnapshotSets;
  /** The snapshot, signed for the time at which the log was last seen to stand there. */
  readonly envelope: Envelope;
  /** Proofs about a receipt and keys, each base64url of a set proof's bytes (spec/log.md §8.3). */
  readonly prove: (receiptRoot: Hex, keys: readonly Hex[]) => SnapshotProofs;
  /** The same sets, signed for a later time. */
  readonly renew: (time: number) => Snapshots;
};

export type SnapshotProofs = {
  readonly refuted: string;
  readonly revoked: readonly string[];
  readonly evidence: string;
};
export type SnapshotLists = {
  readonly refuted: readonly Hex[];
  readonly revoked: readonly Hex[];
  readonly evidence: readonly (readonly [Hex, Hex])[];
  readonly deploymentHeads: readonly (readonly [Hex, Hex])[];
};

function buildSets(tally: Tally, before: SnapshotSets | undefined): SnapshotSets {
  const keys = (set: ReadonlySet<Hex>) => buildSortedSet({ keys: [...set].map(fromHex) }, nativeSha256);
  const map = (entries: ReadonlyMap<Hex, Hex>) =>
    buildSortedSet({ entries: [...entries].map(([k, v]) => [fromHex(k), fromHex(v)] as const) }, nativeSha256);
  // A set only grows, so the same size is the same set; a map's values change under the same keys.
  const unchanged = (name: "refuted" | "revoked") =>
    before?.[name].size === tally[name].size ? before[name] : undefined;
  return {
    refuted: unchanged("refuted") ?? keys(tally.refuted),
    revoked: unchanged("revoked") ?? keys(tally.revoked),
    evidence: map(tally.evidence),
    deploymentHeads: map(tally.deploymentHeads),
  };
}

/** Builds and signs the snapshot of a checkpoint whose entries the tally has, all of them and no more. */
export function takeSnapshot(args: {
  readonly tally: Tally;
  readonly checkpoint: SignedCheckpoint;
  /** Never the witness's key: one key, one kind of statement. */
  readonly monitor: Signer;
  readonly time: number;
  readonly before?: Snapshots | undefined;
}): Snapshots {
  const { tally, checkpoint, monitor, time, before } = args;
  return sign(buildSets(tally, before?.sets), checkpoint, monitor, time);
}

const byKey = (a: readonly [Hex, Hex], b: readonly [Hex, Hex]) => (a[0] < b[0] ? -1 : 1);

/** The lists behind the roots: whoever rebuilds them finds a monitor that lied about the order (spec/log.md §8.2). */
export function listSets(tally: Tally): SnapshotLists {
  return {
    refuted: [...tally.refuted].sort(),
    revoked: [...tally.revoked].sort(),
    evidence: [...tally.evidence].sort(byKey),
    deploymentHeads: [...tally.deploymentHeads].sort(byKey),
  };
}

function sign(sets: SnapshotSets, checkpoint: SignedCheckpoint, monitor: Signer, time: number): Snapshots {
  const { origin, size, root } = checkpoint;
  const head = (set: SortedSet) => ({ size: set.size, root: toHex(set.root) });
  const proof = (set: SortedSet, key: Hex) => toBase64Url(encodeSetProof(set.prove(fromHex(key))));
  return {
    checkpoint,
    sets,
    envelope: signSnapshot(
      toHex(root),
      {
        suite: "countersign/snapshot/v1",
        monitor: toHex(monitor.publicKey),
        origin,
        size,
        time,
        refuted: head(sets.refuted),
        revoked: head(sets.revoked),
        evidence: head(sets.evidence),
        deploymentHeads: head(sets.deploymentHeads),
      },
      monitor,
    ),
    prove: (receiptRoot, keys) => ({
      refuted: proof(sets.refuted, receiptRoot),
      revoked: keys.map((key) => proof(sets.revoked, key)),
      evidence: proof(sets.evidence, receiptRoot),
    }),
    renew: (later) => sign(sets, checkpoint, monitor, later),
  };
}
