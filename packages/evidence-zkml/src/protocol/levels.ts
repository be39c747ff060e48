import { variables } from "../circuit/code.ts";
import type { Circuit } from "../circuit/compile.ts";
import {
  type RegistrationSizes,
  registrationSoundness,
  reportSoundness,
  type Soundness,
} from "../circuit/soundness.ts";
import { type Ext, type Field, one, zero } from "../field.ts";
import { eqPoint, type Form, step } from "./form.ts";
import { wordBytes } from "./prove.ts";
import type { Transcript } from "./transcript.ts";
import type { MessageSizes } from "./wire.ts";

/** int8: all values that a committed word may have. */
export const tableSize = 256;
export const tableValue = (i: number): number => i - 128;

/** Variables of the rows and of the columns of the weight matrix. */
export const sizes = (c: Circuit) => {
  const rows = variables(c.weight.rows);
  const columns = variables(c.weight.columns);
  return { rows, columns, levels: rows + columns };
};

/** The circuit whose witness is that of a registration: counts, pads and the products of each level (spec/zkml.md §7.5). */
export function registrationCircuit(circuit: Circuit): Circuit {
  const f = circuit.witness;
  const { levels } = sizes(circuit);
  const pads = (3 * levels * (levels - 1)) / 2 + 4 * levels;
  const tableRows = Math.ceil(tableSize / f.row);
  const padRows = Math.ceil(pads / f.row);
  const rows = [0, tableRows + 4 * padRows, 0, 12] as const;
  const allRows = rows.reduce((a, b) => a + b, 0);
  return {
    ...circuit,
    input: "public",
    variables: { ...circuit.variables, rows: variables(allRows + 1) },
    witness: {
      ...f,
      slots: f.row,
      blocks: 0,
      inputColumns: 0,
      lookups: 0,
      tableSize,
      tableRows,
      pads,
      padRows,
      rows,
      allRows,
    },
  };
}

/** What a registration of a circuit's weights proves. */
export function soundnessOfRegistration(circuit: Circuit): Soundness {
  return registrationSoundness(circuit, registrationSizes(circuit));
}

function registrationSizes(circuit: Circuit): RegistrationSizes {
  const { rows, levels } = sizes(circuit);
  return { rows: registrationCircuit(circuit).variables.rows, rowVariables: rows, levels };
}

/** Bits that a report proves: the proof, its links and, where there is one, the registration, all together. */
export const bitsOfReport = (circuit: Circuit, links: number, registered: boolean): number =>
  reportSoundness(circuit, links, registered ? registrationSizes(circuit) : undefined);

/** Each level has its rounds of three values, then four values. */
export const messageSizes = (circuit: Circuit): MessageSizes => ({
  lookups: Array.from({ length: sizes(circuit).levels }, (_, k) => [...Array.from({ length: k }, () => 12), 16]).flat(),
  products: [],
});

/** A claim with pads by number. */
const hiddenValue = (f: Field, message: Ext, pad: number): Form => ({
  public: message,
  pads: [...Array.from({ length: pad }, () => zero), f.neg(one)],
  start: zero,
});
const combine = (f: Field, a: Form, x: Ext, b: Form): Form => ({
  public: f.add(a.public, f.mul(x, b.public)),
  pads: Array.from({ length: Math.max(a.pads.length, b.pads.length) }, (_, i) =>
    f.add(a.pads[i] ?? zero, f.mul(x, b.pads[i] ?? zero)),
  ),
  start: zero,
});

/** One level of the tree of fractions: what was drawn and sent at it. */
type Level = {
  readonly mu: Ext;
  /** eq of the level's point and the rounds' point. */
  readonly eq: Ext;
  readonly claim: Form;
  /** p0, p1, q0, q1. */
  readonly values: readonly [Form, Form, Form, Form];
};
export type Levels = {
  readonly levels: readonly Level[];
  readonly point: readonly Ext[];
  readonly p: Form;
  readonly q: Form;
};

/** Where a prover's messages come from, or a checker's. */
type Source = {
  readonly begin: (level: number, point: readonly Ext[], mu: Ext) => void;
  readonly round: (level: number) => readonly Ext[];
  readonly bind: (challenge: Ext) => void;
  readonly values: () => readonly Ext[];
};

/** Walks the levels from the root to the leaves; prover and checker draw the same challenges. */
export function walk(t: Transcript, f: Field, count: number, source: Source): Levels {
  const levels: Level[] = [];
  let point: readonly Ext[] = [];
  let p: Form = { public: zero, pads: [], start: zero };
  let q = p;
  let pads = 0;
  for (let level = 0; level < count; level++) {
    const mu = level === 0 ? zero : (t.draw("gamma", 1)[0] as Ext);
    source.begin(level, point, mu);
    let claim = combine(f, p, mu, q);
    const bound: Ext[] = [];
    for (let v = 0; v < level; v++) {
      const message = source.round(pads);
      t.absorb("lookupRound", wordBytes(f, message));
      const x = t.draw("sigma", 1)[0] as Ext;
      // Pads of the claim that come before this round's are padded to their numbers by `step`.
      claim = step(f, { ...claim, pads: fill(claim.pads, pads) }, message, x);
      source.bind(x);
      bound.push(x);
      pads += 3;
    }
    const sent = source.values().map((m, i): [Ext, number] => [m, pads + i]);
    t.absorb(
      "productRound",
      wordBytes(
        f,
        sent.map(([m]) => m),
      ),
    );
    const values = sent.map(([m, i]) => hiddenValue(f, m, i)) as unknown as Level["values"];
    pads += 4;
    levels.push({ mu, eq: eqPoint(f, point, bound), claim, values });
    const c = t.draw("rho", 1)[0] as Ext;
    const [p0, p1, q0, q1] = values;
    p = combine(f, combine(f, p0, f.neg(c), p0), c, p1);
    q = combine(f, combine(f, q0, f.neg(c), q0), c, q1);
    point = [c, ...bound];
  }
  return { levels, point, p, q };
}

const fill = (pads: readonly Ext[], count: number): readonly Ext[] => [
  ...pads,
  ...Array.from({ length: Math.max(0, count - pads.length) }, () => zero),
];
