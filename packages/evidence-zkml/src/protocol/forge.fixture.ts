import { type Circuit, type CircuitOptions, design, type Target } from "../circuit/compile.ts";
import { type Ext, type Field, makeField } from "../field.ts";
import { type Kernels, loadKernels, poison } from "../kernels/kernels.ts";
import { type ModelShape, type QuantModel, requantise, run, shiftOf, type Trace } from "../model.ts";
import { randomInput, randomModel } from "../nets.fixture.ts";
import { makeCodes } from "./codes.ts";
import { plantInput } from "./input.ts";
import type { Moves } from "./moves.ts";
import { writeProof } from "./prove.ts";
import { type Committed, commitWeights, digestWeights, type Prepared, prepare } from "./prover.ts";
import { drawSecrets, type Secrets } from "./secrets.ts";
import { type Rules, rules, type Statement } from "./statement.ts";
import type { Challenge, Transcript } from "./transcript.ts";
import { failures, follow, type ProofCheck, proofChecks } from "./verify.ts";
import { parseProof } from "./wire.ts";
import { count, layOutWeights, makeWitness, type Witness } from "./witness.ts";

/** Few queries, so that a proof takes milliseconds; a forgery passes them by luck once in 2^24. */
export const toy: Target = { query: 24, total: 20 };

/** Everything that an honest prover has before it writes a proof; tests change parts of it. */
export type Stage = {
  readonly circuit: Circuit;
  readonly model: QuantModel;
  readonly prepared: Prepared;
  readonly committed: Committed | undefined;
  readonly trace: Trace;
  readonly witness: Witness;
  readonly statement: Statement;
  readonly secrets: Secrets;
  readonly inputSecret: Uint8Array;
};

export type StageOptions = CircuitOptions & {
  readonly target?: Target;
  readonly seed?: number;
  readonly input8?: Int8Array;
};

export const bytes = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

export function setStage(shape: ModelShape, options: StageOptions, model = randomModel(shape, options.seed)): Stage {
  const circuit = design(shape, { budget: 2, ...options }, options.target ?? toy);
  const committed = options.weights === "hidden" ? commitWeights(circuit, model, bytes(9)) : undefined;
  const prepared = committed ?? prepare(circuit, model);
  const values = options.input8 ?? randomInput(shape.inputs, options.seed);
  const trace = run(model, values);
  const inputSecret = bytes(5);
  const { k, codes } = prepared;
  const input: Statement["input"] =
    circuit.input === "hidden"
      ? { kind: "hidden", root: k.scope(() => plantInput(k, codes, circuit, values, inputSecret).tree.root) }
      : { kind: "public", values };
  return {
    circuit,
    model,
    prepared,
    committed,
    trace,
    inputSecret,
    witness: makeWitness(circuit, trace),
    statement: { weights: committed?.root ?? digestWeights(model), context: bytes(3), input, output: trace.output },
    secrets: drawSecrets(k, circuit, bytes(options.seed ?? 1)),
  };
}

/** Writes a proof of a stage in dirty memory. */
export function perform(s: Stage, used: Rules = rules, moves: Moves = {}): Uint8Array {
  const { k, codes } = s.prepared;
  return k.scope(() => {
    poison(k, 0xa5);
    const input =
      s.circuit.input === "hidden" ? plantInput(k, codes, s.circuit, s.witness.input, s.inputSecret) : undefined;
    return writeProof({ ...s, input, moves }, used);
  });
}

/** Names of the checks that refuse a proof; none means that it is accepted. */
export function judge(
  s: Pick<Stage, "circuit" | "model" | "statement">,
  proof: Uint8Array,
  used: Rules = rules,
  checks: readonly ProofCheck[] = proofChecks,
): readonly string[] {
  const k = loadKernels();
  poison(k, 0x5a);
  const checker = { circuit: s.circuit, k, f: makeField(k), codes: makeCodes(k, s.circuit) };
  const layout = s.circuit.weights === "open" ? layOutWeights(s.circuit, s.model) : undefined;
  const seen = follow(checker, s.statement, layout, parseProof(s.circuit, proof), used);
  return seen ? failures(seen, checks) : ["alpha"];
}

/** Rules without one constraint, or with other challenges. */
export const without = (name: string): Rules => ({
  ...rules,
  constraints: (c) => {
    const all = rules.constraints(c);
    if (!all.some((x) => x.name === name)) throw new Error(`There is no constraint ${name}.`);
    return all.map((x) => (x.name === name ? { name, add: () => undefined } : x));
  },
});
export const withoutCheck = (...names: string[]): readonly ProofCheck[] => {
  for (const name of names)
    if (!proofChecks.some((c) => c.name === name)) throw new Error(`There is no check ${name}.`);
  return proofChecks.filter((c) => !names.includes(c.name));
};

/** A transcript whose challenges a test sees or sets. */
export const fixing = (set: (what: Challenge, drawn: readonly Ext[], f: Field) => readonly Ext[]): Rules => ({
  ...rules,
  transcript: (k: Kernels, f: Field) => {
    const inner = rules.transcript(k, f);
    return { ...inner, draw: (what, n) => set(what, inner.draw(what, n), f) };
  },
});

/** Rules that write down all challenges of one run, and rules that give them again whatever is absorbed. */
export function freeze(): { readonly record: Rules; readonly replay: Rules } {
  const log: (readonly Ext[] | readonly number[])[] = [];
  const next = (): (() => unknown) => {
    let at = 0;
    return () => log[at++];
  };
  return {
    record: {
      ...rules,
      transcript: (k, f) => {
        log.length = 0;
        const inner = rules.transcript(k, f);
        const keep = <T extends readonly Ext[] | readonly number[]>(x: T): T => {
          log.push(x);
          return x;
        };
        return {
          absorb: inner.absorb,
          draw: (w, n) => keep(inner.draw(w, n)),
          columns: (n, l) => keep(inner.columns(n, l)),
        };
      },
    },
    replay: {
      ...rules,
      transcript: (): Transcript => {
        const take = next();
        return { absorb: () => undefined, draw: () => take() as Ext[], columns: () => take() as number[] };
      },
    },
  };
}

/** A copy of a witness with changes, its multiplicities counted again. */
export function tamper(
  s: Stage,
  change: (columns: Record<keyof Witness["columns"], Int32Array>, input: Int32Array) => void,
  recount = true,
): Witness {
  const columns = Object.fromEntries(
    Object.entries(s.witness.columns).map(([n, c]) => [n, c.slice()]),
  ) as Witness["columns"];
  const input = Int32Array.from(s.witness.input);
  change(columns, input);
  const multiplicities = recount ? count(s.circuit, columns, input as never) : s.witness.multiplicities;
  return { ...s.witness, columns, input: input as never, multiplicities };
}

/** Runs the layers after `from` again on activations that a witness claims, and gives columns and logits that follow. */
export function rerun(s: Stage, w: Witness, from: number): Witness {
  const { shape, layers } = s.model;
  const offsets = s.circuit.witness.offsets;
  const columns = Object.fromEntries(Object.entries(w.columns).map(([n, c]) => [n, c.slice()])) as Witness["columns"];
  let output = w.output;
  for (let l = from; l < shape.layers.length; l++) {
    const layer = shape.layers[l];
    const own = layers[l];
    if (!layer || !own) throw new Error("There is no such layer.");
    const n = own.weights.length / layer.outputs;
    const x = l === 0 ? w.input : columns.y.subarray(offsets[l - 1], (offsets[l - 1] as number) + n);
    const acc = Int32Array.from({ length: layer.outputs }, (_, i) => {
      let sum = own.bias[i] as number;
      for (let j = 0; j < n; j++) sum += (own.weights[i * n + j] as number) * (x[j] as number);
      return sum;
    });
    if (l === shape.layers.length - 1) output = acc;
    else
      acc.forEach((a, i) => {
        const at = (offsets[l] as number) + i;
        const q = requantise(a, shiftOf(layer, i));
        const values = { lo: q.rem & 255, hi: q.rem >> 8, l: q.l, h: q.h, z0: +(q.h === 0), zp: +(q.h > 0), y: q.y };
        for (const [name, v] of Object.entries(values)) columns[name as keyof typeof values][at] = v;
      });
  }
  return { ...w, columns, output, multiplicities: count(s.circuit, columns, w.input) };
}

/** A slot of the last hidden layer that is neither clipped nor near a border. */
export function plainSlot(s: Stage): number {
  const { z0, l } = s.witness.columns;
  const from = s.circuit.witness.offsets.at(-1) as number;
  for (let i = from; i < s.circuit.witness.activations; i++)
    if (z0[i] === 1 && (l[i] as number) > 3 && (l[i] as number) < 120) return i;
  throw new Error("The net has no plain activation.");
}
