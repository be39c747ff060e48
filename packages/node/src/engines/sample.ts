import { taggedHash, uint } from "@countersign/core";
import type { Sampling } from "./language.ts";

/** Whether choosing needs no draw: the same tokens whatever the seed. */
export const isGreedy = (s: Sampling): boolean => s.temperature === 0;

/** Whether the engine's own argmax is already the answer. */
export const isPlainGreedy = (s: Sampling): boolean =>
  isGreedy(s) && s.frequencyPenalty === 0 && s.presencePenalty === 0 && s.bias.length === 0;

/**
 * A number in [0, 1) that belongs to a seed and a place, so that anybody can check one draw without the ones before it.
 *
 * First 53 bits of `H("countersign/sample/v1", u32 seed, u32 position)`.
 */
export function draw(seed: number, position: number): number {
  const h = taggedHash("countersign/sample/v1", uint(seed, 4), uint(position, 4));
  return Number(new DataView(h.buffer, h.byteOffset).getBigUint64(0) >> 11n) / 2 ** 53;
}

/**
 * Chooses the next token from the model's own probabilities, in this order: penalties and bias, temperature, top-k,
 * top-p, min-p, draw. Ours rather than the engine's, so that log probabilities are the model's and a draw is checkable
 * from them.
 *
 * @param probabilities Raw probability of each token id, after softmax, before any rule.
 * @param counts How often each id was generated so far: OpenAI's penalties are over the answer, not the prompt.
 */
export function chooseToken(
  probabilities: ReadonlyMap<number, number>,
  counts: ReadonlyMap<number, number>,
  rules: Sampling,
  seed: number,
  position: number,
): number {
  const bias = new Map(rules.bias);
  const scored: { readonly id: number; readonly score: number }[] = [];
  for (const [id, p] of probabilities) {
    const count = counts.get(id) ?? 0;
    const penalty = count > 0 ? count * rules.frequencyPenalty + rules.presencePenalty : 0;
    const score = Math.log(p) - penalty + (bias.get(id) ?? 0);
    if (score > -Infinity) scored.push({ id, score });
  }
  scored.sort((a, b) => b.score - a.score || a.id - b.id);
  const best = scored[0];
  if (best === undefined) throw new RangeError("The model gave no token any probability.");
  if (isGreedy(rules)) return best.id;
  const kept = rules.topK > 0 ? scored.slice(0, rules.topK) : scored;
  const weights = kept.map(({ score }) => Math.exp((score - best.score) / rules.temperature));
  const nucleus = cut(weights, rules);
  const total = weights.slice(0, nucleus).reduce((a, b) => a + b, 0);
  let left = draw(seed, position) * total;
  for (let i = 0; i < nucleus; i++) {
    left -= weights[i] as number;
    if (left < 0) return (kept[i] as { id: number }).id;
  }
  return (kept[nucleus - 1] as { id: number }).id;
}

// How many of the descending weights stay: the smallest head that holds top-p, less what is below min-p of the best.
function cut(weights: readonly number[], { topP, minP }: Sampling): number {
  const total = weights.reduce((a, b) => a + b, 0);
  let sum = 0;
  let n = 0;
  for (const w of weights) {
    if (n > 0 && (sum >= topP * total || w < minP)) break;
    sum += w;
    n++;
  }
  return n;
}

/** Natural logarithm of a probability as decimal text; impossible is -9999, as OpenAI writes it. */
export const logprobText = (p: number): string =>
  p > 0 ? (Math.log(p) + 0).toFixed(6).replace(/^-0\.0+$/, "0.000000") : "-9999";
