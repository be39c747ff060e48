import { CountersignError, type Signer } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import {
  type FetchTile,
  type LogReader,
  openCheckpoint,
  openReader,
  requireConsistent,
  type SignedCheckpoint,
  type SplitView,
  type VerifierKey,
} from "@countersign/log";
import { nativeSha256 } from "@countersign/log/write";
import type { Mirror } from "./mirror.ts";
import { type Snapshots, takeSnapshot } from "./snapshots.ts";
import type { Tally } from "./tally.ts";

/** What the auditor knows of the log. */
export type Followed = {
  /** The newest snapshot, none before the first look that succeeded. */
  readonly snapshots: () => Snapshots | undefined;
  /** The checkpoint that the log showed last, and whether it was older than what is known. */
  readonly shown: () => { readonly size: number; readonly behind: boolean } | undefined;
  /** Milliseconds of the last look that succeeded. */
  readonly lookedAt: () => number | undefined;
  /**
   * Looks at the log once: takes what is new, compares it with all that is known, signs the snapshot.
   *
   * @throws LOG_SPLIT_VIEW with evidence; PROOF_INVALID, CHECKPOINT_SIGNATURE_INVALID and others when the log serves
   * what proves nothing: then nothing is taken.
   */
  readonly look: () => Promise<void>;
};

/** Follows a log into a mirror and a tally that already agree with each other. */
export function follow(args: {
  readonly log: VerifierKey;
  readonly fetchTile: FetchTile;
  readonly mirror: Mirror;
  readonly tally: Tally;
  readonly monitor: Signer;
  /** The note that this auditor cosigned last: the witness must not be shown another log than the monitor. */
  readonly cosigned: () => Promise<string | undefined>;
  readonly now: () => number;
}): Followed {
  const { log, mirror, tally, monitor, now } = args;
  const source = { log, fetchTile: args.fetchTile, suite: nodeSuite, hash: nativeSha256 };
  const reader = openReader(source);
  const own = (): LogReader => {
    // Laid out only when a proof is really needed: comparing two roots of one size needs none.
    let tiles: FetchTile | undefined;
    const fetchTile: FetchTile = (path) => {
      tiles ??= mirror.tiles();
      return tiles(path);
    };
    return openReader({ ...source, fetchTile });
  };
  let compared: string | undefined;
  let shown: { readonly size: number; readonly behind: boolean } | undefined;
  let lookedAt: number | undefined;
  const known = mirror.note();
  let snapshots = known === undefined ? undefined : snap(openCheckpoint(known, source), undefined);

  function snap(checkpoint: SignedCheckpoint, before: Snapshots | undefined): Snapshots {
    return takeSnapshot({ tally, checkpoint, monitor, time: now(), before });
  }

  async function compare(checkpoint: SignedCheckpoint, old: SignedCheckpoint | undefined): Promise<void> {
    if (old === undefined) return;
    // Against an older state the auditor's own copy decides: a log that went back no longer serves the newer tiles.
    if (checkpoint.size < old.size) await requireConsistent(own(), checkpoint, old);
    else await requireConsistent(reader, old, checkpoint);
  }

  async function extend(checkpoint: SignedCheckpoint): Promise<void> {
    const entries: Uint8Array[] = [];
    for await (const { entry } of reader.entries(checkpoint, mirror.size(), checkpoint.size)) entries.push(entry);
    mirror.extend(entries, checkpoint);
    for (const entry of entries) tally.add(entry);
    snapshots = snap(checkpoint, snapshots);
  }

  /** The witness's side of the log against the monitor's: both must be states of one history. */
  async function compareCosigned(): Promise<void> {
    const note = await args.cosigned();
    const latest = snapshots?.checkpoint;
    if (note === undefined || latest === undefined || note === compared) return;
    const cosigned = openCheckpoint(note, source);
    if (cosigned.size <= latest.size) {
      await requireConsistent(own(), cosigned, latest);
      // The log has grown past it consistently, and will be held to that from now on.
      compared = note;
      return;
    }
    // Not published yet: its tiles may not be there, which is no fault.
    await requireConsistent(reader, latest, cosigned).catch((error: unknown) => {
      if (CountersignError.is(error, "LOG_SPLIT_VIEW")) throw error;
    });
  }

  async function look(): Promise<void> {
    const checkpoint = await reader.checkpoint();
    const old = snapshots?.checkpoint;
    await compare(checkpoint, old);
    const behind = old !== undefined && checkpoint.size < old.size;
    if (old === undefined || checkpoint.size > old.size) await extend(checkpoint);
    else if (!behind && checkpoint.note !== old.note) mirror.extend([], checkpoint);
    await compareCosigned();
    shown = { size: checkpoint.size, behind };
    lookedAt = now();
    // Seen again at the same size: the search reaches to now. An older state says nothing about now.
    if (!behind) snapshots = snapshots?.renew(lookedAt);
  }

  return { snapshots: () => snapshots, shown: () => shown, lookedAt: () => lookedAt, look };
}

/** The evidence in an error, if it is a split view. */
export function splitViewOf(error: unknown): SplitView | undefined {
  return CountersignError.is(error, "LOG_SPLIT_VIEW") ? (error.detail.facts as unknown as SplitView) : undefined;
}
