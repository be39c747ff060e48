import { CountersignError, concat, taggedHash, utf8 } from "@countersign/core";
import { P } from "../field.ts";
import { boundOf, checkShape, inputsOf, type LayerShape, type ModelShape, shiftOf } from "../model.ts";
import { pathBytes, planQueries, roundUp, variables } from "./code.ts";
import { type Soundness, soundnessOf } from "./soundness.ts";

/** Levels of soundness: at least 100 bits by proven bounds. */
export type Level = "proven-100";
/** Whether the checker holds the weights or only their commitment. */
export type WeightMode = "open" | "hidden";
/** Whether the checker holds the input or only its commitment. */
export type InputMode = "public" | "hidden";

export type CircuitOptions = {
  readonly level?: Level;
  readonly weights: WeightMode;
  readonly input?: InputMode;
  /** Proofs that may be made under one weight commitment; hidden weights only. */
  readonly budget?: number;
};

/** Rows of the weight matrix and its code (spec/zkml.md §4.1). */
export type WeightPlan = {
  readonly group: number;
  readonly width: number;
  readonly columns: number;
  readonly rowsOf: readonly number[];
  readonly firstRowOf: readonly number[];
  readonly rows: number;
  /** Random coefficients of a row, coefficients in all, length of the code, queries; all 0 for open weights. */
  readonly extra: number;
  readonly degree: number;
  readonly length: number;
  readonly queries: number;
};

/** Rows of the witness and their code (spec/zkml.md §4.2). */
export type WitnessPlan = {
  /** Values of a row. */
  readonly row: number;
  /** Slots of a column of activations, rows of one column. */
  readonly slots: number;
  readonly blocks: number;
  /** First slot of each hidden layer. */
  readonly offsets: readonly number[];
  readonly activations: number;
  /** Columns of the hidden input. */
  readonly inputColumns: number;
  readonly lookups: number;
  readonly tableSize: number;
  readonly tableRows: number;
  readonly pads: number;
  readonly padRows: number;
  /** Rows of the commitments: input, first, second, third. */
  readonly rows: readonly [number, number, number, number];
  readonly allRows: number;
  /** Random coefficients of a row, and of a row of the input. */
  readonly extra: number;
  readonly inputExtra: number;
  /** Words of a plane of the three test polynomials. */
  readonly proximity: number;
  readonly linear: number;
  readonly product: number;
  /** Degree below which every test polynomial lies for all rows that the proximity test lets through. */
  readonly degree: number;
  /** Size of the subgroup on which the prover computes the test polynomials. */
  readonly domain: number;
  readonly length: number;
  readonly queries: number;
};

/** Everything that prover and checker agree on before a proof; made by `compile` alone. */
export type Circuit = {
  readonly shape: ModelShape;
  readonly level: Level;
  readonly weights: WeightMode;
  readonly input: InputMode;
  readonly budget: number;
  readonly variables: {
    readonly slots: number;
    readonly inputs: number;
    readonly layers: number;
    readonly outputs: number;
    readonly rows: number;
  };
  readonly weight: WeightPlan;
  readonly witness: WitnessPlan;
  readonly soundness: Soundness;
};

/** Bits that each query phase is planned for, and that the sum of all terms must reach. */
export type Target = { readonly query: number; readonly total: number };
const targets: Readonly<Record<Level, Target>> = { "proven-100": { query: 102, total: 100 } };

/** Tags of the lookup table: all distinct, `hi + width` is 16 and more. */
export const tags = { lo: 0, l: 7, h: 9, input: 10, hi: 16 } as const;
/** Values of the constant inputs that carry the digits of the bias. */
export const digitBases = [1, 128, 16_384, 2_097_152] as const;
/** Proofs that may be made under one commitment of a hidden input: the first one and one retry. */
export const inputOpenings = 2;
const hBits = 9;
const mostBudget = 1024;

const refuse = (message: string): never => {
  throw new CountersignError("ZK_MODEL_INVALID", { message });
};

/**
 * Builds the circuit of a model's shape: rows, codes, queries and what they prove, all from public facts.
 *
 * @throws ZK_MODEL_INVALID, ZK_OPERATOR_UNSUPPORTED
 */
export function compile(shape: ModelShape, options: CircuitOptions): Circuit {
  return design(shape, options, targets[options.level ?? "proven-100"]);
}

/** As `compile`, for any target: tests run the protocol at a few bits. */
export function design(shape: ModelShape, options: CircuitOptions, target: Target): Circuit {
  checkShape(shape);
  if (target === undefined) refuse("There is no such level.");
  const hidden = options.weights === "hidden";
  const budget = hidden ? (options.budget ?? 64) : 0;
  if (options.weights !== "open" && !hidden) refuse("Weights are open or hidden.");
  if (hidden && !(Number.isInteger(budget) && budget >= 1 && budget <= mostBudget))
    refuse(`A budget is 1 to ${mostBudget} openings.`);
  const input = options.input ?? "public";
  if (input !== "public" && input !== "hidden") refuse("An input is public or hidden.");
  checkBounds(shape);
  for (let query = target.query; query < target.query + 12; query++) {
    const weight = planWeights(shape, hidden, budget, query);
    const witness = planWitness(shape, input, query);
    const counts = {
      slots: variables(witness.slots),
      inputs: variables(weight.width),
      layers: variables(shape.layers.length),
      outputs: variables(Math.max(...shape.layers.map((l) => l.outputs))),
      rows: variables(witness.allRows + 1),
    };
    const plan = {
      shape,
      level: "proven-100" as const,
      weights: options.weights,
      input,
      budget,
      variables: counts,
      weight,
      witness,
    };
    const soundness = soundnessOf(plan, target.total);
    if (soundness.reached) return { ...plan, soundness };
  }
  return refuse("No parameters reach the level for this model: it is too large for the field.");
}

/** R2's condition: every accumulator has exactly one decomposition, and logits do not wrap (spec/zkml.md §2). */
export function checkBounds(shape: ModelShape): void {
  shape.layers.forEach((layer, l) => {
    const bound = boundOf(inputsOf(shape, l), shape.biasDigits);
    if (2 * bound >= P) refuse(`Sums of layer ${l} could wrap around the field.`);
    for (const s of layer.shift)
      if (bound + 2 ** (s + 6 + hBits) + 2 ** (s - 1) >= P)
        refuse(`Layer ${l} with shift ${s} could wrap around the field.`);
  });
}

function planWeights(shape: ModelShape, hidden: boolean, budget: number, bits: number): WeightPlan {
  const width = roundUp(Math.max(...shape.layers.map((_, l) => inputsOf(shape, l))) + shape.biasDigits, 4);
  const outputs = variables(Math.max(...shape.layers.map((l) => l.outputs)));
  let best: WeightPlan | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let log = 0; log <= Math.min(outputs, 8); log++) {
    const group = 2 ** log;
    const columns = group * width;
    const rowsOf = shape.layers.map((l) => roundUp(Math.ceil(l.outputs / group), 4));
    const firstRowOf = rowsOf.map((_, l) => rowsOf.slice(0, l).reduce((a, b) => a + b, 0));
    const rows = rowsOf.reduce((a, b) => a + b, 0);
    if (rows * columns > 2 ** 27) continue;
    const layout = { group, width, columns, rowsOf, firstRowOf, rows };
    if (!hidden) {
      const cost = columns + 64 * rows;
      if (cost < least) [best, least] = [{ ...layout, extra: 0, degree: 0, length: 0, queries: 0 }, cost];
      continue;
    }
    for (let length = 1024; length <= 2 ** 18; length *= 2) {
      if (rows * length > 2 ** 28) break;
      const plan = planQueries(length, bits, (q) => {
        const extra = roundUp(columns + budget * q + 4, 4) - columns;
        return { extra, degree: columns + extra };
      });
      if (!plan || 4 * plan.degree > length) continue;
      const bytes = 16 * plan.degree + 4 * plan.queries * (rows + 12) + 2 * pathBytes(plan.queries, length);
      const cost = bytes + length / 2 + (rows * length) / 512;
      if (cost < least)
        [best, least] = [{ ...layout, extra: plan.extra, degree: plan.degree, length, queries: plan.queries }, cost];
    }
  }
  return best ?? refuse("The model has too many weights.");
}

function planWitness(shape: ModelShape, input: InputMode, bits: number): WitnessPlan {
  const hiddenLayers = shape.layers.slice(0, -1);
  const offsets = hiddenLayers.map((_, l) => hiddenLayers.slice(0, l).reduce((a, b) => a + b.outputs, 0));
  const activations = hiddenLayers.reduce((a, b) => a + b.outputs, 0);
  const tableSize = tableOf(shape, input).length;
  let best: WitnessPlan | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let row = 256; row <= 2048; row *= 2) {
    const slots = Math.max(row, 2 ** variables(activations));
    if (slots > 2 ** 18) refuse("The model has more activations than the linear test takes.");
    const blocks = slots / row;
    const inputColumns = input === "hidden" ? Math.ceil(shape.inputs / slots) : 0;
    const lookups = 4 + inputColumns;
    if (lookups + 3 > row) continue;
    const tableRows = Math.ceil(tableSize / row);
    const width = roundUp(Math.max(...shape.layers.map((_, l) => inputsOf(shape, l))) + shape.biasDigits, 4);
    const pads = 3 * variables(slots) + 2 * (variables(width) + variables(shape.layers.length));
    const padRows = Math.ceil(pads / row);
    const rows = [inputColumns * blocks, 7 * blocks + tableRows + 4 * padRows, 4 * lookups * blocks, 12] as const;
    const allRows = rows.reduce((a, b) => a + b, 0);
    for (let length = 4 * row; length <= 2 ** 16; length *= 2) {
      const inputExtraOf = (q: number) => (inputColumns > 0 ? roundUp(inputOpenings * (q + 4), 4) : 0);
      const plan = planQueries(length, bits, (q) => {
        const extra = roundUp(q + 4, 4);
        // The proximity test bounds all rows by the longest kind, so a product may reach twice that degree.
        return { extra, degree: 2 * (row + Math.max(extra, inputExtraOf(q))) };
      });
      if (!plan || 4 * plan.degree > length) continue;
      const inputExtra = inputExtraOf(plan.queries);
      const most = Math.max(plan.extra, inputExtra);
      const sizes = { proximity: row + most, linear: 2 * row + most, product: 2 * (row + plan.extra) };
      const domain = 2 ** variables(Math.max(sizes.linear, sizes.product));
      const columns = 4 * plan.queries * (allRows + 12 + (inputColumns > 0 ? 16 : 12));
      const bytes =
        columns + 16 * (sizes.proximity + sizes.linear + sizes.product) + 3 * pathBytes(plan.queries, length);
      const cost = bytes + (allRows * length) / 8;
      if (cost < least) {
        least = cost;
        best = {
          row,
          slots,
          blocks,
          offsets,
          activations,
          inputColumns,
          lookups,
          tableSize,
          tableRows,
          pads,
          padRows,
          rows,
          allRows,
          extra: plan.extra,
          inputExtra,
          ...sizes,
          degree: plan.degree,
          domain,
          length,
          queries: plan.queries,
        };
      }
    }
  }
  return best ?? refuse("The model has too many activations.");
}

/** An entry of the lookup table: tag and up to three values. */
export type Entry = readonly [tag: number, a: number, b: number, c: number];

/** The lookup table in its order (spec/zkml.md §5). */
export function tableOf(shape: ModelShape, input: InputMode): readonly Entry[] {
  const table: Entry[] = [];
  for (let v = 0; v < 256; v++) table.push([tags.lo, v, 0, 0]);
  for (let v = 0; v < 128; v++) table.push([tags.l, v, 0, 0]);
  for (let v = -256; v < 256; v++) table.push([tags.h, v, v === 0 ? 1 : 0, v > 0 ? 1 : 0]);
  if (input === "hidden") for (let v = -128; v < 128; v++) table.push([tags.input, v, 0, 0]);
  const widths = new Set([0, ...shape.layers.flatMap((l) => l.shift.map((s) => s - 8))]);
  for (const width of [...widths].sort((a, b) => a - b))
    for (let v = 0; v < 2 ** width; v++) table.push([tags.hi + width, v, 0, 0]);
  return table;
}

/** Tag of the remainder's upper part at each slot. */
export function upperTags(circuit: Circuit): Uint32Array {
  const out = new Uint32Array(circuit.witness.slots).fill(tags.hi);
  circuit.shape.layers.slice(0, -1).forEach((layer: LayerShape, l) => {
    for (let i = 0; i < layer.outputs; i++)
      out[(circuit.witness.offsets[l] as number) + i] = tags.hi + shiftOf(layer, i) - 8;
  });
  return out;
}

const word = (n: number): Uint8Array => new Uint8Array(new Uint32Array([n]).buffer);
const words = (ns: readonly number[]): Uint8Array => concat(word(ns.length), ...ns.map(word));

/** Canonical bytes of a circuit (spec/zkml.md §4.3). */
export function encodeCircuit(c: Circuit): Uint8Array {
  const { weight: w, witness: f } = c;
  return concat(
    utf8(`countersign-zkml-1 ${c.level} ${c.weights} ${c.input}\n`),
    words([c.budget, c.shape.inputs, c.shape.biasDigits, c.shape.layers.length]),
    ...c.shape.layers.map((l) => concat(words([l.outputs]), words(l.shift))),
    words([w.group, w.width, w.extra, w.length, w.queries]),
    words([f.row, f.slots, f.inputColumns, f.extra, f.inputExtra, f.length, f.queries]),
  );
}

/** Digest of a circuit: SHA-256 under a tag, over its canonical bytes. */
export const digestCircuit = (circuit: Circuit): Uint8Array =>
  taggedHash("countersign/zkml-circuit/v1", encodeCircuit(circuit));
