// At a few queries forgeries pass by luck; how often tells whether degrees and distances are what the bound takes them for.
import { expect, it } from "vitest";
import { P } from "../field.ts";
import { denseShape, makeDice } from "../nets.fixture.ts";
import { bytes, judge, perform, type Stage, setStage } from "./forge.fixture.ts";
import { rowAt } from "./matrix.ts";
import { drawSecrets } from "./secrets.ts";
import { rules } from "./statement.ts";

/** How many of `runs` forgeries pass; each has fresh randomness and so fresh queries. */
function passes(
  base: Stage,
  runs: number,
  forge: (s: Stage, run: number) => { readonly stage: Stage; readonly proof: Uint8Array },
): number {
  let passed = 0;
  for (let i = 0; i < runs; i++) {
    const s: Stage = {
      ...base,
      secrets: drawSecrets(
        base.prepared.k,
        base.circuit,
        bytes(0).map((_, j) => (j === 0 ? i & 255 : j === 1 ? i >> 8 : 1)),
      ),
    };
    const { stage, proof } = forge(s, i);
    if (judge(stage, proof).length === 0) passed++;
  }
  return passed;
}

it("a prover with wrong words in (1 − rho)/2 of the columns passes as often as the bound says", () => {
  const base = setStage(denseShape([8, 6, 3], 9), { weights: "open", target: { query: 3, total: 2 } });
  const { length, queries, linear, product, domain } = base.circuit.witness;
  const wrong = Math.floor((length - Math.max(linear, product)) / 2);
  const runs = 120;
  const passed = passes(base, runs, (s, i) => {
    const dice = makeDice(i + 1);
    const { k } = s.prepared;
    const columns = new Set<number>();
    while (columns.size < wrong) columns.add(domain + dice(length - domain));
    const proof = perform(s, rules, {
      touch: (name, m) => {
        if (name !== "second") return;
        const row = k.u32(rowAt(m, 0), m.length);
        for (const c of columns) row[c] = ((row[c] as number) + 1) % P;
      },
    });
    return { stage: s, proof };
  });
  const expected = runs * (1 - wrong / length) ** queries;
  const spread = 4 * Math.sqrt(expected);
  expect(queries).toBeLessThan(8);
  expect(passed).toBeLessThan(expected + spread);
  expect(passed).toBeGreaterThan(expected - spread);
});

it("a linear polynomial that lies where it can passes no more often than its degree allows", () => {
  const base = setStage(denseShape([8, 6, 3], 9), { weights: "open", target: { query: 1, total: 0 } });
  const { length, queries, linear, row } = base.circuit.witness;
  const runs = 120;
  const zeros = vanishing(base, linear - 1);
  const passed = passes(base, runs, (s) => {
    const lying: Stage = { ...s, statement: { ...s.statement, output: s.statement.output.map((v) => v + 1) } };
    const { f } = s.prepared;
    const proof = perform(lying, rules, {
      // L + c·Z: Z has as many zeros on the coset as its degree, and a sum over H that is not zero.
      tests: (polynomials, { target: wanted }) => {
        const out = polynomials.linear.slice();
        const z = zeros;
        let sumZ = 0n;
        for (let i = 0; i < linear; i += row) sumZ += BigInt(z[i] as number);
        let sum = f.int(0);
        for (let i = 0; i < linear; i += row)
          sum = f.add(sum, f.from([0, 1, 2, 3].map((q) => out[q * linear + i] as number)));
        const missing = f.sub(f.mul(wanted, f.inv(f.int(row))), sum);
        const scale = f.words(f.mul(missing, f.inv(f.int(Number(sumZ % BigInt(P))))));
        for (let q = 0; q < 4; q++)
          for (let i = 0; i < linear; i++)
            out[q * linear + i] = Number(
              (BigInt(out[q * linear + i] as number) + BigInt(scale[q] as number) * BigInt(z[i] as number)) % BigInt(P),
            );
        return { ...polynomials, linear: out };
      },
    });
    return { stage: lying, proof };
  });
  const expected = runs * ((linear - 1) / length) ** queries;
  const spread = 4 * Math.sqrt(expected);
  expect(queries).toBeLessThan(4);
  expect(passed).toBeLessThan(expected + spread);
  expect(passed).toBeGreaterThan(expected - spread);
  expect(passed).toBeGreaterThan(0);
});

/** Coefficients of Π (X − x) over the first points of the coset, in the order of the codewords. */
function vanishing(s: Stage, degree: number): Uint32Array {
  const { k, codes } = s.prepared;
  const { length } = s.circuit.witness;
  return k.scope(() => {
    // Points: the codeword of the polynomial X.
    const at = k.zeros(4 * length);
    k.u32(at, 2)[1] = 1;
    codes.evaluate(at, 2, length);
    const points = k.u32(at, length).slice();
    const out = new Uint32Array(degree + 1);
    out[0] = 1;
    for (let n = 0; n < degree; n++) {
      const x = k.toM(P - (points[n] as number));
      for (let i = n + 1; i > 0; i--) out[i] = ((out[i - 1] as number) + k.mul(out[i] as number, x)) % P;
      out[0] = k.mul(out[0] as number, x);
    }
    return out;
  });
}
