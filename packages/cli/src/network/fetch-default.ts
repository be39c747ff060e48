import { existsSync } from "node:fs";
import { CountersignError } from "@countersign/core";
import { fetchWeights, smollm2, weightsPath } from "@countersign/node";
import { note, progress } from "../terminal.ts";
import { weightsFolder } from "./home.ts";

/** A start does not wait longer than this for weights; what was fetched is kept and gone on with next time. */
const patience = 45_000;

/**
 * Fetches the larger chat model where it is not here yet, with a progress bar.
 *
 * Nothing depends on it: without a network, or when it takes too long, a note says so and the small model answers alone.
 */
export async function fetchDefaultWeights(home: string): Promise<void> {
  const cacheDir = weightsFolder(home);
  if (existsSync(weightsPath(smollm2, cacheDir))) return;
  note(`Fetching ${smollm2.id}, ${Math.round(smollm2.bytes / 1e6)} MB, once (--no-fetch leaves it out).`);
  const bar = progress(`Fetching ${smollm2.id}`);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience);
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt);
  try {
    await fetchWeights(smollm2, {
      cacheDir,
      onProgress: (done, total) => bar.update(done, total),
      signal: stop.signal,
    });
    bar.end();
  } catch (error) {
    bar.end();
    if (!CountersignError.is(error)) throw error;
    const why = stop.signal.aborted ? "it took too long and goes on next time" : error.detail.message;
    note(`Without ${smollm2.id}: ${why} Fetch it with: countersign models pull ${smollm2.id}`);
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", interrupt);
  }
}
