import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Deps } from "./deps.ts";
import { sizeOf } from "./log.ts";
import { type Progress, readReceiptNow } from "./receipt-store.ts";
import { readEntries } from "./stats.ts";

/** Waits until the log publishes, the reader leaves, or a while has passed. */
function nextCheckpoint(deps: Pick<Deps, "log">, signal: AbortSignal, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const stop = deps.log.writer.onCheckpoint(done);
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

/** New entries of the log as events, from `from` or from now. */
export function streamEntries(c: Context, deps: Pick<Deps, "log">, from: number | undefined): Response {
  return streamSSE(c, async (stream) => {
    const left = new AbortController();
    stream.onAbort(() => left.abort());
    let at = from ?? sizeOf(deps.log.writer);
    while (!left.signal.aborted) {
      for (const { index, entry } of await readEntries(deps.log.writer, at, 256)) {
        at = index + 1;
        await stream.writeSSE({ id: String(index), event: "entry", data: JSON.stringify({ index, ...entry }) });
      }
      if (at < sizeOf(deps.log.writer)) continue;
      await nextCheckpoint(deps, left.signal, 15_000);
      if (at >= sizeOf(deps.log.writer)) await stream.write(": nothing new\n\n");
    }
  });
}

/** How far a receipt has come, as events; ends when nothing more is expected. */
export function streamProgress(c: Context, deps: Deps, receiptId: string): Response {
  return streamSSE(c, async (stream) => {
    const left = new AbortController();
    stream.onAbort(() => left.abort());
    let before = "";
    const last = performance.now() + 60_000;
    while (!left.signal.aborted && performance.now() < last) {
      const { receipt } = await readReceiptNow(deps, receiptId);
      const progress: Progress = {
        logged: true,
        witnessed: deps.log.witnesses > 0 && receipt.inclusion.length > 0,
        searched: receipt.snapshots.length > 0,
      };
      const text = JSON.stringify(progress);
      if (text !== before) await stream.writeSSE({ event: "progress", data: text });
      before = text;
      if (progress.witnessed && (progress.searched || deps.monitors.urls.length === 0)) break;
      await nextCheckpoint(deps, left.signal, 1000);
    }
    await stream.writeSSE({ event: "end", data: before });
  });
}
