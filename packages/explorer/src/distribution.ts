import type { Entry } from "@countersign/core";

/** Levels of the bar, strongest first. A simulated enclave never counts as hardware. */
export const bands = ["proof", "hardware", "simulated", "re-execution", "signature", "origin", "none"] as const;
export type Band = (typeof bands)[number];

/** The strongest level in a mask: sampling speaks of a population and the log of publication, so neither is a level. */
export function bandOf(mask: number, simulated: boolean): Band {
  if (mask & 8) return "proof";
  if (mask & 4) return simulated ? "simulated" : "hardware";
  if (mask & 2) return "re-execution";
  if (mask & 16) return "origin";
  if (mask & 1) return "signature";
  return "none";
}

const weakest = (masks: readonly number[], simulated: boolean): Band =>
  masks.map((m) => bandOf(m, simulated)).sort((a, b) => bands.indexOf(b) - bands.indexOf(a))[0] ?? "none";

/** Counts of receipts by level. `demanded` counts the weakest of the ways that would have met the demand. */
export type Distribution = {
  readonly receipts: number;
  readonly development: number;
  /** Left out of every count: self-checks, canaries, benchmarks. */
  readonly synthetic: number;
  readonly demanded: Readonly<Record<Band, number>>;
  readonly bought: Readonly<Record<Band, number>>;
  readonly delivered: Readonly<Record<Band, number>>;
};

/** Recounts entries: nothing is taken from the gateway's own statistics. */
export function recount(entries: Iterable<Entry>): Distribution {
  const zero = () => Object.fromEntries(bands.map((b) => [b, 0])) as Record<Band, number>;
  const out = { demanded: zero(), bought: zero(), delivered: zero() };
  let receipts = 0;
  let development = 0;
  let synthetic = 0;
  for (const entry of entries) {
    if (entry.kind !== "receipt") continue;
    if (entry.flags.includes("synthetic")) {
      synthetic++;
      continue;
    }
    const simulated = entry.flags.includes("simulated");
    receipts++;
    if (entry.flags.includes("development")) development++;
    out.demanded[weakest(entry.demanded, simulated)]++;
    out.bought[bandOf(entry.bought, simulated)]++;
    out.delivered[bandOf(entry.delivered, simulated)]++;
  }
  return { receipts, development, synthetic, ...out };
}
