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
