import { P } from "../field.ts";
import type { Circuit } from "./compile.ts";

/** One way to cheat and the probability that it passes, as bits. */
export type Term = { readonly name: string; readonly bits: number };
/** What the parameters prove: the sum of all terms, round by round; `reached` is computed in whole numbers. */
export type Soundness = { readonly terms: readonly Term[]; readonly bits: number; readonly reached: boolean };

const field = BigInt(P) ** 4n;
/** Probabilities are counted in units of 2^−precision, rounded up. */
const precision = 512n;

/**
 * Adds up every way to cheat (spec/zkml.md §8): proximity by unique decoding only, no conjecture.
 * The tensor combination is counted with twice the published constant.
 */
export function soundnessOf(c: Omit<Circuit, "soundness">, bits: number): Soundness {
  const { terms, proof, link } = errorsOf(c);
  const most = proof > link ? proof : link;
  return {
    terms: terms.map(([name, t]) => ({ name, bits: bitsOf(t) })),
    bits: bitsOf(most),
    reached: most << BigInt(bits) <= 1n << precision,
  };
}

type Errors = { readonly terms: readonly (readonly [string, bigint])[]; readonly proof: bigint; readonly link: bigint };

/** Probabilities, in units, that a false proof or a false link of a circuit passes. */
function errorsOf(c: Omit<Circuit, "soundness">): Errors {
  const { weight: w, witness: f, variables: v } = c;
  const overField = (n: number): bigint => (BigInt(n) << precision) / field + 1n;
  const power = (length: number, degree: number, queries: number): bigint =>
    ((BigInt(length + degree) ** BigInt(queries)) << precision) / BigInt(2 * length) ** BigInt(queries) + 1n;
  const constraints = 2 * f.lookups + 7;
  const hidden = c.weights === "hidden";
  const groupBits = Math.log2(w.group);
  const terms: [string, bigint][] = [
    ["proximity of the witness, tensor of the row variables", overField(2 * v.rows * f.length)],
    ["linear test as a curve in lambda", overField((constraints + 1) * f.length)],
    ["product test as a line in nu", overField(f.length)],
    ["lookups", overField(3 * (f.lookups * f.slots + f.tableSize))],
    ["first sumcheck, tau and gamma", overField(3 * v.slots + v.slots + f.lookups)],
    ["product sumcheck, r and rho", overField(2 * (v.inputs + v.layers) + v.outputs + c.shape.layers.length)],
    ["lambda, nu", overField(constraints + 2)],
    ["queries of the witness", power(f.length, f.degree, f.queries)],
  ];
  if (hidden)
    terms.push(
      [
        "proximity of the weights, tensor of row variables and chi",
        overField(2 * (v.outputs - groupBits + v.layers + 1) * w.length),
      ],
      ["chi and scaled rows", overField(2)],
      ["queries of the weights", power(w.length, w.degree, w.queries)],
    );
  const proof = terms.reduce((a, [, t]) => a + t, 0n);
  // A link opens two commitments of this circuit and has no witness.
  const link = 2n * terms.slice(8).reduce((a, [, t]) => a + t, 0n);
  return { terms, proof, link };
}

/** −log2(proof + links · link + registration): what a whole report proves. */
export function reportSoundness(
  c: Omit<Circuit, "soundness">,
  links: number,
  registration: RegistrationSizes | undefined,
): number {
  const { proof, link } = errorsOf(c);
  const registered = registration ? registrationErrors(c, registration).reduce((a, [, t]) => a + t, 0n) : 0n;
  return bitsOf(proof + BigInt(links) * link + registered);
}

/** `rows` variables of a registration's witness, `rowVariables` of the weights' rows, `levels` of its tree. */
export type RegistrationSizes = { readonly rows: number; readonly rowVariables: number; readonly levels: number };

/**
 * What a registration proves: `rows` variables of its witness, `levels` of its tree (spec/zkml.md §7.5).
 * Poles of the sum of fractions are counted by the words that there are.
 */
export function registrationSoundness(
  c: Pick<Circuit, "weight" | "witness">,
  sizes: RegistrationSizes,
  bits = 100,
): Soundness {
  const terms = registrationErrors(c, sizes);
  const total = terms.reduce((a, [, t]) => a + t, 0n);
  return {
    terms: terms.map(([name, t]) => ({ name, bits: bitsOf(t) })),
    bits: bitsOf(total),
    reached: total << BigInt(bits) <= 1n << precision,
  };
}

function registrationErrors(
  c: Pick<Circuit, "weight" | "witness">,
  { rows, rowVariables, levels }: RegistrationSizes,
): readonly (readonly [string, bigint])[] {
  const { weight: w, witness: f } = c;
  const overField = (n: number): bigint => (BigInt(n) << precision) / field + 1n;
  const power = (length: number, degree: number, queries: number): bigint =>
    ((BigInt(length + degree) ** BigInt(queries)) << precision) / BigInt(2 * length) ** BigInt(queries) + 1n;
  const constraints = 7 * levels + 5;
  return [
    ["proximity of the witness, tensor of the row variables", overField(2 * rows * f.length)],
    ["linear test as a curve in lambda", overField((constraints + 1) * f.length)],
    ["product test as a line in nu", overField(f.length)],
    ["lookup of all words", overField(w.rows * w.columns + 256)],
    ["sumchecks of the levels", overField((3 * levels * (levels + 1)) / 2 + 3 * levels)],
    ["lambda, nu, chi", overField(constraints + 3)],
    ["queries of the witness", power(f.length, f.degree, f.queries)],
    ["proximity of the weights, tensor of row variables and chi", overField(2 * (rowVariables + 1) * w.length)],
    ["queries of the weights", power(w.length, w.degree, w.queries)],
  ];
}

/** −log2 of a probability, for people; no decision rests on it. */
const bitsOf = (t: bigint): number => {
  const length = t.toString(2).length;
  const shift = BigInt(Math.max(0, length - 50));
  return Number((Number(precision - shift) - Math.log2(Number(t >> shift))).toFixed(2));
};
