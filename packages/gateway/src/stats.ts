import { decodeEntry, type Entry, entrySize, type Hex, levelBits, toHex } from "@countersign/core";
import { decodeBundle, tilePath, tileWidth } from "@countersign/log";
import type { LogWriter } from "@countersign/log/write";
import { sizeOf } from "./log.ts";

/** An entry as the explorer's feed shows it. */
export type FeedItem = { readonly index: number; readonly entry: Entry; readonly bytes: Hex };

/** Reads published entries `[from, from + count)`; what is not there is left out. */
export async function readEntries(writer: LogWriter, from: number, count: number): Promise<readonly FeedItem[]> {
  const to = Math.min(from + count, sizeOf(writer));
  const items: FeedItem[] = [];
  for (let bundle = Math.floor(from / tileWidth); bundle * tileWidth < to; bundle++) {
    const first = bundle * tileWidth;
    const width = Math.min(tileWidth, sizeOf(writer) - first);
    const entries = decodeBundle(await writer.fetchTile(tilePath({ level: "entries", index: bundle, width })), width);
    for (let i = Math.max(from, first); i < Math.min(to, first + width); i++) {
      const bytes = entries[i - first] as Uint8Array;
      if (bytes.length !== entrySize) continue;
      items.push({ index: i, entry: decodeEntry(bytes), bytes: toHex(bytes) });
    }
  }
  return items;
}

type Series = { demanded: Record<string, number>; bought: Record<string, number>; delivered: Record<string, number> };

/** Recounted distribution of levels: masks → counts, as anybody can recount it from the log. */
export type Stats = {
  readonly size: number;
  readonly receipts: number;
  readonly synthetic: number;
  readonly development: number;
  readonly aborted: number;
  readonly unmet: number;
  readonly origin: number;
  readonly claimed: Series;
  readonly bits: typeof levelBits;
};

/** Counts the log's receipt entries as they come; synthetic ones are counted apart and nowhere else. */
export function openStats(writer: LogWriter): { readonly read: () => Promise<Stats> } {
  let counted = 0;
  let busy: Promise<void> = Promise.resolve();
  const sums = { receipts: 0, synthetic: 0, development: 0, aborted: 0, unmet: 0, origin: 0 };
  const claimed: Series = { demanded: {}, bought: {}, delivered: {} };
  const add = (series: Record<string, number>, mask: number) => {
    series[mask] = (series[mask] ?? 0) + 1;
  };
  const count = ({ entry }: FeedItem) => {
    if (entry.kind !== "receipt") return;
    if (entry.flags.includes("synthetic")) {
      sums.synthetic++;
      return;
    }
    sums.receipts++;
    for (const flag of ["development", "aborted", "unmet", "origin"] as const)
      if (entry.flags.includes(flag)) sums[flag]++;
    // Several masks mean OR: the weakest of them is what the caller was content with.
    add(claimed.demanded, Math.min(...entry.demanded));
    add(claimed.bought, entry.bought);
    // Being in the published log is the log's part; its bit is delivered by being read here.
    add(claimed.delivered, entry.delivered | (entry.bought & levelBits.log));
  };
  const catchUp = async () => {
    for (let size = sizeOf(writer); counted < size; size = sizeOf(writer)) {
      const step = Math.min(8192, size - counted);
      for (const item of await readEntries(writer, counted, step)) count(item);
      counted += step;
    }
  };
  return {
    read: async () => {
      busy = busy.then(catchUp);
      await busy;
      return { size: counted, ...sums, claimed, bits: levelBits };
    },
  };
}
