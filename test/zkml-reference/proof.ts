import { bound, type Circuit, compile, inputsOf, mostOutputs, type Options, type Shape, vars } from "./circuit.ts";
import { type Claim, FIRST, nextClaim, PRODUCT } from "./claims.ts";
import { constraints } from "./constraints.ts";
import { type Ext, ZERO } from "./field.ts";
import { checkPath, draw, elements, newReader, type Opened, planes, readColumns, toBytes } from "./reading.ts";
import { demand, type Outcome, outcomeOf } from "./refusal.ts";
import { newTranscript, type Transcript, words } from "./transcript.ts";
import { checkCombination, combinedAt, type OpenLayer, openWeights, rowFactors, weightsDigest } from "./weights.ts";
import { checkWitness } from "./witness.ts";

export type Statement = {
  readonly shape: Shape;
  readonly options: Options;
  /** Digest of open weights, or the root of committed ones. */
  readonly weights: Uint8Array;
  readonly model?: readonly OpenLayer[];
  readonly context: Uint8Array;
  readonly input?: readonly number[];
  readonly inputRoot?: Uint8Array;
  readonly output: readonly number[];
};

const checkStatement = (circuit: Circuit, s: Statement): void => {
  const { shape } = circuit;
  demand(s.weights.length === 32 && s.context.length === 32, "statement");
  demand(s.output.length === shape.layers.at(-1)?.outputs, "statement");
  const B = bound(shape, inputsOf(shape, shape.layers.length - 1));
  for (const logit of s.output)
    demand(Number.isInteger(logit) && BigInt(Math.abs(logit)) <= B, "1: bound of the output");
  if (circuit.hiddenInput) demand(s.input === undefined && s.inputRoot?.length === 32, "statement");
  else {
    demand(s.inputRoot === undefined && s.input?.length === shape.inputs, "statement");
    for (const x of s.input ?? []) demand(Number.isInteger(x) && x >= -128 && x <= 127, "statement");
  }
  if (circuit.hiddenWeights) return;
  const digest = weightsDigest(s.model ?? []);
  demand(
    digest.every((b, i) => b === s.weights[i]),
    "digest of the weights",
  );
};

/** All of §6.3 for one proof, in the order of the transcript. */
export const checkProof = (s: Statement, proof: Uint8Array, transcript: Transcript = newTranscript()): Outcome =>
  outcomeOf(() => {
    const circuit = compile(s.shape, s.options);
    checkStatement(circuit, s);
    const { shape, hiddenWeights, hiddenInput } = circuit;
    const f = circuit.witness;
    const w = circuit.weights;
    const reader = newReader(proof);
    const absorb = transcript.absorb;

    // Steps 1 to 3.
    const [rootF1, rootM] = [reader.root(), hiddenWeights ? reader.root() : undefined];
    const [rootF2, rootF3] = [reader.root(), reader.root()];
    absorb(1, Uint8Array.of((hiddenWeights ? 1 : 0) + (hiddenInput ? 2 : 0)));
    absorb(2, circuit.digest);
    absorb(3, s.weights);
    absorb(4, s.context);
    if (hiddenInput) absorb(6, s.inputRoot as Uint8Array);
    else
      absorb(
        5,
        Uint8Array.from(s.input ?? [], (x) => x & 255),
      );
    absorb(7, words(s.output));
    absorb(8, rootF1);
    if (rootM) absorb(9, rootM);
    const [alpha, beta] = draw(transcript, 2) as [Ext, Ext];
    absorb(10, rootF2);
    const tau = draw(transcript, vars(f.N));
    const gamma = transcript.element();

    // Steps 4 and 5: both padded sumchecks.
    const rounds = (type: number, count: number, size: number, from: Claim): readonly [Claim, readonly Ext[]] => {
      let claim = from;
      const point: Ext[] = [];
      for (let v = 0; v < count; v++) {
        const list = reader.words(4 * size, true);
        absorb(type, toBytes(list));
        const challenge = transcript.element();
        claim = nextClaim(claim, elements(list), challenge);
        point.push(challenge);
      }
      return [claim, point];
    };
    const [first, sigma] = rounds(11, vars(f.N), 3, FIRST);
    const r = draw(transcript, vars(mostOutputs(shape)));
    const rho = transcript.element();
    const layerVars = vars(shape.layers.length);
    const [product, point] = rounds(12, layerVars + vars(w.Wd), 2, PRODUCT);
    const [sHi, sLo] = [point.slice(0, layerVars), point.slice(layerVars)];

    // Steps 6 to 9.
    absorb(13, rootF3);
    let chi: Ext = ZERO;
    let uc: readonly Ext[] = [];
    if (hiddenWeights) {
      chi = transcript.element();
      const list = reader.words(4 * w.kW, true);
      absorb(14, toBytes(list));
      uc = planes(list);
    }
    const lambda = transcript.element();
    const kappa = draw(transcript, vars(f.R + 1));
    const nu = transcript.element();
    const polynomial = (type: number, length: number): readonly Ext[] => {
      const list = reader.words(4 * length, true);
      absorb(type, toBytes(list));
      return planes(list);
    };
    const proximity = polynomial(15, f.H + f.most);
    const linear = polynomial(16, 2 * f.H + f.most);
    const products = polynomial(17, 2 * (f.H + f.t));
    const columns = transcript.columns(f.QF, f.nF);
    const weightColumns = hiddenWeights ? transcript.columns(w.QW, w.nW) : [];

    // Check 2: columns, then paths, to the last byte.
    const open = (rows: number, at: readonly number[]): Opened => readColumns(reader, rows, at);
    const F0 = hiddenInput ? open(f.R0, columns) : undefined;
    const [F1, F2, F3] = [open(f.R1 + 12, columns), open(f.R2, columns), open(12, columns)];
    const W = hiddenWeights ? open(w.RW, weightColumns) : undefined;
    const M = hiddenWeights ? open(4, weightColumns) : undefined;
    if (F0) checkPath(reader, f.nF, columns, F0, s.inputRoot as Uint8Array, "F0");
    checkPath(reader, f.nF, columns, F1, rootF1, "F1");
    checkPath(reader, f.nF, columns, F2, rootF2, "F2");
    checkPath(reader, f.nF, columns, F3, rootF3, "F3");
    if (W) checkPath(reader, w.nW, weightColumns, W, s.weights, "weights");
    if (M) checkPath(reader, w.nW, weightColumns, M, rootM as Uint8Array, "M");
    reader.end();

    // Check 3: the constraints' target.
    const bias = hiddenWeights
      ? { chi, combined: combinedAt(circuit, uc, r, sLo) }
      : { opened: openWeights(shape, s.model ?? [], r, rho, point) };
    const { rows: A, target } = constraints(circuit, {
      alpha,
      beta,
      tau,
      gamma,
      sigma,
      first,
      r,
      rho,
      s: point,
      product,
      lambda,
      input: s.input,
      output: s.output,
      weights: bias,
    });
    checkWitness(
      f,
      columns,
      [...(F0?.rows ?? []), ...F1.rows.slice(0, f.R1), ...F2.rows, ...F3.rows],
      F1.rows.slice(f.R1),
      { kappa, nu, A, target, proximity, linear, products },
    );

    // Check 8: the combination of the weights' rows.
    if (W && M) {
      const factors = rowFactors(circuit, r, rho, sHi);
      checkCombination(circuit, weightColumns, uc, chi, factors, W, M, "8: combination of the weights");
    }
  });
