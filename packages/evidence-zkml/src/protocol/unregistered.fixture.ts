import { type Circuit, compile } from "../circuit/compile.ts";
import { inverse, P } from "../field.ts";
import { type ModelShape, requantise } from "../model.ts";
import { denseShape, randomInput, randomModel } from "../nets.fixture.ts";
import { eqTable, powers } from "./constraints.ts";
import { bytes } from "./forge.fixture.ts";
import { makeMatrix, plant, rowAt } from "./matrix.ts";
import { writeProof } from "./prove.ts";
import { type Committed, prepare } from "./prover.ts";
import { drawSecrets, stretch } from "./secrets.ts";
import { rules, type Statement } from "./statement.ts";
import { saltWords } from "./tree.ts";
import type { passWeights } from "./weights.ts";
import { makeWitness } from "./witness.ts";

const bits = 21;
const outs = 10;
const shift = 15;
/** At shift 15 this residue has two decompositions, as itself and less p: 2^31 > p. */
const twofold = 2 ** 30 - 2 ** 14 - 1;
const shape: ModelShape = denseShape([8, bits * outs, outs], shift);

/**
 * The attack on unregistered roots: each hidden neuron is a bit that the prover sets after the commitment, and the last
 * layer adds bits up to whatever logits it likes.
 */
export function forgeUnregistered(): {
  readonly circuit: Circuit;
  readonly committed: Committed;
  readonly input: Int8Array;
  readonly context: Uint8Array;
  readonly prove: (logits: readonly number[]) => { readonly output: Int32Array; readonly proof: Uint8Array };
} {
  const circuit = compile(shape, { weights: "hidden", budget: 8 });
  const words = hostileWords(circuit);
  const committed = commitWords(circuit, words);
  const input = randomInput(shape.inputs);
  const context = bytes(7);
  const prove = (logits: readonly number[]) => {
    const hidden = new Int32Array(bits * outs);
    logits.forEach((v, o) => {
      for (let b = 0; b < bits; b++) hidden[o * bits + b] = ((v + 2 ** (bits - 1)) >> b) & 1 ? twofold : twofold - P;
    });
    const output = Int32Array.from(logits);
    const activations = Int8Array.from(hidden, (a) => requantise(a, shift).y);
    const trace = { inputs: [input, activations], accumulators: [hidden, output], output };
    const statement: Statement = { weights: committed.root, context, input: { kind: "public", values: input }, output };
    const { k } = committed;
    const secrets = drawSecrets(k, circuit, bytes(11));
    const witness = makeWitness(circuit, trace);
    const moves = { words: passWords(words) };
    return {
      output,
      proof: k.scope(() => writeProof({ prepared: committed, committed, statement, witness, secrets, moves }, rules)),
    };
  };
  return { circuit, committed, input, context, prove };
}

function hostileWords({ weight }: Circuit): Uint32Array {
  const { rows, columns, group, width, firstRowOf } = weight;
  const words = new Uint32Array(rows * columns);
  const at = (l: number, i: number, j: number): number =>
    ((firstRowOf[l] as number) + Math.floor(i / group)) * columns + (i % group) * width + j;
  for (let i = 0; i < bits * outs; i++) words[at(0, i, shape.inputs)] = twofold;
  // An activation is 0 or 127.
  const scale = BigInt(inverse(127));
  for (let o = 0; o < outs; o++) {
    for (let b = 0; b < bits; b++) words[at(1, o, o * bits + b)] = Number((2n ** BigInt(b) * scale) % BigInt(P));
    words[at(1, o, bits * outs)] = P - 2 ** (bits - 1);
  }
  return words;
}

function commitWords(circuit: Circuit, words: Uint32Array): Committed {
  const prepared = prepare(circuit, randomModel(shape));
  const { k, codes } = prepared;
  const { rows, columns, extra, degree, length } = circuit.weight;
  const tails = stretch(k, bytes(1), "tails", rows * extra);
  const code = makeMatrix(k, rows, length, stretch(k, bytes(2), "salts", saltWords * length, true));
  for (let r = 0; r < rows; r++) {
    const to = rowAt(code, r);
    k.u32(to, columns).set(words.subarray(r * columns, (r + 1) * columns));
    k.u32(to + 4 * columns, extra).set(tails.subarray(r * extra, (r + 1) * extra));
    codes.encodeWeights(to, degree);
  }
  const tree = plant(k, code);
  return { ...prepared, root: tree.root, code, tree, tails, secret: bytes(0) };
}

/** As `passWeights`, over any words of the field. */
const passWords =
  (words: Uint32Array): typeof passWeights =>
  ({ circuit, k, f }, r, rho) => {
    const { group, width, columns, rowsOf, firstRowOf } = circuit.weight;
    const inputs = 2 ** circuit.variables.inputs;
    const cut = r.length - Math.log2(group);
    const high = eqTable(k, r.slice(0, cut));
    const low = eqTable(k, r.slice(cut));
    const combined = k.zeros(16 * 2 ** circuit.variables.layers * inputs);
    const rhos = powers(f, rho, rowsOf.length);
    const rows = rowsOf.map((count, l) => {
      const out = k.zeros(16 * columns);
      for (let i = 0; i < Math.min(count, 2 ** cut); i++)
        k.scope(() => {
          const first = ((firstRowOf[l] as number) + i) * columns;
          const row = k.put(words.subarray(first, first + columns));
          k.toMv(row, columns);
          k.eaxpyBase(row, columns, high + 16 * i, out);
        });
      for (let i = 0; i < group; i++)
        k.scope(() =>
          k.eaxpy(
            out + 16 * i * width,
            width,
            k.put(f.mul(rhos[l] as (typeof rhos)[number], f.get(low, i))),
            combined + 16 * l * inputs,
          ),
        );
      return out;
    });
    return { rows, combined };
  };
