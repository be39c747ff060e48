import type { Circuit } from "../circuit/compile.ts";
import { type Ext, type Field, zero } from "../field.ts";
import { commitFirst, commitMask, commitSecond, commitThird, type Planted } from "./commitments.ts";
import type { Run } from "./constraints.ts";
import { claimForm, step, zeroForm } from "./form.ts";
import { combineConstraints, proveTests } from "./ligero.ts";
import { columnsOf, type Matrix, rowAt } from "./matrix.ts";
import type { Moves } from "./moves.ts";
import type { Committed, Prepared } from "./prover.ts";
import type { Secrets } from "./secrets.ts";
import { absorbStatement, bytesOf, type Rules, type Statement } from "./statement.ts";
import { layInputs, lookupTables, sumLookups } from "./tables.ts";
import { openTree } from "./tree.ts";
import { combineWeights, passWeights, weightValue } from "./weights.ts";
import { joinProof } from "./wire.ts";
import type { Witness } from "./witness.ts";

/** What a prover brings. */
export type ProverParts = {
  readonly prepared: Prepared;
  readonly committed?: Committed | undefined;
  readonly statement: Statement;
  readonly witness: Witness;
  readonly secrets: Secrets;
  readonly input?: Planted | undefined;
  readonly moves?: Moves;
};

/** Writes a proof: every step absorbs what it commits to before it draws what depends on it (spec/zkml.md §6). */
export function writeProof(parts: ProverParts, rules: Rules): Uint8Array {
  const { prepared, committed, statement, witness, secrets, input, moves = {} } = parts;
  const { circuit, k, f } = prepared;
  return k.scope(() => {
    const t = rules.transcript(k, f);
    absorbStatement(t, circuit, statement);
    const first = commitFirst(prepared, witness, secrets, moves);
    t.absorb("firstRoot", first.tree.root);
    const mask = committed ? commitMask(committed, secrets, moves) : undefined;
    if (mask) t.absorb("maskRoot", mask.tree.root);

    const [alpha, beta] = [...t.draw("alpha", 1), ...t.draw("beta", 1)] as [Ext, Ext];
    const lookups = lookupTables(k, f, circuit, moves.lookups ?? witness, alpha, beta);
    const second = commitSecond(prepared, lookups, secrets, moves);
    t.absorb("secondRoot", second.tree.root);

    const pad = (i: number): Ext =>
      f.from([0, 1, 2, 3].map((q) => secrets.pads[q * circuit.witness.pads + i] as number));
    const tau = t.draw("tau", circuit.variables.slots);
    const [gamma] = t.draw("gamma", 1) as [Ext];
    const zeroed = sumLookups(k, f, circuit, moves.signs ?? witness, lookups, { tau, gamma });
    const lookupMessages: Ext[][] = [];
    const sigma: Ext[] = [];
    let lookupForm = zeroForm;
    for (let v = 0; v < circuit.variables.slots; v++) {
      const message = zeroed.round().map((g, i) => f.add(g, pad(3 * v + i)));
      lookupMessages.push(message);
      t.absorb("lookupRound", wordBytes(f, message));
      const [q] = t.draw("sigma", 1) as [Ext];
      sigma.push(q);
      lookupForm = step(f, lookupForm, message, q);
      zeroed.fold(q);
    }
    const atSigma = zeroed.values();

    const r = t.draw("r", circuit.variables.outputs);
    const [rho] = t.draw("rho", 1) as [Ext];
    const pass = (moves.words ?? passWeights)(moves.pass ?? prepared, r, rho);
    const inputs = layInputs(k, circuit, moves.inputs ?? witness);
    const productMessages: Ext[][] = [];
    const s: Ext[] = [];
    let productForm = claimForm;
    for (let v = 0, half = 2 ** (circuit.variables.inputs + circuit.variables.layers - 1); half >= 1; v++, half /= 2) {
      const g = k.alloc(32);
      k.prodRound(pass.combined, inputs, half, g);
      const message = [0, 1].map((i) => f.add(f.get(g, i), pad(3 * circuit.variables.slots + 2 * v + i)));
      productMessages.push(message);
      t.absorb("productRound", wordBytes(f, message));
      const [q] = t.draw("s", 1) as [Ext];
      s.push(q);
      productForm = step(f, productForm, message, q);
      const at = k.put(q);
      k.efold(pass.combined, half, at);
      k.efold(inputs, half, at);
    }
    const weightAtS = f.get(pass.combined);
    const inputAtS = f.get(inputs);
    const honest = committed ? weightValue(k, f, circuit, secrets.weights, circuit.weight.degree, r, s) : zero;
    const mu = moves.mu?.(honest, { r, rho, s, value: weightAtS }) ?? honest;
    const third = commitThird(prepared, [[weightAtS, inputAtS], ...atSigma], mu, secrets, moves);
    t.absorb("thirdRoot", third.tree.root);

    let weights: Run["weights"] = { mode: "open", value: weightAtS };
    let combination: Uint32Array = new Uint32Array(0);
    if (committed) {
      const [chi] = t.draw("chi", 1) as [Ext];
      const used = moves.pass && !moves.combine ? passWeights(prepared, r, rho) : pass;
      combination = combineWeights(committed, used, { r, rho, s, chi }, secrets.weights);
      t.absorb("combination", bytesOf(combination));
      weights = { mode: "hidden", chi, value: weightValue(k, f, circuit, combination, circuit.weight.degree, r, s) };
    }
    const run: Run = {
      alpha,
      beta,
      tau,
      gamma,
      sigma,
      lookups: lookupForm,
      r,
      rho,
      s,
      products: productForm,
      weights,
      input: statement.input.kind === "public" ? statement.input.values : undefined,
      output: statement.output,
    };
    const matrices = [...(input ? [input] : []), first, second, third];
    const rowOf = witnessRows(circuit, input?.matrix, first.matrix, second.matrix, third.matrix);
    const [lambda] = t.draw("lambda", 1) as [Ext];
    const kappa = t.draw("kappa", circuit.variables.rows);
    const [nu] = t.draw("nu", 1) as [Ext];
    const claims = combineConstraints(prepared, run, lambda, rules.constraints(circuit));
    const rows = { rowOf, third: third.matrix, secrets, change: moves.tests };
    const tests = proveTests(prepared, { kappa, nu }, claims, rows);
    t.absorb("proximity", bytesOf(tests.proximity));
    t.absorb("linear", bytesOf(tests.linear));
    t.absorb("product", bytesOf(tests.product));

    const witnessColumns = t.columns(circuit.witness.queries, circuit.witness.length);
    const weightMatrices = committed && mask ? [{ matrix: committed.code, tree: committed.tree }, mask] : [];
    const weightColumns = committed ? t.columns(circuit.weight.queries, circuit.weight.length) : [];
    return joinProof({
      roots: [first, ...(mask ? [mask] : []), second, third].map((m) => m.tree.root),
      lookupMessages: lookupMessages.map((m) => m.flatMap((x) => f.words(x))),
      productMessages: productMessages.map((m) => m.flatMap((x) => f.words(x))),
      combination,
      ...tests,
      columns: [
        ...matrices.map((m) => columnsOf(k, m.matrix, witnessColumns)),
        ...weightMatrices.map((m) => columnsOf(k, m.matrix, weightColumns)),
      ],
      paths: [
        ...matrices.map((m) => openTree(k, m.tree, witnessColumns)),
        ...weightMatrices.map((m) => openTree(k, m.tree, weightColumns)),
      ],
    });
  });
}

/** Canonical little-endian bytes of elements. */
export const wordBytes = (f: Field, elements: readonly Ext[]): Uint8Array =>
  bytesOf(Uint32Array.from(elements.flatMap((x) => f.words(x))));

/** Address of the codeword of each row, over all commitments of the witness. */
function witnessRows(circuit: Circuit, ...matrices: readonly (Matrix | undefined)[]): (row: number) => number {
  const at = circuit.witness.rows.flatMap((rows, m) =>
    Array.from({ length: rows }, (_, i) => rowAt(matrices[m] as Matrix, i)),
  );
  return (row) => at[row] as number;
}
