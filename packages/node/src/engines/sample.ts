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
  const { ids, scores } = rank(probabilities, counts, rules);
  const best = ids[0];
  if (best === undefined) throw new RangeError("The model gave no token any probability.");
  if (isGreedy(rules)) return best;
  const kept = rules.topK > 0 ? Math.min(rules.topK, ids.length) : ids.length;
  const top = scores[0] as number;
  const weights = new Float64Array(kept);
  for (let i = 0; i < kept; i++) weights[i] = Math.exp(((scores[i] as number) - top) / rules.temperature);
  const nucleus = cut(weights, rules);
  let total = 0;
  for (let i = 0; i < nucleus; i++) total += weights[i] as number;
  let left = draw(seed, position) * total;
  for (let i = 0; i < nucleus; i++) {
    left -= weights[i] as number;
    if (left < 0) return ids[i] as number;
  }
  return ids[nucleus - 1] as number;
}

type Ranked = { readonly ids: Int32Array; readonly scores: Float64Array };

/**
 * Ids by score, the highest first, ties by id. A vocabulary has 50,000 tokens and this runs for each token generated:
 * the engine gives them sorted by probability, so only the few that a penalty or a bias moves are put in their place.
 */
function rank(
  probabilities: ReadonlyMap<number, number>,
  counts: ReadonlyMap<number, number>,
  { frequencyPenalty, presencePenalty, bias }: Sampling,
): Ranked {
  const added = new Map(bias);
  const penalised = frequencyPenalty !== 0 || presencePenalty !== 0;
  const moved: { readonly id: number; readonly score: number }[] = [];
  const ids = new Int32Array(probabilities.size);
  const scores = new Float64Array(probabilities.size);
  let n = 0;
  let sorted = true;
  for (const [id, p] of probabilities) {
    if (!(p > 0)) continue;
    const count = penalised ? (counts.get(id) ?? 0) : 0;
    const plus = added.get(id) ?? 0;
    const score = Math.log(p);
    if (count > 0 || plus !== 0) {
      moved.push({ id, score: score - count * frequencyPenalty - (count > 0 ? presencePenalty : 0) + plus });
      continue;
    }
    if (n > 0 && score > (scores[n - 1] as number)) sorted = false;
    ids[n] = id;
    scores[n++] = score;
  }
  if (!sorted) {
    for (let i = 0; i < n; i++) moved.push({ id: ids[i] as number, score: scores[i] as number });
    n = 0;
  }
  sortTies(ids, scores, n);
  moved.sort((a, b) => b.score - a.score || a.id - b.id);
  return merge({ ids: ids.subarray(0, n), scores: scores.subarray(0, n) }, moved);
}

function sortTies(ids: Int32Array, scores: Float64Array, n: number): void {
  for (let from = 0; from < n; ) {
    let to = from + 1;
    while (to < n && scores[to] === scores[from]) to++;
    if (to - from > 1) ids.subarray(from, to).sort();
    from = to;
  }
}

function merge(a: Ranked, moved: readonly { readonly id: number; readonly score: number }[]): Ranked {
  if (moved.length === 0) return a;
  const ids = new Int32Array(a.ids.length + moved.length);
  const scores = new Float64Array(ids.length);
  for (let i = 0, j = 0, k = 0; k < ids.length; k++) {
    const [id, score, m] = [a.ids[i], a.scores[i], moved[j]];
    const takeMoved =
      m !== undefined && (score === undefined || m.score > score || (m.score === score && m.id < (id as number)));
    ids[k] = takeMoved ? m.id : (id as number);
    scores[k] = takeMoved ? m.score : (score as number);
    if (takeMoved) j++;
    else i++;
  }
  return { ids, scores };
}

// How many of the descending weights stay: the smallest head that holds top-p, less what is below min-p of the best.
function cut(weights: Float64Array, { topP, minP }: Sampling): number {
  if (topP >= 1 && minP <= 0) return weights.length;
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
