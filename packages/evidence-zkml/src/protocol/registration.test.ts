import { describe, expect, it } from "vitest";
import { design } from "../circuit/compile.ts";
import { makeField } from "../field.ts";
import { loadKernels, poison } from "../kernels/kernels.ts";
import { denseShape, randomModel } from "../nets.fixture.ts";
import { makeCodes } from "./codes.ts";
import { bytes, toy } from "./forge.fixture.ts";
import type { Stray } from "./fractions.ts";
import { registrationCircuit } from "./levels.ts";
import { rowAt } from "./matrix.ts";
import { type Committed, commitWeights } from "./prover.ts";
import { checkRegistrationProof, countWords, type RegistrationParts, writeRegistration } from "./registration.ts";
import { drawSecrets } from "./secrets.ts";
import { type Rules, rules } from "./statement.ts";
import { plantTree, saltWords } from "./tree.ts";

const circuit = design(denseShape([12, 10, 4], 9), { weights: "hidden", budget: 2 }, toy);

/** A commitment whose word at a place is `add` more than its int8. */
function commit(strays: readonly Stray[] = []): Committed {
  const c = commitWeights(circuit, randomModel(circuit.shape), bytes(4));
  if (strays.length === 0) return c;
  const { k, codes } = c;
  const { length, degree, columns, extra, rows } = circuit.weight;
  for (const { row, column, add } of strays) {
    const at = rowAt(c.code, row);
    k.widenI8(c.matrix + row * columns, columns, at);
    k.u32(at, columns)[column] = (k.u32(at, columns)[column] as number) + add;
    k.u32(at + 4 * columns, extra).set(c.tails.subarray(row * extra, (row + 1) * extra));
    codes.encodeWeights(at, degree);
  }
  const tree = plantTree(k, c.code.at, rows + saltWords, length);
  return { ...c, tree, root: tree.root };
}

function write(c: Committed, parts: Partial<RegistrationParts> = {}, used: Rules = rules): Uint8Array {
  return c.k.scope(() => {
    poison(c.k, 0xa5);
    return writeRegistration(c, { secrets: drawSecrets(c.k, registrationCircuit(circuit), bytes(6)), ...parts }, used);
  });
}

function judge(c: Committed, proof: Uint8Array, used: Rules = rules): readonly string[] {
  const k = loadKernels();
  poison(k, 0x5a);
  return checkRegistrationProof({ circuit, k, f: makeField(k), codes: makeCodes(k, circuit) }, c.root, proof, used);
}

const without = (name: string): Rules => ({ ...rules, keeps: (n) => n !== name });
// A word of 5 or so is 300 more: far from int8, with a positive sum so that it is one addition mod p.
const place = { row: 0, column: 2, add: 300 };
const shown: Stray = { ...place, shown: true, numerator: 1 };
/** One count too many: the fractions' sum is not the table's. */
const miscounted = (c: Committed): Uint32Array => {
  const counts = countWords(c);
  counts[0] = (counts[0] as number) + 1;
  return counts;
};

type Forgery = readonly [constraint: string, forge: () => readonly [Committed, Partial<RegistrationParts>]];
const forgeries: readonly Forgery[] = [
  ["sum", () => [commit([shown]), { strays: [shown] }]],
  [
    "numerators",
    () => {
      const stray = { ...shown, numerator: 0 };
      const c = commit([stray]);
      const counts = countWords(c);
      const word = new Int8Array(c.k.memory.buffer, c.matrix, 100)[place.column] as number;
      counts[word + 128] = (counts[word + 128] as number) - 1;
      return [c, { strays: [stray], counts }];
    },
  ],
  [
    "opened",
    () => {
      const stray = { ...shown, shown: false };
      return [commit([stray]), { strays: [stray] }];
    },
  ],
  [
    "numerator",
    () => {
      const c = commit();
      const root = 3 * Math.round(Math.log2(leavesOf(c)));
      let scale = c.f.int(1);
      // B says what the miscounted table says; A is the true denominator, C = A·B is not the true numerator.
      const counts = miscounted(c);
      return [
        c,
        {
          counts,
          moves: {
            slot: (i, a, b) => {
              if (i !== root) return [a, b, c.f.mul(a, b)];
              scale = c.f.add(b, inverseOfFirst(c));
              return [a, scale, c.f.mul(a, scale)];
            },
          },
        },
      ];
    },
  ],
  [
    "denominator",
    () => {
      const c = commit();
      const root = 3 * Math.round(Math.log2(leavesOf(c)));
      return [
        c,
        {
          counts: miscounted(c),
          moves: {
            slot: (i, a, b, product) => {
              if (i !== root) return [a, b, product];
              const sum = c.f.add(b, inverseOfFirst(c));
              return [c.f.mul(product, c.f.inv(sum)), sum, product];
            },
          },
        },
      ];
    },
  ],
  [
    "claim 3",
    () => {
      // A node of level 3 counts one entry more, and all above follow it.
      const c = commit();
      return [
        c,
        {
          counts: miscounted(c),
          shake: (levels) => {
            const { p, q } = levels[3] as { p: number; q: number };
            c.k.u32(p, 4).set(c.f.add(c.f.get(p), c.f.mul(c.f.get(q), inverseOfFirst(c))));
            for (let level = 2; level >= 0; level--) {
              const from = levels[level + 1] as { p: number; q: number };
              const to = levels[level] as { p: number; q: number };
              c.k.fractionLevel(from.p, from.q, 2 ** level, to.p, to.q);
            }
          },
        },
      ];
    },
  ],
  [
    "factor 0 0",
    () => {
      const c = commit();
      const root = 3 * Math.round(Math.log2(leavesOf(c)));
      let q0 = c.f.int(0);
      return [
        c,
        {
          counts: miscounted(c),
          shake: (levels) => {
            q0 = c.f.get((levels[1] as { q: number }).q);
          },
          moves: {
            slot: (i, a, b, product) => {
              if (i === 0) {
                const raised = c.f.add(a, c.f.mul(q0, inverseOfFirst(c)));
                return [raised, b, c.f.mul(raised, b)];
              }
              if (i !== root) return [a, b, product];
              const sum = c.f.add(b, inverseOfFirst(c));
              return [a, sum, c.f.mul(a, sum)];
            },
          },
        },
      ];
    },
  ],
];

const alphas = new Map<Committed, readonly [number, number, number, number]>();
const leavesOf = (c: Committed): number => countWords(c).reduce((a, b) => a + b, 0);
/** 1/(alpha + 128): what one count more of the first entry adds to the table's sum. */
const inverseOfFirst = (c: Committed) => c.f.inv(c.f.sub(alphas.get(c) as never, c.f.int(-128)));
const watching = (c: Committed, of: Rules): Rules => ({
  ...of,
  transcript: (k, f) => {
    const t = rules.transcript(k, f);
    return {
      ...t,
      draw: (what, n) => {
        const out = t.draw(what, n);
        if (what === "alpha") alphas.set(c, out[0] as never);
        return out;
      },
    };
  },
});

describe("registration", () => {
  it("proves that all words are int8", () => {
    const c = commit();
    expect(judge(c, write(c))).toEqual([]);
  });
  for (const [constraint, forge] of forgeries)
    it(`refuses a forgery that only "${constraint}" stops`, () => {
      const [c, parts] = forge();
      expect(judge(c, write(c, parts, watching(c, rules)))).not.toEqual([]);
      expect(judge(c, write(c, parts, watching(c, without(constraint))), without(constraint))).toEqual([]);
    });
  it("refuses levels of the tree that do not follow from those below", () => {
    const c = commit();
    for (const level of [1, 3]) {
      const proof = write(c, {
        shake: (levels) => {
          const { q } = levels[level] as { q: number };
          c.k.u32(q, 4).set(c.f.add(c.f.get(q), c.f.int(1)));
        },
      });
      expect(judge(c, proof)).toContain("linear target");
    }
  });
  it("refuses other counts, other roots and changed bytes", () => {
    const c = commit();
    expect(judge(c, write(c, { counts: miscounted(c) }))).not.toEqual([]);
    const proof = write(c);
    expect(judge({ ...c, root: bytes(1) }, proof)).not.toEqual([]);
    for (let at = 130; at < proof.length; at += Math.floor(proof.length / 60)) {
      const mutant = proof.slice();
      mutant[at] = (mutant[at] as number) ^ 1;
      let found: readonly string[];
      try {
        found = judge(c, mutant);
      } catch (error) {
        found = [String(error)];
      }
      expect(found.length, `byte ${at}`).toBeGreaterThan(0);
    }
  });
});
