import { mkdirSync } from "node:fs";
import { CountersignError, equalBytes } from "@countersign/core";
import { openCheckpoint } from "../client.ts";
import { proveConsistency } from "../consistency.ts";
import { checkInclusion, proveInclusion } from "../inclusion.ts";
import { formatTlogProof } from "../proof.ts";
import { requireEntrySize } from "../tile.ts";
import { readFromTiles } from "../tile-reader.ts";
import { type Frontier, hashLeaf } from "../tree.ts";
import { type VerifierKey, verifierKey } from "../vkey.ts";
import { readDirectory } from "./directory.ts";
import { lockDirectory } from "./lock.ts";
import { nativeSha256 } from "./native-hash.ts";
import type { Appended, Head, LogWriter, OpenLogOptions } from "./options.ts";
import { cacheNodes, cacheTiles } from "./proof-cache.ts";
import { publishHead, readHead, signHead } from "./publisher.ts";
import { nameOfHash, Recent } from "./recent.ts";
import { shuffle, systemRandom } from "./shuffle.ts";
import { TreeFiles } from "./tree-files.ts";
import { Wal } from "./wal.ts";

const maxBatchEntries = 8192;
const maxBatchBytes = 4 << 20;

type Pending = {
  readonly entry: Buffer;
  readonly leaf: Uint8Array;
  readonly name: string;
  readonly resolve: (value: Appended) => void;
  readonly reject: (error: unknown) => void;
};
/** A durable commit that no published checkpoint covers yet. */
type Round = { readonly upTo: number; readonly published: PromiseWithResolvers<Head> };

/**
 * Opens a log for writing: replays its WAL, rebuilds the root and goes on from there.
 *
 * @throws CountersignError LOG_LOCKED while another writer has it, LOG_CORRUPT when its files contradict its checkpoint.
 * @example
 * const log = await openLog({ dir: "log", origin: "log.example/receipts", signer, suite: nodeSuite });
 * const { index, integrated } = await log.append(entry); // durable
 * await integrated; // published
 * const proof = await log.proof(index);
 */
export async function openLog(options: OpenLogOptions): Promise<LogWriter> {
  const key = verifierKey(options.origin, "note", options.signer.publicKey);
  mkdirSync(options.dir, { recursive: true });
  const unlock = lockDirectory(options.dir);
  try {
    const sequencer = Sequencer.recover(options, key, readHead(options.dir, key, options.suite), unlock);
    await sequencer.publishNow();
    return sequencer.writer();
  } catch (error) {
    unlock();
    throw error;
  }
}

class Sequencer {
  private readonly options: OpenLogOptions;
  private readonly key: VerifierKey;
  private readonly wal: Wal;
  private readonly files: TreeFiles;
  private readonly unlock: () => void;
  private readonly recent: Recent<number | Promise<Appended>>;
  private readonly listeners = new Set<(head: Head) => void>();
  private readonly fetchTile: ReturnType<typeof readDirectory>;
  private readonly tiles: ReturnType<typeof readDirectory>;
  private readonly nodes = cacheNodes(65_536);
  private readonly random: () => number;
  private published: Head | undefined;
  /** Entries that the disk has. */
  private durable: number;
  private pending: Pending[] = [];
  private unabsorbed: Pending[] = [];
  private rounds: Round[] = [];
  private writing: Promise<void> | undefined;
  private publishing: Promise<void> | undefined;
  private cleaning: Promise<void> = Promise.resolve();
  private dropOlderAt: number | undefined;
  private wake: (() => void) | undefined;
  private closing = false;
  private failure: unknown;

  /** Replays the WAL; nothing is written before the rebuilt root was compared with the last checkpoint. */
  static recover(
    options: OpenLogOptions,
    key: VerifierKey,
    published: Head | undefined,
    unlock: () => void,
  ): Sequencer {
    const { wal, start, entries } = Wal.open(options.dir);
    try {
      const leaves = entries.map((entry) => hashLeaf(entry, nativeSha256));
      requireAgreement(options.dir, start, leaves, published);
      wal.trim();
      const files = new TreeFiles(options.dir, start);
      for (const [i, entry] of entries.entries()) files.push(entry, leaves[i] as Uint8Array);
      files.finishRepair();
      return new Sequencer(options, key, published, unlock, wal, files, leaves);
    } catch (error) {
      wal.close();
      throw error;
    }
  }

  private constructor(
    options: OpenLogOptions,
    key: VerifierKey,
    published: Head | undefined,
    unlock: () => void,
    wal: Wal,
    files: TreeFiles,
    leaves: readonly Uint8Array[],
  ) {
    this.options = options;
    this.key = key;
    this.published = published;
    this.unlock = unlock;
    this.wal = wal;
    this.files = files;
    this.durable = files.size;
    this.fetchTile = readDirectory(options.dir);
    this.tiles = cacheTiles(this.fetchTile, 256);
    this.random = options.random ?? systemRandom();
    const limit = options.remember ?? 65_536;
    this.recent = new Recent(limit);
    const start = files.size - leaves.length;
    const latest = [...files.leavesBefore(start, limit - leaves.length), ...leaves].slice(-limit || leaves.length);
    for (const [i, leaf] of latest.entries()) this.recent.set(nameOfHash(leaf), files.size - latest.length + i);
    if (this.durable > (published?.size ?? -1)) this.newRound();
    if (wal.hasOlder) this.dropOlderAt = files.size;
  }

  writer(): LogWriter {
    return {
      key: this.key,
      append: (entry) => this.append(entry),
      checkpoint: () => this.head().note,
      head: () => this.head(),
      proof: (index) => this.proof(index),
      onCheckpoint: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
      fetchTile: this.fetchTile,
      close: () => this.close(),
    };
  }

  private head(): Head {
    if (this.published) return this.published;
    throw new CountersignError("NOT_READY", { message: "The log has not published a checkpoint yet." });
  }

  private append(entry: Uint8Array): Promise<Appended> {
    if (this.failure !== undefined || this.closing) return Promise.reject(refusal(this.failure));
    let leaf: Uint8Array;
    try {
      requireEntrySize(entry);
      leaf = hashLeaf(entry, nativeSha256);
    } catch (error) {
      return Promise.reject(error);
    }
    const name = nameOfHash(leaf);
    const known = this.recent.get(name);
    if (known !== undefined) return typeof known === "number" ? Promise.resolve(this.appended(known, leaf)) : known;
    const promise = new Promise<Appended>((resolve, reject) => {
      // The caller may reuse its buffer: the bytes that were hashed are the bytes that are logged.
      this.pending.push({ entry: Buffer.from(entry), leaf, name, resolve, reject });
    });
    this.recent.set(name, promise);
    // One turn of the microtask queue gathers what callers append together into one commit.
    this.writing ??= Promise.resolve().then(() => this.writeAll());
    return promise;
  }

  private appended(index: number, leafHash: Uint8Array): Appended {
    const round = this.rounds.find(({ upTo }) => index < upTo);
    return { index, leafHash, integrated: round ? round.published.promise : Promise.resolve(this.head()) };
  }

  private newRound(): Round {
    const published = Promise.withResolvers<Head>();
    // A caller who does not wait for publication must not be killed by its failure.
    published.promise.catch(() => {});
    const round = { upTo: this.durable, published };
    this.rounds.push(round);
    return round;
  }

  private async writeAll(): Promise<void> {
    try {
      while (this.pending.length > 0) {
        if (this.wal.bytes >= (this.options.segmentBytes ?? 64 << 20)) this.rotate();
        await this.writeBatch(this.takeBatch());
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.writing = undefined;
    }
  }

  private takeBatch(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { entry } of this.pending) {
      bytes += entry.length + 2;
      if (count > 0 && (bytes > maxBatchBytes || count >= maxBatchEntries)) break;
      count += 1;
    }
    const batch = this.pending.splice(0, count);
    return this.options.order === "arrival" ? batch : shuffle(batch, this.random);
  }

  private async writeBatch(batch: Pending[]): Promise<void> {
    const payload = Buffer.allocUnsafe(batch.reduce((sum, { entry }) => sum + entry.length + 2, 0));
    let at = 0;
    for (const { entry } of batch) {
      at = payload.writeUInt16BE(entry.length, at);
      at += entry.copy(payload, at);
    }
    const start = this.durable;
    try {
      await this.wal.append({ start, count: batch.length, payload });
    } catch (error) {
      for (const { reject } of batch) reject(refusal(error));
      throw error;
    }
    this.durable += batch.length;
    const { published } = this.newRound();
    for (const [i, item] of batch.entries()) {
      this.unabsorbed.push(item);
      this.recent.replace(item.name, start + i);
      item.resolve({ index: start + i, leafHash: item.leaf, integrated: published.promise });
    }
    this.publishing ??= this.publishAll();
  }

  /** Brings the tree up to what the disk has. */
  private absorb(): void {
    const entries = this.unabsorbed;
    this.unabsorbed = [];
    for (const { entry, leaf } of entries) this.files.push(entry, leaf);
  }

  private rotate(): void {
    this.absorb();
    const { carried } = this.files;
    this.wal.rotate(this.files.size - carried.length, carried);
    if (this.wal.hasOlder) this.dropOlderAt = this.files.size;
  }

  private async publishAll(): Promise<void> {
    try {
      while (this.durable > (this.published?.size ?? -1) && this.failure === undefined) {
        // Callers who were just acknowledged go first; their next entries can be on the way to the disk meanwhile.
        if (!this.closing) await new Promise<void>((resolve) => setImmediate(resolve));
        const done = await this.publishOnce();
        if (this.closing && !done) return;
        if (!this.closing) await this.pause(done ? (this.options.flushEvery ?? 25) : 1000);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.publishing = undefined;
    }
  }

  /** Publishes the state after recovery, when it is a new one. */
  async publishNow(): Promise<void> {
    const first = this.published === undefined;
    if (this.durable > (this.published?.size ?? -1) && (first || !this.options.cosign)) await this.publishOnce();
    // Witnesses that do not answer keep a log from publishing, not from opening.
    if (this.durable > (this.published?.size ?? -1)) this.publishing ??= this.publishAll();
    this.startCleaning();
  }

  private async publishOnce(): Promise<boolean> {
    this.absorb();
    this.files.writePartials();
    const signed = signHead(this.options, this.files.size, this.files.frontier.root(), this.published);
    let note = signed.note;
    if (this.options.cosign) {
      try {
        note = await this.options.cosign(signed.note, (old) => this.proveFrom(old, signed.size));
        const { root } = openCheckpoint(note, { log: this.key, suite: this.options.suite });
        if (!equalBytes(root, signed.root))
          throw new CountersignError("ROOT_MISMATCH", { message: "Another checkpoint was cosigned." });
      } catch (error) {
        this.options.onFault?.(error);
        return false;
      }
    }
    const head: Head = { ...signed, note };
    await publishHead(this.options.dir, head);
    this.published = head;
    this.files.dropPartials();
    while (this.rounds[0] && this.rounds[0].upTo <= head.size) this.rounds.shift()?.published.resolve(head);
    for (const listener of this.listeners) listener(head);
    this.startCleaning();
    return true;
  }

  /** Drops WAL segments once a checkpoint covers them and the disk has every full tile made of them. */
  private startCleaning(): void {
    if (this.dropOlderAt === undefined || (this.published?.size ?? 0) < this.dropOlderAt) return;
    this.dropOlderAt = undefined;
    this.cleaning = this.cleaning
      .then(() => this.files.sync())
      .then(() => {
        // A rotation meanwhile made a newer segment old, whose tiles this sync did not cover.
        if (this.dropOlderAt === undefined) this.wal.dropOlder();
      })
      .catch((error: unknown) => this.fail(error));
  }

  private proveFrom(old: number, size: number): Promise<readonly Uint8Array[]> {
    return proveConsistency(old, size, readFromTiles(this.fetchTile, size, { hash: nativeSha256 }), nativeSha256);
  }

  private async proof(index: number): Promise<string> {
    const { size, root, note } = this.head();
    const read = this.nodes(readFromTiles(this.tiles, size, { hash: nativeSha256 }));
    const path = await proveInclusion(index, size, read, nativeSha256);
    const [leaf] = await read([{ level: 0, index }]);
    const check = checkInclusion({ index, size, leaf: leaf as Uint8Array, proof: path, root, hash: nativeSha256 });
    if (check.status !== "ok")
      throw new CountersignError("LOG_CORRUPT", { message: "The log's tiles do not lead to its own root." });
    return formatTlogProof({ index, path, checkpoint: note });
  }

  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    for (const { reject, name } of this.pending.splice(0)) {
      this.recent.delete(name);
      reject(refusal(this.failure));
    }
    for (const { published } of this.rounds.splice(0)) published.reject(refusal(this.failure));
    this.options.onFault?.(error);
  }

  private async close(): Promise<void> {
    if (this.closing) return;
    this.closing = true;
    await this.writing;
    this.wake?.();
    await this.publishing;
    await this.cleaning;
    for (const { published } of this.rounds.splice(0)) published.reject(refusal(undefined));
    this.wal.close();
    this.unlock();
  }
}

function requireAgreement(
  dir: string,
  start: number,
  leaves: readonly Uint8Array[],
  published: Head | undefined,
): void {
  const corrupt = (message: string) =>
    new CountersignError("LOG_CORRUPT", {
      message,
      why: "Signing on would show two histories.",
      remedy: "Restore the directory from a copy, or retire this log's key.",
    });
  const size = published?.size ?? 0;
  if (size < start)
    throw corrupt(`The checkpoint in ${dir} is older than the entries that its write-ahead log begins with.`);
  if (size > start + leaves.length)
    throw corrupt(`The checkpoint in ${dir} covers entries that its write-ahead log lacks.`);
  if (published === undefined) return;
  const frontier: Frontier = new TreeFiles(dir, start).frontier;
  for (const leaf of leaves.slice(0, size - start)) frontier.push(leaf);
  if (!equalBytes(frontier.root(), published.root))
    throw corrupt(`The entries in ${dir} do not have the checkpoint's root.`);
}

const refusal = (cause: unknown) =>
  new CountersignError("LOG_WRITE_FAILED", {
    message: cause === undefined ? "The log is closed." : "The log could not write to its disk.",
    why: "What the disk holds after a failed write is unknown; nothing more is acknowledged.",
    remedy: "Open the log again: it replays what it acknowledged.",
    cause,
  });
