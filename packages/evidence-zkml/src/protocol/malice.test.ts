// A malicious prover who chooses all randomness, and the coefficients that stop him (review R1, R3, R5, R6).
import { describe, expect, it } from "vitest";
import { type Ext, one, P } from "../field.ts";
import { denseShape, randomModel } from "../nets.fixture.ts";
import type { Constraint } from "./constraints.ts";
import { fixing, judge, perform, type Stage, setStage, tamper, without, withoutCheck } from "./forge.fixture.ts";
import { rowAt } from "./matrix.ts";
import { type Rules, rules } from "./statement.ts";
import { evaluateWeights } from "./weights.ts";
import { layOutWeights } from "./witness.ts";

const shape = denseShape([24, 20, 11, 5], 9);
const open = () => setStage(shape, { weights: "open" });
const hidden = () => setStage(shape, { weights: "hidden" });

/** Coefficients, mod X^H − 1, of the polynomial over H that is `value` at slot `slot` and 0 elsewhere. */
function atSlot(s: Stage, slot: number, value: number): Uint32Array {
  const { k, codes } = s.prepared;
  const { row } = s.circuit.witness;
  return k.scope(() => {
    const at = k.zeros(4 * row);
    k.u32(at, row)[slot] = value;
    codes.interpolate(at);
    return k.u32(at, row).slice();
  });
}

/** R1: the product mask carries e at a slot, and the product at that slot is off by e. */
function offProduct(
  s: Stage,
  slot: number,
): { readonly stage: Stage; readonly slotOf: (i: number, a: Ext, b: Ext, c: Ext) => [Ext, Ext, Ext] } {
  const { f } = s.prepared;
  const product = s.secrets.product.slice();
  const carried = atSlot(s, slot, 1);
  for (let i = 0; i < carried.length; i++) product[i] = ((product[i] as number) + (carried[i] as number)) % P;
  return {
    stage: { ...s, secrets: { ...s.secrets, product } },
    slotOf: (i, a, b, c) => [a, b, i === slot ? f.add(c, f.int(1)) : c],
  };
}

describe("R1, a product mask that does not vanish", () => {
  it("is refused, and accepted with nu = 1", () => {
    // One hidden layer, so that nothing behind it has to follow.
    const one = setStage(denseShape([24, 11, 5], 9), { weights: "open" });
    const { slots } = one.circuit.witness;
    const { stage, slotOf } = offProduct(one, 1 + one.circuit.witness.lookups);
    const witness = tamper(stage, (c) => {
      for (let i = 0; i < slots; i++) c.y[i] = (c.y[i] as number) + 1;
    });
    const { weights, bias } = one.model.layers[1] as (typeof one.model.layers)[number];
    const output = Int32Array.from(bias, (b, i) =>
      witness.columns.y.subarray(0, 11).reduce((sum, v, j) => sum + v * (weights[i * 11 + j] as number), b),
    );
    const forged: Stage = { ...stage, witness, statement: { ...stage.statement, output } };
    // The sumcheck runs on the true columns; every committed y is one more, and the product at sigma says so.
    const moves = { slot: slotOf, signs: one.witness };
    expect(judge(forged, perform(forged, rules, moves))).not.toEqual([]);
    const weak = fixing((what, drawn, f) => (what === "nu" ? [f.int(1)] : drawn));
    expect(output).not.toEqual(one.trace.output);
    expect(judge(forged, perform(forged, weak, moves), weak)).toEqual([]);
  });
});

describe("R5, a linear mask that does not sum to zero", () => {
  const withSum = (s: Stage, sum: number): Stage => {
    const linear = s.secrets.linear.slice();
    const { row } = s.circuit.witness;
    // A constant c sums to H·c over the subgroup.
    const inverse = BigInt(modPow(row, P - 2));
    linear[0] = (linear[0] as number) + Number((BigInt(sum) * inverse) % BigInt(P));
    linear[0] = (linear[0] as number) % P;
    return { ...s, secrets: { ...s.secrets, linear } };
  };
  it("is refused by itself", () => {
    const s = withSum(open(), 12_345);
    expect(judge(s, perform(s))).toEqual(["linear target"]);
  });
  it("moves the sign by one once its constraint has lambda^0", () => {
    const base = setStage(denseShape([24, 11, 5], 9), { weights: "open" });
    const weak: Rules = {
      ...rules,
      constraints: (c) =>
        rules
          .constraints(c)
          .map((x): Constraint => (x.name === "sign" ? { name: x.name, add: (t) => x.add(t, one) } : x)),
    };
    // The sign test sees z0 + 1: slot A − z0(sigma) = 1, which a mask with sum −1 makes good.
    const signs = tamper(base, (c) => {
      for (let i = 0; i < c.z0.length; i++) {
        c.z0[i] = (c.z0[i] as number) + 1;
        c.y[i] = (c.y[i] as number) + (c.l[i] as number);
      }
    });
    const witness = { ...base.witness, columns: { ...base.witness.columns, y: signs.columns.y } };
    const { weights, bias } = base.model.layers[1] as (typeof base.model.layers)[number];
    const output = Int32Array.from(bias, (b, i) =>
      witness.columns.y.subarray(0, 11).reduce((sum, v, j) => sum + v * (weights[i * 11 + j] as number), b),
    );
    const forged = withSum({ ...base, witness, statement: { ...base.statement, output } }, P - 1);
    expect(judge(forged, perform(forged, rules, { signs }))).not.toEqual([]);
    expect(judge(forged, perform(forged, weak, { signs }), weak)).toEqual([]);
  });
});

describe("R3, logits that differ by p", () => {
  it("are refused, and accepted without the bound", () => {
    const s = open();
    const output = s.statement.output.slice();
    const i = output.findIndex((v) => v < 0);
    output[i] = (output[i] as number) + P;
    const forged: Stage = { ...s, statement: { ...s.statement, output } };
    const proof = perform(forged);
    expect(judge(forged, proof)).toEqual(["bound of the output"]);
    expect(judge(forged, proof, rules, withoutCheck("bound of the output"))).toEqual([]);
  });
});

describe("chi, which binds the weights' value before the mask's", () => {
  it("refuses another U(s) whose mask makes up for it, and accepts it with chi = 1", () => {
    const s = hidden();
    const other = randomModel(shape, 77);
    const lies = setStage(shape, { weights: "open", input8: s.trace.inputs[0] as Int8Array }, other);
    const { k, f } = s.prepared;
    const layout = layOutWeights(s.circuit, other);
    const matrix = k.alloc(layout.length);
    k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer));
    const forged: Stage = { ...s, witness: lies.witness, statement: { ...s.statement, output: lies.trace.output } };
    const moves = {
      pass: { ...s.prepared, matrix },
      // mu takes the difference between the committed weights' value and the claimed one.
      mu: (
        mu: Ext,
        { r, rho, s: point, value }: { r: readonly Ext[]; rho: Ext; s: readonly Ext[]; value: Ext },
      ): Ext => {
        const truth = evaluateWeights(k, f, s.circuit, layOutWeights(s.circuit, s.model), { r, rho, s: point });
        return f.add(mu, f.sub(truth, value));
      },
    };
    expect(judge(forged, perform(forged, rules, moves))).not.toEqual([]);
    const weak = fixing((what, drawn, field) => (what === "chi" ? [field.int(1)] : drawn));
    expect(judge(forged, perform(forged, weak, moves), weak)).toEqual([]);
  });
  it("refuses a combination of other weights, and accepts it without the opening", () => {
    const s = hidden();
    const other = randomModel(shape, 77);
    const lies = setStage(shape, { weights: "open", input8: s.trace.inputs[0] as Int8Array }, other);
    const layout = layOutWeights(s.circuit, other);
    const { k } = s.prepared;
    const matrix = k.alloc(layout.length);
    k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer));
    const forged: Stage = { ...s, witness: lies.witness, statement: { ...s.statement, output: lies.trace.output } };
    const proof = perform(forged, rules, { pass: { ...s.prepared, matrix }, combine: true });
    expect(judge(forged, proof)).toEqual(["weight opening"]);
    expect(judge(forged, proof, rules, withoutCheck("weight opening"))).toEqual([]);
  });
});

describe("hidden weights' own constraint", () => {
  it("refuses a sumcheck on other weights than those combined, and nothing else does", () => {
    const s = hidden();
    const other = randomModel(shape, 77);
    const lies = setStage(shape, { weights: "open", input8: s.trace.inputs[0] as Int8Array }, other);
    const { k } = s.prepared;
    const layout = layOutWeights(s.circuit, other);
    const matrix = k.alloc(layout.length);
    k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer));
    const forged: Stage = { ...s, witness: lies.witness, statement: { ...s.statement, output: lies.trace.output } };
    const moves = { pass: { ...s.prepared, matrix } };
    expect(judge(forged, perform(forged, rules, moves))).toEqual(["linear target"]);
    const weak = without("weights");
    expect(judge(forged, perform(forged, weak, moves), weak)).toEqual([]);
  });
});

describe("words that are no codewords", () => {
  /** R6: one random word h in every row of the witness, −h in the proximity mask. */
  it("a common word in all rows, taken back by the mask", () => {
    const s = open();
    const { k } = s.prepared;
    const h = Uint32Array.from({ length: s.circuit.witness.length }, (_, i) => (i * 7919 + 13) % P);
    const first = s.circuit.witness.rows[1];
    const touch = (name: string, m: Parameters<typeof rowAt>[0]) => {
      if (name === "mask") return;
      const real = name === "first" ? first : m.rows;
      for (let r = 0; r < real + (name === "first" ? 1 : 0); r++) {
        const row = k.u32(rowAt(m, r), m.length);
        for (let i = 0; i < row.length; i++)
          row[i] = ((row[i] as number) + (r < real ? (h[i] as number) : P - (h[i] as number))) % P;
      }
    };
    expect(judge(s, perform(s, rules, { touch }))).toContain("proximity of the witness");
  });
  it("a row with one wrong word in each column", () => {
    const s = open();
    const { k } = s.prepared;
    const proof = perform(s, rules, {
      touch: (name, m) => {
        if (name !== "second") return;
        const row = k.u32(rowAt(m, 3), m.length);
        // The prover's own polynomials come from the first entries, which stay right.
        for (let i = s.circuit.witness.domain; i < row.length; i++) row[i] = ((row[i] as number) + 1 + i) % P;
      },
    });
    expect(judge(s, proof)).toEqual(["proximity of the witness", "linear test"]);
    expect(judge(s, proof, rules, withoutCheck("proximity of the witness"))).toEqual(["linear test"]);
    expect(judge(s, proof, rules, withoutCheck("proximity of the witness", "linear test"))).toEqual([]);
  });
  it("a weight mask of full degree", () => {
    const s = hidden();
    const { k } = s.prepared;
    const proof = perform(s, rules, {
      touch: (name, m) => {
        if (name !== "mask") return;
        const row = k.u32(rowAt(m, 0), m.length);
        for (let i = 0; i < row.length; i++) row[i] = (i * 104_729 + 7) % P;
      },
    });
    expect(judge(s, proof)).toEqual(["weight opening"]);
  });
});

describe("test polynomials that say something else", () => {
  const lying = (s: Stage): Stage => ({
    ...s,
    statement: { ...s.statement, output: s.statement.output.map((v) => v + 1) },
  });
  it("linear target: the sum is compared with what the constraints say", () => {
    const s = lying(open());
    const proof = perform(s);
    expect(judge(s, proof)).toEqual(["linear target"]);
    expect(judge(s, proof, rules, withoutCheck("linear target"))).toEqual([]);
  });
  it("linear test: a polynomial that has the right sum is compared with the columns", () => {
    const s = lying(open());
    const { f } = s.prepared;
    const { row, linear } = s.circuit.witness;
    const proof = perform(s, rules, {
      tests: (polynomials, { target }) => {
        const out = polynomials.linear.slice();
        const scale = f.inv(f.int(row));
        let sum: Ext = f.int(0);
        for (let i = 0; i < linear; i += row)
          sum = f.add(sum, f.from([0, 1, 2, 3].map((q) => out[q * linear + i] as number)));
        f.words(f.sub(f.mul(target, scale), sum)).forEach((w, q) => {
          out[q * linear] = ((out[q * linear] as number) + w) % P;
        });
        return { ...polynomials, linear: out };
      },
    });
    expect(judge(s, proof)).toEqual(["linear test"]);
    expect(judge(s, proof, rules, withoutCheck("linear test"))).toEqual([]);
  });
  it("products vanish: a mask that does not is refused there alone", () => {
    const { stage } = offProduct(open(), 3);
    const proof = perform(stage);
    expect(judge(stage, proof)).toEqual(["products vanish"]);
    expect(judge(stage, proof, rules, withoutCheck("products vanish"))).toEqual([]);
  });
  it("product test: a polynomial that vanishes is compared with the columns", () => {
    const { stage } = offProduct(open(), 3);
    const proof = perform(stage, rules, {
      tests: (polynomials) => ({ ...polynomials, product: new Uint32Array(polynomials.product.length) }),
    });
    expect(judge(stage, proof)).toEqual(["product test"]);
    expect(judge(stage, proof, rules, withoutCheck("product test"))).toEqual([]);
  });
  it("Merkle paths: a changed node is refused there alone", () => {
    const s = open();
    const proof = perform(s);
    proof[proof.length - 1] = (proof[proof.length - 1] as number) ^ 1;
    expect(judge(s, proof)).toEqual(["Merkle paths"]);
    expect(judge(s, proof, rules, withoutCheck("Merkle paths"))).toEqual([]);
  });
});

function modPow(base: number, exponent: number): number {
  let out = 1n;
  let b = BigInt(base);
  for (let e = BigInt(exponent); e > 0n; e >>= 1n) {
    if (e & 1n) out = (out * b) % BigInt(P);
    b = (b * b) % BigInt(P);
  }
  return Number(out);
}
