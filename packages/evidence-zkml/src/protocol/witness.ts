import { type Circuit, digitBases, tableOf, tags, upperTags } from "../circuit/compile.ts";
import { P } from "../field.ts";
import { digitsOf, inputsOf, type LayerShape, type QuantModel, requantise, shiftOf, type Trace } from "../model.ts";

/** Columns of the first commitment, in their order; each has `slots` values (spec/zkml.md §5). */
export const columnNames = ["lo", "hi", "l", "h", "z0", "zp", "y"] as const;
export type ColumnName = (typeof columnNames)[number];

/** What the prover commits to before any challenge. */
export type Witness = {
  readonly columns: Readonly<Record<ColumnName, Int32Array>>;
  readonly input: Int8Array;
  /** How often each entry of the table is looked up. */
  readonly multiplicities: Uint32Array;
  readonly output: Int32Array;
};

/** First row of each part of the first commitment. */
export const firstRows = (c: Circuit) => {
  const f = c.witness;
  return {
    column: (name: ColumnName): number => f.rows[0] + columnNames.indexOf(name) * f.blocks,
    input: (i: number): number => i * f.blocks,
    table: f.rows[0] + 7 * f.blocks,
    pads: f.rows[0] + 7 * f.blocks + f.tableRows,
    inverse: (lookup: number, plane: number): number => f.rows[0] + f.rows[1] + (4 * lookup + plane) * f.blocks,
    products: f.rows[0] + f.rows[1] + f.rows[2],
  };
};

/** The witness of an honest run. */
export function makeWitness(circuit: Circuit, trace: Trace): Witness {
  const { slots, offsets } = circuit.witness;
  const empty = (): Int32Array => new Int32Array(slots);
  const columns = { lo: empty(), hi: empty(), l: empty(), h: empty(), z0: empty().fill(1), zp: empty(), y: empty() };
  circuit.shape.layers.slice(0, -1).forEach((layer: LayerShape, l) => {
    const acc = trace.accumulators[l] as Int32Array;
    for (let i = 0; i < layer.outputs; i++) {
      const at = (offsets[l] as number) + i;
      const { h, l: low, rem, y } = requantise(acc[i] as number, shiftOf(layer, i));
      columns.lo[at] = rem & 255;
      columns.hi[at] = rem >> 8;
      columns.l[at] = low;
      columns.h[at] = h;
      columns.z0[at] = h === 0 ? 1 : 0;
      columns.zp[at] = h > 0 ? 1 : 0;
      columns.y[at] = y;
    }
  });
  const input = trace.inputs[0] as Int8Array;
  return { columns, input, multiplicities: count(circuit, columns, input), output: trace.output };
}

/** Counts the lookups; values outside the table are booked on its first entry, where they do not help. */
export function count(circuit: Circuit, columns: Witness["columns"], input: Int8Array): Uint32Array {
  const table = tableOf(circuit.shape, circuit.input);
  const key = (tag: number, v: number): number => 65_536 * tag + v + 32_768;
  const at = new Map(table.map(([tag, a], i) => [key(tag, a), i]));
  const found = new Uint32Array(table.length);
  const hit = (tag: number, v: number): void => {
    const i = at.get(key(tag, v)) ?? 0;
    found[i] = (found[i] as number) + 1;
  };
  const upper = upperTags(circuit);
  const { slots, inputColumns } = circuit.witness;
  for (let i = 0; i < slots; i++) {
    hit(tags.lo, columns.lo[i] as number);
    hit(upper[i] as number, columns.hi[i] as number);
    hit(tags.l, columns.l[i] as number);
    hit(tags.h, columns.h[i] as number);
  }
  for (let i = 0; i < inputColumns * slots; i++) hit(tags.input, input[i] ?? 0);
  return found;
}

/** Weights in their layout: row (l, ih), column il·width + j holds W_l[ih·group + il][j], then the bias's digits. */
export function layOutWeights(circuit: Circuit, model: QuantModel): Int8Array {
  const { group, width, columns, rows, firstRowOf } = circuit.weight;
  const out = new Int8Array(rows * columns);
  model.layers.forEach(({ weights, bias }, l) => {
    const n = inputsOf(model.shape, l);
    for (let i = 0; i < bias.length; i++) {
      const at = ((firstRowOf[l] as number) + Math.floor(i / group)) * columns + (i % group) * width;
      out.set(weights.subarray(i * n, i * n + n), at);
      out.set(digitsOf(bias[i] as number, model.shape.biasDigits), at + n);
    }
  });
  return out;
}

/** Values of the constant inputs of every layer. */
export const constantsOf = (circuit: Circuit): readonly number[] => digitBases.slice(0, circuit.shape.biasDigits);

/** Canonical word of a whole number. */
export const canonical = (v: number): number => (v < 0 ? (v % P) + P : v % P) % P;
