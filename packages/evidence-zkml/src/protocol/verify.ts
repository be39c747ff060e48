import { equalBytes } from "@countersign/core";
import type { Circuit } from "../circuit/compile.ts";
import { type Ext, type Field, P, same, zero } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { boundOf, inputsOf } from "../model.ts";
import type { Codes } from "./codes.ts";
import type { Combination } from "./combination.ts";
import { eqTable, type Run, tableInverses } from "./constraints.ts";
import { claimForm, type Form, step, zeroForm } from "./form.ts";
import { combineConstraints, type TestPoint } from "./ligero.ts";
import { agree, checkOpening } from "./opening.ts";
import { absorbStatement, bytesOf, type Rules, type Statement } from "./statement.ts";
import type { Transcript } from "./transcript.ts";
import { climb, pathLength, saltWords } from "./tree.ts";
import { evaluateWeights, rowCoefs, weightValue } from "./weights.ts";
import { openedSizes, type Parsed } from "./wire.ts";

/** What a checker works with. */
export type Checker = { readonly circuit: Circuit; readonly k: Kernels; readonly f: Field; readonly codes: Codes };

/** All that the checks look at. */
export type Seen = Checker & {
  readonly statement: Statement;
  readonly proof: Parsed;
  readonly point: TestPoint;
  readonly combination: Combination;
  readonly witnessColumns: readonly number[];
  readonly weightColumns: readonly number[];
  /** Opened columns in the kernels' memory: rows of `stride` words, salts first. */
  readonly opened: readonly { readonly at: number; readonly rows: number; readonly stride: number }[];
  readonly weightCoefs: number;
};

/** One check; a proof stands when all hold. */
export type ProofCheck = { readonly name: string; readonly holds: (s: Seen) => boolean };

/** Matrices of the witness that are opened, by name. */
const openedIndex = (c: Circuit) => {
  const first = c.input === "hidden" ? 1 : 0;
  return { first, second: first + 1, third: first + 2, weights: first + 3, mask: first + 4 };
};

/** Reads the proof as the transcript does and draws every challenge; undefined when alpha is a table value. */
export function follow(
  checker: Checker,
  statement: Statement,
  layout: Int8Array | undefined,
  proof: Parsed,
  rules: Rules,
): Seen | undefined {
  const { circuit, k, f } = checker;
  const hidden = circuit.weights === "hidden";
  const t = rules.transcript(k, f);
  absorbStatement(t, circuit, statement);
  const [firstRoot, ...others] = proof.roots as [Uint8Array, ...Uint8Array[]];
  t.absorb("firstRoot", firstRoot);
  if (hidden) t.absorb("maskRoot", others.shift() as Uint8Array);
  const [secondRoot, thirdRoot] = others as [Uint8Array, Uint8Array];
  const [alpha, beta] = [...t.draw("alpha", 1), ...t.draw("beta", 1)] as [Ext, Ext];
  t.absorb("secondRoot", secondRoot);
  const tau = t.draw("tau", circuit.variables.slots);
  const [gamma] = t.draw("gamma", 1) as [Ext];
  const lookups = rounds(t, f, proof.lookupMessages, "lookupRound", "sigma", zeroForm);
  const r = t.draw("r", circuit.variables.outputs);
  const [rho] = t.draw("rho", 1) as [Ext];
  const products = rounds(t, f, proof.productMessages, "productRound", "s", claimForm);
  t.absorb("thirdRoot", thirdRoot);
  const s = products.point;
  let weights: Run["weights"];
  let weightCoefs = 0;
  if (hidden) {
    const [chi] = t.draw("chi", 1) as [Ext];
    t.absorb("combination", bytesOf(proof.combination));
    weights = {
      mode: "hidden",
      chi,
      value: weightValue(k, f, circuit, proof.combination, circuit.weight.degree, r, s),
    };
    weightCoefs = rowCoefs(k, f, circuit, { r, rho, s, chi });
  } else weights = { mode: "open", value: evaluateWeights(k, f, circuit, layout as Int8Array, { r, rho, s }) };
  const [lambda] = t.draw("lambda", 1) as [Ext];
  const kappa = t.draw("kappa", circuit.variables.rows);
  const [nu] = t.draw("nu", 1) as [Ext];
  t.absorb("proximity", bytesOf(proof.proximity));
  t.absorb("linear", bytesOf(proof.linear));
  t.absorb("product", bytesOf(proof.product));
  const witnessColumns = t.columns(circuit.witness.queries, circuit.witness.length);
  const weightColumns = hidden ? t.columns(circuit.weight.queries, circuit.weight.length) : [];
  if (k.scope(() => tableInverses(k, f, circuit, alpha, beta)) === undefined) return undefined;
  const run: Run = {
    alpha,
    beta,
    tau,
    gamma,
    sigma: lookups.point,
    lookups: lookups.form,
    r,
    rho,
    s,
    products: products.form,
    weights,
    input: statement.input.kind === "public" ? statement.input.values : undefined,
    output: statement.output,
  };
  return {
    ...checker,
    statement,
    proof,
    point: { lambda, kappa, nu },
    combination: combineConstraints(checker, run, lambda, rules.constraints(circuit)),
    witnessColumns,
    weightColumns,
    opened: layOpened(checker, proof),
    weightCoefs,
  };
}

function rounds(
  t: Transcript,
  f: Field,
  messages: readonly (readonly number[])[],
  what: "lookupRound" | "productRound",
  name: "sigma" | "s",
  start: Form,
): { readonly form: Form; readonly point: readonly Ext[] } {
  let form = start;
  const point: Ext[] = [];
  for (const words of messages) {
    t.absorb(what, bytesOf(Uint32Array.from(words)));
    const [q] = t.draw(name, 1) as [Ext];
    form = step(
      f,
      form,
      Array.from({ length: words.length / 4 }, (_, i) => f.from(words, 4 * i)),
      q,
    );
    point.push(q);
  }
  return { form, point };
}

/** Copies opened columns to rows whose length is a multiple of four. */
export function layOpened({ circuit, k }: Checker, proof: Parsed): Seen["opened"] {
  return openedSizes(circuit).map(({ rows, queries }, m) => {
    const stride = Math.ceil(queries / 4) * 4;
    const at = k.zeros(4 * rows * stride);
    const to = k.u32(at, rows * stride);
    const from = proof.columns[m] as Uint32Array;
    for (let r = 0; r < rows; r++) to.set(from.subarray(r * queries, (r + 1) * queries), r * stride);
    return { at, rows, stride };
  });
}

/** Public logits lie within what the last layer can give: integers, not residues (R3). */
const outputBound: ProofCheck = {
  name: "bound of the output",
  holds: ({ circuit, statement }) => {
    const { layers, biasDigits } = circuit.shape;
    const bound = boundOf(inputsOf(circuit.shape, layers.length - 1), biasDigits);
    return statement.output.every((v) => Math.abs(v) <= bound);
  },
};

const paths: ProofCheck = {
  name: "Merkle paths",
  holds: ({ circuit, k, statement, proof, opened, witnessColumns, weightColumns }) => {
    const roots = [...proof.roots];
    const mask = circuit.weights === "hidden" ? roots.splice(1, 1) : [];
    const all = [
      ...(statement.input.kind === "hidden" ? [statement.input.root] : []),
      ...roots,
      ...(circuit.weights === "hidden" ? [statement.weights, ...mask] : []),
    ];
    let at = 0;
    let good = true;
    opened.forEach((columns, m) => {
      const ofWeights = m >= openedIndex(circuit).weights;
      const indices = ofWeights ? weightColumns : witnessColumns;
      const length = ofWeights ? circuit.weight.length : circuit.witness.length;
      const size = pathLength(indices, length);
      const path = proof.path.subarray(at, at + size);
      at += size;
      good = good && path.length === size && equalBytes(climb(k, columns, indices, length, path), all[m] as Uint8Array);
    });
    return good && at === proof.path.length;
  },
};

/** The sum of the linear polynomial over the subgroup is what the constraints say. */
const linearSum: ProofCheck = {
  name: "linear target",
  holds: ({ circuit, f, proof, combination }) => {
    const { row, linear } = circuit.witness;
    let sum = zero;
    for (let i = 0; i < linear; i += row)
      sum = f.add(sum, f.from([0, 1, 2, 3].map((q) => proof.linear[q * linear + i] as number)));
    return same(f.mul(sum, f.int(row)), combination.target);
  },
};

const productVanishes: ProofCheck = {
  name: "products vanish",
  holds: ({ circuit, proof }) => {
    const { row, product } = circuit.witness;
    for (let q = 0; q < 4; q++)
      for (let i = 0; i < row; i++) {
        let sum = 0;
        for (let j = i; j < product; j += row) sum += proof.product[q * product + j] as number;
        if (sum % P !== 0) return false;
      }
    return true;
  },
};

/** Planes of `stride` canonical words: values of four planes of coefficients at the opened columns. */
function encodeAt(
  { circuit, k, codes }: Checker,
  planes: Uint32Array,
  columns: readonly number[],
  stride: number,
): number {
  const { length } = circuit.witness;
  const count = planes.length / 4;
  const out = k.zeros(16 * stride);
  k.scope(() => {
    const at = k.alloc(4 * length);
    for (let q = 0; q < 4; q++) {
      k.u32(at, count).set(planes.subarray(q * count, (q + 1) * count));
      codes.evaluate(at, count, length);
      k.gather(at, 1, length, k.put(columns), columns.length, out + 4 * stride * q, stride);
    }
  });
  return out;
}

/** Address of each opened row of the witness, and of the rows of a mask. */
function openedRows({ circuit, opened }: Seen): {
  readonly rowOf: readonly number[];
  readonly mask: (m: number) => number;
} {
  const { input, ...index } = { input: 0, ...openedIndex(circuit) };
  const at = (m: number, row: number): number => {
    const o = opened[m] as Seen["opened"][number];
    return o.at + 4 * o.stride * (saltWords + row);
  };
  const rows = circuit.witness.rows;
  const matrices =
    circuit.input === "hidden"
      ? [input, index.first, index.second, index.third]
      : [-1, index.first, index.second, index.third];
  return {
    rowOf: rows.flatMap((count, m) => Array.from({ length: count }, (_, r) => at(matrices[m] as number, r))),
    mask: (m) => at(index.first, (rows[1] as number) + 4 * m),
  };
}

const strideOf = (s: Seen): number => (s.opened[0] as Seen["opened"][number]).stride;

const proximity: ProofCheck = {
  name: "proximity of the witness",
  holds: (s) =>
    s.k.scope(() => {
      const { k, circuit, witnessColumns } = s;
      const stride = strideOf(s);
      const rows = openedRows(s);
      const sum = k.alloc(16 * stride);
      k.u32(sum, 4 * stride).set(k.u32(rows.mask(0), 4 * stride));
      const weights = eqTable(k, s.point.kappa);
      rows.rowOf.forEach((at, r) => {
        k.axpyPlanes(at, stride, weights + 16 * r, sum);
      });
      return agree(k, sum, encodeAt(s, s.proof.proximity, witnessColumns, stride), circuit.witness.queries, stride);
    }),
};

const linear: ProofCheck = {
  name: "linear test",
  holds: (s) =>
    s.k.scope(() => {
      const { k, codes, circuit, combination, witnessColumns } = s;
      const { row, length, queries } = circuit.witness;
      const stride = strideOf(s);
      const rows = openedRows(s);
      const sums = combination.bases.map(() => k.zeros(16 * stride));
      combination.rows.forEach((coefs, r) => {
        coefs.forEach((coef, basis) => {
          k.scope(() => k.axpyPlanes(rows.rowOf[r] as number, stride, k.put(coef), sums[basis] as number));
        });
      });
      const sum = k.alloc(16 * stride);
      k.u32(sum, 4 * stride).set(k.u32(rows.mask(1), 4 * stride));
      const values = k.zeros(16 * stride);
      const plane = k.alloc(4 * length);
      const indices = k.put(witnessColumns);
      combination.bases.forEach((basis, i) => {
        for (let q = 0; q < 4; q++) {
          k.u32(plane, row).set(k.u32(basis + 4 * row * q, row));
          codes.interpolate(plane);
          codes.evaluate(plane, row, length);
          k.gather(plane, 1, length, indices, queries, values + 4 * stride * q, stride);
        }
        k.mulAccPlanes(values, sums[i] as number, stride, sum);
      });
      return agree(k, sum, encodeAt(s, s.proof.linear, witnessColumns, stride), queries, stride);
    }),
};

const product: ProofCheck = {
  name: "product test",
  holds: (s) => {
    const { k, f, circuit, witnessColumns, point } = s;
    const { queries } = circuit.witness;
    const stride = strideOf(s);
    const third = s.opened[openedIndex(circuit).third] as Seen["opened"][number];
    return k.scope(() => {
      const sent = encodeAt(s, s.proof.product, witnessColumns, stride);
      const element = (at: number, i: number): Ext =>
        f.from([0, 1, 2, 3].map((q) => k.u32(at + 4 * stride * q, stride)[i] as number));
      const matrix = (m: number): number => third.at + 4 * stride * (saltWords + 4 * m);
      const mask = openedRows(s).mask(2);
      for (let i = 0; i < queries; i++) {
        const off = f.sub(f.mul(element(matrix(0), i), element(matrix(1), i)), element(matrix(2), i));
        if (!same(f.add(f.mul(point.nu, off), element(mask, i)), element(sent, i))) return false;
      }
      return true;
    });
  },
};

const weightOpening: ProofCheck = {
  name: "weight opening",
  holds: (s) => {
    const { circuit, k, proof, opened, weightCoefs, weightColumns } = s;
    if (circuit.weights === "open") return true;
    const index = openedIndex(circuit);
    return checkOpening(
      s,
      {
        combination: proof.combination,
        coefs: weightCoefs,
        columns: weightColumns,
        weights: opened[index.weights] as Seen["opened"][number],
        mask: opened[index.mask] as Seen["opened"][number],
      },
      k,
    );
  },
};

/** Every check of a proof. */
export const proofChecks: readonly ProofCheck[] = [
  outputBound,
  paths,
  linearSum,
  productVanishes,
  proximity,
  linear,
  product,
  weightOpening,
];

/** Names of the checks that fail. */
export const failures = (seen: Seen, checks: readonly ProofCheck[] = proofChecks): readonly string[] =>
  checks.filter((c) => !c.holds(seen)).map((c) => c.name);
