import { type Circuit, tableOf, tags, upperTags } from "../circuit/compile.ts";
import { type Ext, type Field, one, zero } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { inputsOf, type LayerShape, shiftOf } from "../model.ts";
import type { Builder, Vector } from "./combination.ts";
import { eqPoint, type Form } from "./form.ts";
import { constantsOf, firstRows } from "./witness.ts";

/** Challenges and messages of a proof up to the linear test. */
export type Run = {
  readonly alpha: Ext;
  readonly beta: Ext;
  readonly tau: readonly Ext[];
  readonly gamma: Ext;
  readonly sigma: readonly Ext[];
  readonly lookups: Form;
  readonly r: readonly Ext[];
  readonly rho: Ext;
  readonly s: readonly Ext[];
  readonly products: Form;
  /** Open weights: the value of U at s. Hidden weights: chi, and <uc, eq> of the combination sent. */
  readonly weights:
    | { readonly mode: "open"; readonly value: Ext }
    | { readonly mode: "hidden"; readonly chi: Ext; readonly value: Ext };
  /** The input if it is public. */
  readonly input: Int8Array | undefined;
  readonly output: Int32Array;
};

/** What constraints are written with. */
export type Terms = {
  readonly k: Kernels;
  readonly f: Field;
  readonly circuit: Circuit;
  readonly run: Run;
  readonly build: Builder;
  readonly at: ReturnType<typeof firstRows>;
  /** eq(sigma, ·) over the slots. */
  readonly sigmaTable: number;
  readonly sigmaVector: Vector;
  readonly rTable: number;
  readonly sTable: number;
};

/** One claim of the linear test; it adds itself with the weight that it is given. */
export type Constraint = { readonly name: string; readonly add: (t: Terms, weight: Ext) => void };

/** Table of eq(point, ·) in the kernels' memory. */
export function eqTable(k: Kernels, point: readonly Ext[]): number {
  const out = k.alloc(16 * 2 ** point.length);
  k.scope(() => k.eqTable(k.put(point.flat()), point.length, out));
  return out;
}

export function makeTerms(k: Kernels, f: Field, circuit: Circuit, run: Run, build: Builder): Terms {
  const sigmaTable = eqTable(k, run.sigma);
  return {
    k,
    f,
    circuit,
    run,
    build,
    at: firstRows(circuit),
    sigmaTable,
    sigmaVector: build.vector(sigmaTable, circuit.witness.slots),
    rTable: eqTable(k, run.r),
    sTable: eqTable(k, run.s),
  };
}

export const powers = (f: Field, base: Ext, n: number): readonly Ext[] => {
  const out: Ext[] = [one];
  while (out.length < n) out.push(f.mul(out.at(-1) as Ext, base));
  return out;
};

/** 1/(alpha − T_t) of every table entry, or undefined when alpha is a table value. */
export function tableInverses(k: Kernels, f: Field, circuit: Circuit, alpha: Ext, beta: Ext): number | undefined {
  const table = tableOf(circuit.shape, circuit.input);
  const beta2 = f.mul(beta, beta);
  const beta3 = f.mul(beta2, beta);
  const values = k.alloc(16 * table.length);
  const view = k.u32(values, 4 * table.length);
  table.forEach(([tag, a, b, c], i) => {
    let v = f.sub(f.sub(alpha, f.int(tag)), f.mul(beta, f.int(a)));
    if (b) v = f.sub(v, beta2);
    if (c) v = f.sub(v, beta3);
    view.set(v, 4 * i);
  });
  return invertAll(k, f, values, table.length);
}

/** Inverses of n elements, or undefined when one of them is zero. */
export function invertAll(k: Kernels, f: Field, values: number, n: number): number | undefined {
  const out = k.alloc(16 * n);
  k.invBatch(values, n, out);
  const product = f.get(out, n - 1);
  if (product.every((w) => w === 0)) return undefined;
  k.invBack(values, n, out, k.put(f.inv(product)));
  return out;
}

/** Σ eq(sigma, i)·tag(i). */
function upperTagAt({ k, f, circuit, sigmaTable }: Terms): Ext {
  const upper = upperTags(circuit);
  const eq = k.u32(sigmaTable, 4 * upper.length);
  const by = new Map<number, Ext>();
  upper.forEach((tag, i) => {
    const e: Ext = [eq[4 * i] as number, eq[4 * i + 1] as number, eq[4 * i + 2] as number, eq[4 * i + 3] as number];
    by.set(tag, f.add(by.get(tag) ?? zero, e));
  });
  return [...by].reduce((sum, [tag, e]) => f.add(sum, f.mul(f.int(tag), e)), zero);
}

const lookupBalance: Constraint = {
  name: "lookup balance",
  add: ({ k, f, circuit, run, build, at }, w) => {
    const { lookups, tableSize } = circuit.witness;
    for (let c = 0; c < lookups; c++) build.planes((q) => at.inverse(c, q), build.ones(), w);
    const inverses = tableInverses(k, f, circuit, run.alpha, run.beta);
    if (inverses !== undefined) build.column(at.table, build.vector(inverses, tableSize), f.neg(w));
  },
};

/** Slot 1 + c of A is the inverse column at sigma. */
const inverseAt = (c: number): Constraint => ({
  name: `inverse ${c}`,
  add: ({ f, build, at, sigmaVector }, w) => {
    build.slot(0, 1 + c, w);
    build.planes((q) => at.inverse(c, q), sigmaVector, f.neg(w));
  },
});

const signAt: Constraint = {
  name: "sign",
  add: ({ f, circuit, build, at, sigmaVector }, w) => {
    build.slot(0, 1 + circuit.witness.lookups, w);
    build.column(at.column("z0"), sigmaVector, f.neg(w));
  },
};

/** Slot 1 + c of B is alpha − f_c(sigma). */
const lookupAt = (c: number): Constraint => ({
  name: `lookup ${c}`,
  add: (t, w) => {
    const { f, run, build, at, sigmaVector } = t;
    const beta2 = f.mul(run.beta, run.beta);
    build.slot(1, 1 + c, w);
    const value = (row: number, coef: Ext) => build.column(row, sigmaVector, f.mul(w, coef));
    const tag = [f.int(tags.lo), upperTagAt(t), f.int(tags.l), f.int(tags.h)][c] ?? f.int(tags.input);
    build.public(f.mul(w, f.sub(run.alpha, tag)));
    if (c === 0) value(at.column("lo"), run.beta);
    else if (c === 1) value(at.column("hi"), run.beta);
    else if (c === 2) value(at.column("l"), run.beta);
    else if (c === 3) {
      value(at.column("h"), run.beta);
      value(at.column("z0"), beta2);
      value(at.column("zp"), f.mul(beta2, run.beta));
    } else value(at.input(c - 4), run.beta);
  },
});

const lowAt: Constraint = {
  name: "low part",
  add: ({ f, circuit, build, at, sigmaVector }, w) => {
    build.slot(1, 1 + circuit.witness.lookups, w);
    build.column(at.column("l"), sigmaVector, f.neg(w));
  },
};

/** The first sumcheck's last claim. */
const lookupClaim: Constraint = {
  name: "first sumcheck",
  add: ({ f, circuit, run, build, at, sigmaVector }, w) => {
    const { lookups } = circuit.witness;
    const e = f.mul(w, eqPoint(f, run.tau, run.sigma));
    const gammas = powers(f, run.gamma, lookups + 1);
    for (let c = 0; c < lookups; c++) {
      const eg = f.mul(e, gammas[c] as Ext);
      build.slot(2, 1 + c, eg);
      build.public(eg);
    }
    const eg = f.mul(e, gammas[lookups] as Ext);
    build.column(at.column("y"), sigmaVector, eg);
    build.slot(2, 1 + lookups, f.neg(eg));
    build.column(at.column("zp"), sigmaVector, f.neg(f.mul(eg, f.int(127))));
    build.public(f.mul(w, run.lookups.public));
    run.lookups.pads.forEach((coef, i) => {
      build.pad(i, f.neg(f.mul(w, coef)));
    });
  },
};

/** Slot 0 of A is U(s): the public value, or by the opening of the weights with the mask's value in slot mu. */
const weightAt: Constraint = {
  name: "weights",
  add: ({ f, circuit, run, build }, w) => {
    build.slot(0, 0, run.weights.mode === "hidden" ? f.mul(w, run.weights.chi) : w);
    if (run.weights.mode === "hidden") build.slot(0, 2 + circuit.witness.lookups, w);
    build.public(f.mul(w, run.weights.value));
  },
};

/** Slot 0 of B is X(s). */
const inputAt: Constraint = {
  name: "inputs of layers",
  add: ({ k, f, circuit, run, build, at, sTable }, w) => {
    build.slot(1, 0, w);
    const { slots, offsets, inputColumns } = circuit.witness;
    const width = 2 ** circuit.variables.inputs;
    const constants = constantsOf(circuit);
    let known = zero;
    const activations = k.zeros(16 * slots);
    circuit.shape.layers.forEach((_, l) => {
      const n = inputsOf(circuit.shape, l);
      const from = sTable + 16 * l * width;
      if (l > 0) k.u32(activations + 16 * (offsets[l - 1] as number), 4 * n).set(k.u32(from, 4 * n));
      constants.forEach((value, d) => {
        known = f.add(known, f.mul(f.get(from, n + d), f.int(value)));
      });
    });
    build.column(at.column("y"), build.vector(activations, slots), f.neg(w));
    const n = circuit.shape.inputs;
    if (run.input) {
      run.input.forEach((x, j) => {
        if (x !== 0) known = f.add(known, f.mul(f.get(sTable, j), f.int(x)));
      });
    } else
      for (let i = 0; i < inputColumns; i++) {
        const table = k.zeros(16 * slots);
        const count = Math.min(slots, n - i * slots);
        k.u32(table, 4 * count).set(k.u32(sTable + 16 * i * slots, 4 * count));
        build.column(at.input(i), build.vector(table, slots), f.neg(w));
      }
    build.public(f.mul(w, known));
  },
};

/** The product sumcheck: its last claim is slot 0 of C, its first the accumulators' sum, linear in the witness. */
const productClaim: Constraint = {
  name: "product sumcheck",
  add: ({ k, f, circuit, run, build, at, rTable }, w) => {
    const { slots, offsets } = circuit.witness;
    const first = 3 * circuit.variables.slots;
    build.slot(2, 0, w);
    build.public(f.mul(w, run.products.public));
    run.products.pads.forEach((coef, i) => {
      build.pad(first + i, f.neg(f.mul(w, coef)));
    });
    const z = f.mul(w, run.products.start);
    const layers = circuit.shape.layers;
    const rhos = powers(f, run.rho, layers.length);
    // Over the slots: rho^l·eq(r, i), and the same times 2^shift.
    const plain = k.zeros(16 * slots);
    const shifted = k.zeros(16 * slots);
    let known = zero;
    layers.forEach((layer: LayerShape, l) => {
      const scale = rhos[l] as Ext;
      if (l === layers.length - 1) {
        run.output.forEach((v, i) => {
          known = f.add(known, f.mul(f.mul(scale, f.get(rTable, i)), f.int(v)));
        });
        return;
      }
      const from = plain + 16 * (offsets[l] as number);
      k.scope(() => k.escale(rTable, layer.outputs, k.put(scale), from));
      const source = k.u32(from, 4 * layer.outputs);
      const target = k.u32(shifted + 16 * (offsets[l] as number), 4 * layer.outputs);
      for (let i = 0; i < layer.outputs; i++) {
        const s = shiftOf(layer, i);
        const by = k.toM(2 ** s);
        const half = k.toM(2 ** (s - 1));
        const e: Ext = [
          source[4 * i] as number,
          source[4 * i + 1] as number,
          source[4 * i + 2] as number,
          source[4 * i + 3] as number,
        ];
        target.set(
          e.map((v) => k.mul(v, by)),
          4 * i,
        );
        known = f.sub(known, e.map((v) => k.mul(v, half)) as unknown as Ext);
      }
    });
    const of = build.vector(plain, slots);
    const ofShifted = build.vector(shifted, slots);
    build.column(at.column("lo"), of, f.neg(z));
    build.column(at.column("hi"), of, f.neg(f.mul(z, f.int(256))));
    build.column(at.column("l"), ofShifted, f.neg(z));
    build.column(at.column("h"), ofShifted, f.neg(f.mul(z, f.int(128))));
    build.public(f.mul(z, known));
  },
};

/** All constraints in their order; number k has weight lambda^(k+1), the mask 1 (R5). */
export function constraintsOf(circuit: Circuit): readonly Constraint[] {
  const each = (make: (c: number) => Constraint) => Array.from({ length: circuit.witness.lookups }, (_, c) => make(c));
  return [
    lookupBalance,
    ...each(inverseAt),
    signAt,
    ...each(lookupAt),
    lowAt,
    lookupClaim,
    weightAt,
    inputAt,
    productClaim,
  ];
}
