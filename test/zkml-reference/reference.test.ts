import { describe, expect, test } from "vitest";
import { compile, type Options, type Shape, vars } from "./circuit.ts";
import { P } from "./field.ts";
import { recording, replaying } from "./frozen.ts";
import { checkProof } from "./proof.ts";
import { outcomeOf } from "./refusal.ts";
import { checkRegistration } from "./registration.ts";
import { changed, readVector } from "./vectors.ts";
import { biasDigits } from "./weights.ts";

const NAMES = ["open", "open-hidden-input", "hidden", "hidden-hidden-input", "link", "registration"] as const;
const PROOFS = NAMES.slice(0, 4);

/** Numbers from a fixed seed, so that every run changes the same bytes (xorshift32). */
const numbersFrom = (seed: number): (() => number) => {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
};

const word = (proof: Uint8Array, at: number): bigint =>
  BigInt(new DataView(proof.buffer, proof.byteOffset).getUint32(at, true));
const withWord = (proof: Uint8Array, at: number, value: bigint): Uint8Array => {
  const out = proof.slice();
  new DataView(out.buffer).setUint32(at, Number(value), true);
  return out;
};
/** Adds to the word at a byte offset, mod p. */
const plus = (proof: Uint8Array, at: number, k: bigint): Uint8Array => withWord(proof, at, (word(proof, at) + k) % P);

/** Byte offsets of the messages that are sent in clear (§6.2). */
const places = (shape: Shape, options: Options) => {
  const circuit = compile(shape, options);
  const { weights: w, witness: f } = circuit;
  const first = circuit.hiddenWeights ? 128 : 96;
  const product = first + 48 * vars(f.N);
  const uc = product + 32 * (vars(shape.layers.length) + vars(w.Wd));
  const proximity = uc + 16 * w.kW;
  const linear = proximity + 16 * (f.H + f.most);
  const products = linear + 16 * (2 * f.H + f.most);
  return { circuit, first, product, uc, proximity, linear, products, columns: products + 32 * (f.H + f.t) };
};

describe.each(NAMES)("vector %s", (name) => {
  const vector = readVector(name);

  test("is accepted as it stands", () => {
    expect(vector.check(vector.proof)).toEqual({ accepted: true });
    if (vector.json.circuitDigest === undefined) return;
    const { digest } = compile(vector.json.shape as Shape, vector.json.options as Options);
    expect(Buffer.from(digest).toString("hex")).toBe(vector.json.circuitDigest);
  });

  test("is refused in each change that the file lists", () => {
    expect(vector.refused.length).toBe(27);
    for (const change of vector.refused)
      expect(vector.check(changed(vector.proof, change)), JSON.stringify(change)).toMatchObject({ accepted: false });
  });

  test("is refused with any of 40 bytes replaced", () => {
    const next = numbersFrom(0x5eed + name.length);
    for (let i = 0; i < 40; i++) {
      // Half of the bytes come from the first tenth, where roots and messages stand.
      const at = next() % (i % 2 === 0 ? vector.proof.length : Math.ceil(vector.proof.length / 10));
      const bytes = vector.proof.slice();
      bytes[at] = (bytes[at] ?? 0) ^ (1 + (next() % 255));
      expect(vector.check(bytes), `byte ${at}`).toMatchObject({ accepted: false });
    }
  });
});

describe.each(PROOFS)("inner checks of %s, with the challenges of the honest proof", (name) => {
  const vector = readVector(name);
  const at = places(vector.json.shape as Shape, vector.json.options as Options);
  const { H } = at.circuit.witness;
  const { transcript, answers } = recording();
  const honest = vector.check(vector.proof, transcript);
  const again = (proof: Uint8Array) => vector.check(proof, replaying(answers));
  const refusedBy = (proof: Uint8Array): string => {
    const outcome = again(proof);
    return outcome.accepted ? "accepted" : outcome.check;
  };

  test("the replay accepts the honest proof", () => {
    expect(honest).toEqual({ accepted: true });
    expect(again(vector.proof)).toEqual({ accepted: true });
  });

  test("a changed message of either sumcheck misses the linear target", () => {
    for (const [from, to] of [
      [at.first, at.product],
      [at.product, at.uc],
    ] as const) {
      const last = to - 4;
      for (const place of [from, from + 20, last]) expect(refusedBy(plus(vector.proof, place, 1n))).toMatch(/^3/);
    }
  });

  test("each of the three polynomials is held by its own check", () => {
    expect(refusedBy(plus(vector.proof, at.proximity + 40, 7n))).toMatch(/^5/);
    expect(refusedBy(plus(vector.proof, at.linear + 4, 7n))).toMatch(/^6/);
    expect(refusedBy(plus(vector.proof, at.linear + 4 * H, 7n))).toMatch(/^3/);
    expect(refusedBy(plus(vector.proof, at.products + 8, 7n))).toMatch(/^4/);
    // A multiple of X^H − 1 vanishes on the subgroup, so only the opened columns see it.
    const multiple = plus(plus(vector.proof, at.products, P - 1n), at.products + 4 * H, 1n);
    expect(refusedBy(multiple)).toMatch(/^7/);
    // The same for the linear test: a sum of zero over the subgroup.
    const sumless = plus(plus(vector.proof, at.linear, P - 1n), at.linear + 4 * H, 1n);
    expect(refusedBy(sumless)).toMatch(/^6/);
  });

  test("a word that is not below p is refused", () => {
    const small = Array.from({ length: 4000 }, (_, i) => at.first + 4 * i).find(
      (p) => word(vector.proof, p) < 2n ** 32n - P,
    );
    expect(small).toBeDefined();
    expect(refusedBy(withWord(vector.proof, small as number, word(vector.proof, small as number) + P))).toMatch(
      /not below p/,
    );
  });

  if (at.circuit.hiddenWeights)
    test("the combination of the weights is held at both ends", () => {
      const { C, kW } = at.circuit.weights;
      expect(refusedBy(plus(vector.proof, at.uc, 1n))).toMatch(/^3/);
      expect(refusedBy(plus(vector.proof, at.uc + 4 * C, 1n))).toMatch(/^8/);
      expect(refusedBy(plus(vector.proof, at.uc + 4 * kW - 4, 1n))).toMatch(/^8/);
    });

  test("another output, input, context or root is refused, by the constraints where they see it", () => {
    const { json } = vector;
    const hex = (key: string): Uint8Array => new Uint8Array(Buffer.from(String(json[key]), "hex"));
    const base = readVector(name).statement;
    if (!base) throw new Error("a proof has a statement");
    const output = base.output.map((v, i) => (i === 0 ? v + 1 : v));
    const frozen = checkProof({ ...base, output }, vector.proof, replaying(answers));
    expect(frozen).toMatchObject({ accepted: false, check: "3: linear target" });
    expect(checkProof({ ...base, output }, vector.proof)).toMatchObject({ accepted: false });
    // A logit that differs by p is the same number to every constraint: only check 1 refuses it (review R3).
    const wrapped = base.output.map((v, i) => (i === 0 ? v - Number(P) : v));
    expect(checkProof({ ...base, output: wrapped }, vector.proof, replaying(answers))).toMatchObject({
      check: "1: bound of the output",
    });
    const context = hex("context").map((b) => b ^ 1);
    expect(checkProof({ ...base, context }, vector.proof)).toMatchObject({ accepted: false });
    if (base.input) {
      const input = base.input.map((v, i) => (i === 0 ? v ^ 1 : v));
      expect(checkProof({ ...base, input }, vector.proof, replaying(answers))).toMatchObject({
        check: "3: linear target",
      });
    }
    if (base.inputRoot)
      expect(checkProof({ ...base, inputRoot: hex("context") }, vector.proof)).toMatchObject({ accepted: false });
  });
});

describe("inner checks of a link, with the challenges of the honest one", () => {
  const vector = readVector("link");
  const { transcript, answers } = recording();
  vector.check(vector.proof, transcript);
  const { C, kW, tW } = compile(vector.json.shape as Shape, vector.json.options as Options).weights;
  const again = (proof: Uint8Array) => vector.check(proof, replaying(answers));

  test("parent, child and the common part are each held", () => {
    expect(again(vector.proof)).toEqual({ accepted: true });
    expect(again(plus(vector.proof, 64, 1n))).toMatchObject({ check: "8: parent" });
    expect(again(plus(vector.proof, 64 + 4 * C, 1n))).toMatchObject({ check: "8: parent" });
    expect(again(plus(vector.proof, 64 + 16 * kW, 1n))).toMatchObject({ check: "8: child" });
    expect(again(plus(vector.proof, 64 + 16 * kW + 16 * tW - 4, 1n))).toMatchObject({ check: "8: child" });
  });
});

describe("inner checks of a registration, with the challenges of the honest one", () => {
  const vector = readVector("registration");
  const { transcript, answers } = recording();
  vector.check(vector.proof, transcript);
  const { weights: w, witness: f } = compile(vector.json.shape as Shape, vector.json.options as Options);
  const n = vars(w.RW) + vars(w.C);
  const uc = 128 + 16 * ((3 * n * (n - 1)) / 2 + 4 * n);
  const proximity = uc + 16 * w.kW;
  const linear = proximity + 16 * (f.H + f.most);
  const products = linear + 16 * (2 * f.H + f.most);
  const refusedBy = (proof: Uint8Array): string => {
    const outcome = vector.check(proof, replaying(answers));
    return outcome.accepted ? "accepted" : outcome.check;
  };

  test("each message is held by its own check", () => {
    expect(refusedBy(vector.proof)).toBe("accepted");
    // The four ends of the top of the tree, one round, and the ends of the last level.
    for (const at of [128, 144, 160, 176, 192, uc - 16, uc - 64])
      expect(refusedBy(plus(vector.proof, at, 1n))).toMatch(/^3/);
    expect(refusedBy(plus(vector.proof, uc, 1n))).toMatch(/^3/);
    expect(refusedBy(plus(vector.proof, uc + 4 * w.C, 1n))).toMatch(/^8/);
    expect(refusedBy(plus(vector.proof, proximity, 1n))).toMatch(/^5/);
    expect(refusedBy(plus(vector.proof, linear + 4, 1n))).toMatch(/^6/);
    expect(refusedBy(plus(vector.proof, products + 4, 1n))).toMatch(/^4/);
    expect(refusedBy(plus(plus(vector.proof, products, P - 1n), products + 4 * f.H, 1n))).toMatch(/^7/);
  });

  test("is not one of another root", () => {
    const root = new Uint8Array(Buffer.from(String(readVector("link").json.child), "hex"));
    const statement = { shape: vector.json.shape as Shape, options: vector.json.options as Options, root };
    expect(checkRegistration(statement, vector.proof)).toMatchObject({ accepted: false });
    expect(checkRegistration(statement, vector.proof, replaying(answers))).toMatchObject({ check: "path of weights" });
  });
});

describe("biases of open weights", () => {
  test("digits give the bias back", () => {
    for (const [bias, d] of [
      [0, 3],
      [-1, 3],
      [64, 3],
      [-2101312, 3],
      [2088895, 3],
      [2 ** 30, 4],
      [-(2 ** 28), 4],
    ] as const) {
      const fits = outcomeOf(() => {
        const digits = biasDigits(bias, d);
        expect(digits.reduce((sum, digit, e) => sum + digit * 128 ** e, 0)).toBe(bias);
      });
      expect(fits.accepted).toBe(bias !== 2 ** 30);
    }
  });

  test("a bias that its digits cannot hold is refused: p + 5 is an int32 and would pass for 5", () => {
    expect(Number(P) + 5).toBeLessThan(2 ** 31);
    for (const d of [3, 4]) expect(outcomeOf(() => biasDigits(Number(P) + 5, d))).toMatchObject({ accepted: false });
    for (const d of [3, 4]) expect(outcomeOf(() => biasDigits(-(2 ** 31), d))).toMatchObject({ accepted: false });
  });
});
