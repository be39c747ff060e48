import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Sampling } from "./language.ts";
import { chooseToken, draw, isPlainGreedy, logprobText } from "./sample.ts";

const greedy: Sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  bias: [],
};
const even = new Map([
  [0, 0.4],
  [1, 0.3],
  [2, 0.2],
  [3, 0.1],
]);
const none = new Map<number, number>();
const many = (rules: Sampling, n = 4000) => {
  const counts = new Map<number, number>();
  for (let i = 0; i < n; i++) {
    const id = chooseToken(even, none, rules, 7, i);
    counts.set(id, (counts.get(id) ?? 0) + 1 / n);
  }
  return counts;
};

/** The rule as docs/decisions/sampling.md tells it, in so many words. */
function plainly(
  p: Map<number, number>,
  counts: Map<number, number>,
  rules: Sampling,
  seed: number,
  position: number,
): number {
  const bias = new Map(rules.bias);
  const scored = [...p]
    .filter(([, chance]) => chance > 0)
    .map(([id, chance]) => {
      const c = counts.get(id) ?? 0;
      return {
        id,
        score:
          Math.log(chance) - c * rules.frequencyPenalty - (c > 0 ? rules.presencePenalty : 0) + (bias.get(id) ?? 0),
      };
    })
    .sort((a, b) => b.score - a.score || a.id - b.id);
  const top = scored[0] as { id: number; score: number };
  if (rules.temperature === 0) return top.id;
  let kept = scored.map((s) => ({ id: s.id, weight: Math.exp((s.score - top.score) / rules.temperature) }));
  if (rules.topK > 0) kept = kept.slice(0, rules.topK);
  const sum = kept.reduce((n, k) => n + k.weight, 0);
  let before = 0;
  kept = kept.filter((k, i) => {
    const keep = i === 0 || rules.topP >= 1 || before < rules.topP * sum;
    before += k.weight;
    return keep;
  });
  kept = kept.filter((k, i) => i === 0 || k.weight >= rules.minP);
  let left = draw(seed, position) * kept.reduce((n, k) => n + k.weight, 0);
  for (const { id, weight } of kept) {
    left -= weight;
    if (left < 0) return id;
  }
  return (kept.at(-1) as { id: number }).id;
}

describe("choosing a token", () => {
  it("is greedy at temperature 0, ties to the lowest id", () => {
    expect(isPlainGreedy(greedy)).toBe(true);
    expect(
      chooseToken(
        new Map([
          [5, 0.5],
          [2, 0.5],
        ]),
        none,
        greedy,
        1,
        0,
      ),
    ).toBe(2);
  });

  it("draws as often as the model says", () => {
    const shares = many({ ...greedy, temperature: 1 });
    for (const [id, p] of even) expect(shares.get(id)).toBeCloseTo(p, 1);
  });

  it("cuts by top-k, top-p and min-p", () => {
    expect([...many({ ...greedy, temperature: 1, topK: 2 }).keys()].sort()).toEqual([0, 1]);
    expect([...many({ ...greedy, temperature: 1, topP: 0.4 }).keys()]).toEqual([0]);
    expect([...many({ ...greedy, temperature: 1, topP: 0.41 }).keys()].sort()).toEqual([0, 1]);
    expect([...many({ ...greedy, temperature: 1, minP: 0.5 }).keys()].sort()).toEqual([0, 1, 2]);
  });

  it("penalises what was said and honours a bias, also when greedy", () => {
    const said = new Map([[0, 1]]);
    expect(chooseToken(even, said, { ...greedy, presencePenalty: 2 }, 1, 0)).toBe(1);
    expect(chooseToken(even, said, { ...greedy, frequencyPenalty: 0.1 }, 1, 0)).toBe(0);
    expect(chooseToken(even, none, { ...greedy, bias: [[3, 5]] }, 1, 0)).toBe(3);
  });

  it("never chooses what the model gave no chance", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), fc.nat({ max: 1000 }), (seed, position) => {
        const chances = new Map([
          [0, 0],
          [1, 1e-30],
          [2, 0],
        ]);
        expect(chooseToken(chances, none, { ...greedy, temperature: 2 }, seed, position)).toBe(1);
      }),
    );
  });

  it("is the plain rule, however fast: the same as sorting everything", () => {
    const chance = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(chance, { minLength: 1, maxLength: 30 }),
        fc.dictionary(fc.constantFrom("0", "1", "2", "7"), fc.integer({ min: -5, max: 5 })),
        fc.record({
          topK: fc.nat({ max: 5 }),
          topP: fc.constantFrom(0.3, 0.9, 1),
          minP: fc.constantFrom(0, 0.2),
          temperature: fc.constantFrom(0, 0.7, 1.5),
        }),
        fc.boolean(),
        (chances, bias, rules, sorted) => {
          const total = chances.reduce((a, b) => a + b, 0);
          fc.pre(total > 0);
          const list = chances.map((p, id) => [id, Math.fround(p / total)] as const);
          if (sorted) list.sort((a, b) => b[1] - a[1]);
          const counts = new Map([
            [1, 2],
            [3, 1],
          ]);
          const all: Sampling = {
            ...greedy,
            ...rules,
            frequencyPenalty: 0.5,
            presencePenalty: 0.25,
            bias: Object.entries(bias).map(([k, v]) => [Number(k), v] as const),
          };
          fc.pre(list.some(([, p]) => p > 0));
          expect(chooseToken(new Map(list), counts, all, 9, 4)).toBe(plainly(new Map(list), counts, all, 9, 4));
        },
      ),
    );
  });

  it("draws from seed and place alone, in [0, 1)", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), fc.nat({ max: 2 ** 32 - 1 }), (seed, position) => {
        const u = draw(seed, position);
        expect(u).toBe(draw(seed, position));
        expect(u >= 0 && u < 1).toBe(true);
      }),
    );
    expect(draw(1, 0)).not.toBe(draw(1, 1));
    expect(draw(1, 0)).not.toBe(draw(2, 0));
  });

  it("writes log probabilities as decimals", () => {
    expect([logprobText(1), logprobText(0.5), logprobText(0)]).toEqual(["0.000000", "-0.693147", "-9999"]);
  });
});
