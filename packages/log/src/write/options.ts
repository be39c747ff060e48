import type { Signer, Suite } from "@countersign/core";
import type { FetchTile } from "../tile-reader.ts";
import type { VerifierKey } from "../vkey.ts";

/** How to open a log for writing. */
export type OpenLogOptions = {
  /** The log's directory; made when it is not there. */
  readonly dir: string;
  /** First line of every checkpoint and name of the key: a URL without scheme, as `log.example/receipts`. */
  readonly origin: string;
  readonly signer: Signer;
  /** Checks the directory's own checkpoint at the start. */
  readonly suite: Suite;
  /** Milliseconds between two checkpoints under load, 25 by default; the first one after a rest comes at once. */
  readonly flushEvery?: number;
  /** `shuffled` by default: entries of one commit are put in random order, so that order tells less about who came when. */
  readonly order?: "shuffled" | "arrival";
  /** How many of the latest entries are remembered at least, so that the same bytes get the same index: 65,536 by default, 0 for none. */
  readonly remember?: number;
  /** Size at which a new WAL segment begins, 64 MiB by default. */
  readonly segmentBytes?: number;
  /**
   * Adds witnesses' cosignatures before a checkpoint is published; `prove` makes the consistency proof from an older size.
   *
   * When it rejects, the checkpoint stays unpublished and the next round tries again with a newer one.
   */
  readonly cosign?: (note: string, prove: (old: number) => Promise<readonly Uint8Array[]>) => Promise<string>;
  /** Hears why a checkpoint was not published. */
  readonly onFault?: (error: unknown) => void;
  /** Random numbers in [0, 1) for the order of entries; the system's by default. */
  readonly random?: () => number;
};

/** A published state of the log. */
export type Head = { readonly size: number; readonly root: Uint8Array; readonly note: string };

/** An entry that the disk has. */
export type Appended = {
  readonly index: number;
  readonly leafHash: Uint8Array;
  /** The first published checkpoint that covers the entry; rejects when the log fails or closes before. */
  readonly integrated: Promise<Head>;
};

/** A log that is open for writing; one at a time per directory. */
export type LogWriter = {
  readonly key: VerifierKey;
  /**
   * Appends an entry of up to 65,535 bytes; resolves as soon as the disk has it.
   *
   * Of two entries the second has the higher index when it was appended after the first was acknowledged.
   *
   * @throws CountersignError LOG_ENTRY_TOO_LARGE, LOG_WRITE_FAILED
   */
  readonly append: (entry: Uint8Array) => Promise<Appended>;
  /** The published checkpoint, a signed note. */
  readonly checkpoint: () => string;
  /** The published state. */
  readonly head: () => Head;
  /** Proof of inclusion in the published checkpoint, as tlog-proof text. @throws CountersignError PROOF_INVALID for an index that it does not cover. */
  readonly proof: (index: number) => Promise<string>;
  /** Calls `listener` after each publication; returns what stops it. */
  readonly onCheckpoint: (listener: (head: Head) => void) => () => void;
  /** The log's public files. */
  readonly fetchTile: FetchTile;
  /** Publishes what was acknowledged, if it can, and gives the directory back. */
  readonly close: () => Promise<void>;
};
