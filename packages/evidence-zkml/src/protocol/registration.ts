import { type Circuit, digestCircuit } from "../circuit/compile.ts";
import { type Ext, type Field, P } from "../field.ts";
import { commitMask, commitSecond, commitThird, commitValues } from "./commitments.ts";
import { eqTable } from "./constraints.ts";
import { type Fractions, plantFractions, type Stray } from "./fractions.ts";
import { coefsAt, constrain, tableInverses, valueAt } from "./level-claims.ts";
import { messageSizes, registrationCircuit, sizes, tableSize, walk } from "./levels.ts";
import { proveTests } from "./ligero.ts";
import { columnsOf, rowAt } from "./matrix.ts";
import type { Moves } from "./moves.ts";
import type { Committed } from "./prover.ts";
import type { Secrets } from "./secrets.ts";
import { bytesOf, modes, type Rules, type Statement } from "./statement.ts";
import type { Transcript } from "./transcript.ts";
import { openTree } from "./tree.ts";
import { type Checker, failures, layOpened } from "./verify.ts";
import { combineAnyRows } from "./weights.ts";
import { joinProof, parseProof } from "./wire.ts";

function begin(t: Transcript, circuit: Circuit, root: Uint8Array): void {
  t.absorb("mode", Uint8Array.of(modes.registration));
  t.absorb("circuit", digestCircuit(circuit));
  t.absorb("weights", root);
}

/** The combination as it is with the strays. */
function addStrays(
  f: Field,
  circuit: Circuit,
  combination: Uint32Array,
  coefs: number,
  strays: readonly Stray[],
): Uint32Array {
  for (const { row, column, add } of strays)
    f.words(f.mul(f.get(coefs, row), f.int(add))).forEach((w, q) => {
      const at = q * circuit.weight.degree + column;
      combination[at] = ((combination[at] as number) + w) % P;
    });
  return combination;
}

/** What a registration's prover has; all but the secrets is brought by tests alone. */
export type RegistrationParts = {
  readonly secrets: Secrets;
  readonly moves?: Moves;
  readonly counts?: Uint32Array;
  readonly strays?: readonly Stray[];
  readonly shake?: (levels: Fractions) => void;
};

/** How often each int8 value stands in the padded weight matrix. */
export function countWords(c: Committed): Uint32Array {
  const { rows, columns } = c.circuit.weight;
  const words = new Int8Array(c.k.memory.buffer, c.matrix, rows * columns);
  const out = new Uint32Array(tableSize);
  for (const w of words) out[w + 128] = (out[w + 128] as number) + 1;
  out[128] = (out[128] as number) + 2 ** sizes(c.circuit).levels - rows * columns;
  return out;
}

/** Writes a proof that every committed word is an int8: a lookup by a tree of fractions, its last claim by one opening. */
export function writeRegistration(
  c: Committed,
  { secrets, moves = {}, counts = countWords(c), strays = [], shake }: RegistrationParts,
  rules: Rules,
): Uint8Array {
  const { k, f } = c;
  const circuit = registrationCircuit(c.circuit);
  const prepared = { ...c, circuit };
  return k.scope(() => {
    const t = rules.transcript(k, f);
    begin(t, c.circuit, c.root);
    const values = new Uint32Array(circuit.witness.tableRows * circuit.witness.row);
    values.set(counts);
    const first = commitValues(prepared, values, secrets, moves);
    const mask = commitMask(prepared, secrets, moves);
    t.absorb("firstRoot", first.tree.root);
    t.absorb("maskRoot", mask.tree.root);
    const [alpha] = t.draw("alpha", 1) as [Ext];
    const second = commitSecond(prepared, { values: [], inverses: [] }, secrets, moves);
    t.absorb("secondRoot", second.tree.root);
    const pad = (i: number): Ext =>
      f.from([0, 1, 2, 3].map((q) => secrets.pads[q * circuit.witness.pads + i] as number));
    const tree = plantFractions(c, alpha, strays);
    shake?.(tree);
    const size = sizes(circuit);
    const sent: Ext[][] = [];
    const pairs: [Ext, Ext][] = [];
    let cells: number[] = [];
    let half = 1;
    let constant = 0;
    let pads = 0;
    const walked = walk(t, f, size.levels, {
      begin: (level, point, mu) => {
        const { p, q } = tree[level + 1] as { p: number; q: number };
        const m = 16 * 2 ** level;
        cells = [level === 0 ? k.put(f.int(1)) : eqTable(k, point), p, p + m, q, q + m];
        half = 2 ** level / 2;
        constant = k.put(mu);
      },
      round: (at) => {
        const out = k.alloc(48);
        k.fractionRound(k.put(cells), half, constant, out);
        const message = [0, 1, 2].map((i) => f.add(f.get(out, i), pad(at + i)));
        sent.push(message);
        pads = at + 3;
        return message;
      },
      bind: (x) => {
        const at = k.put(x);
        for (const cell of cells) k.efold(cell, half, at);
        half /= 2;
      },
      values: () => {
        const [p0, p1, q0, q1] = cells.slice(1).map((at) => f.get(at)) as [Ext, Ext, Ext, Ext];
        pairs.push([p0, q1], [p1, q0], [q0, q1]);
        const message = [p0, p1, q0, q1].map((v, i) => f.add(v, pad(pads + i)));
        sent.push(message);
        pads += 4;
        return message;
      },
    });
    const [zRows, zColumns] = [walked.point.slice(0, size.rows), walked.point.slice(size.rows)];
    const [p0, , q0] = [pairs[0], pairs[1], pairs[2]] as [[Ext, Ext], [Ext, Ext], [Ext, Ext]];
    const numerator = f.add(f.mul(p0[0], p0[1]), f.mul((pairs[1] as [Ext, Ext])[0], (pairs[1] as [Ext, Ext])[1]));
    const denominator = f.mul(q0[0], q0[1]);
    const mu = valueAt(k, f, circuit, secrets.weights, zColumns);
    const third = commitThird(
      prepared,
      [...pairs, [denominator, f.mul(numerator, f.inv(denominator))]],
      mu,
      secrets,
      moves,
    );
    t.absorb("thirdRoot", third.tree.root);
    const [chi] = t.draw("chi", 1) as [Ext];
    const coefs = coefsAt(k, circuit, zRows, chi);
    const combination = addStrays(f, circuit, combineAnyRows(c, coefs, secrets.weights), coefs, strays);
    t.absorb("combination", bytesOf(combination));
    const value = valueAt(k, f, circuit, combination, zColumns);
    const [lambda] = t.draw("lambda", 1) as [Ext];
    const kappa = t.draw("kappa", circuit.variables.rows);
    const [nu] = t.draw("nu", 1) as [Ext];
    const rows = [first, third].flatMap(({ matrix }, m) =>
      Array.from({ length: m === 0 ? circuit.witness.rows[1] : 12 }, (_, i) => rowAt(matrix, i)),
    );
    const tests = proveTests(
      prepared,
      { kappa, nu },
      constrain(prepared, walked, { alpha, chi, value }, lambda, rules.keeps),
      {
        rowOf: (r) => rows[r] as number,
        third: third.matrix,
        secrets,
        change: moves.tests,
      },
    );
    t.absorb("proximity", bytesOf(tests.proximity));
    t.absorb("linear", bytesOf(tests.linear));
    t.absorb("product", bytesOf(tests.product));
    const witnessColumns = t.columns(circuit.witness.queries, circuit.witness.length);
    const weightColumns = t.columns(circuit.weight.queries, circuit.weight.length);
    const all = [
      ...[first, second, third].map((m) => ({ ...m, columns: witnessColumns })),
      ...[{ matrix: c.code, tree: c.tree }, mask].map((m) => ({ ...m, columns: weightColumns })),
    ];
    return joinProof({
      roots: [first, mask, second, third].map((m) => m.tree.root),
      lookupMessages: sent.map((m) => m.flatMap((x) => f.words(x))),
      productMessages: [],
      combination,
      ...tests,
      columns: all.map((m) => columnsOf(k, m.matrix, m.columns)),
      paths: all.map((m) => openTree(k, m.tree, m.columns)),
    });
  });
}

/** Names of what a registration fails; none means that every word under the root is an int8. @throws ZK_PROOF_MALFORMED */
export function checkRegistrationProof(
  { circuit: own, k, f, codes }: Checker,
  root: Uint8Array,
  bytes: Uint8Array,
  rules: Rules,
): readonly string[] {
  const circuit = registrationCircuit(own);
  const checker: Checker = { circuit, k, f, codes };
  const proof = parseProof(circuit, bytes, messageSizes(circuit));
  const [firstRoot, maskRoot, secondRoot, thirdRoot] = proof.roots as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const t = rules.transcript(k, f);
  begin(t, own, root);
  t.absorb("firstRoot", firstRoot);
  t.absorb("maskRoot", maskRoot);
  const [alpha] = t.draw("alpha", 1) as [Ext];
  t.absorb("secondRoot", secondRoot);
  if (tableInverses(k, f, alpha) === undefined) return ["alpha"];
  const messages = proof.lookupMessages.values();
  const take = (): readonly Ext[] => {
    const words = messages.next().value ?? [];
    return Array.from({ length: words.length / 4 }, (_, i) => f.from(words, 4 * i));
  };
  const size = sizes(circuit);
  const walked = walk(t, f, size.levels, { begin: () => undefined, round: take, bind: () => undefined, values: take });
  t.absorb("thirdRoot", thirdRoot);
  const [chi] = t.draw("chi", 1) as [Ext];
  t.absorb("combination", bytesOf(proof.combination));
  const [lambda] = t.draw("lambda", 1) as [Ext];
  const kappa = t.draw("kappa", circuit.variables.rows);
  const [nu] = t.draw("nu", 1) as [Ext];
  t.absorb("proximity", bytesOf(proof.proximity));
  t.absorb("linear", bytesOf(proof.linear));
  t.absorb("product", bytesOf(proof.product));
  const witnessColumns = t.columns(circuit.witness.queries, circuit.witness.length);
  const weightColumns = t.columns(circuit.weight.queries, circuit.weight.length);
  const [zRows, zColumns] = [walked.point.slice(0, size.rows), walked.point.slice(size.rows)];
  const value = valueAt(k, f, circuit, proof.combination, zColumns);
  const statement: Statement = {
    weights: root,
    context: root,
    input: { kind: "public", values: new Int8Array(0) },
    output: new Int32Array(0),
  };
  return failures({
    ...checker,
    statement,
    proof,
    point: { lambda, kappa, nu },
    combination: constrain(checker, walked, { alpha, chi, value }, lambda, rules.keeps),
    witnessColumns,
    weightColumns,
    opened: layOpened(checker, proof),
    weightCoefs: coefsAt(k, circuit, zRows, chi),
  });
}
