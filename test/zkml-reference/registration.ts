import { compile, type Options, registrationHolds, type Shape, vars } from "./circuit.ts";
import { type Claim, nextClaim } from "./claims.ts";
import {
  add,
  type Ext,
  embed,
  eqAt,
  eqTable,
  invertExt,
  isZero,
  multiply,
  negate,
  ONE,
  sub,
  timesX,
  ZERO,
} from "./field.ts";
import { checkPath, draw, elements, newReader, planes, readColumns, toBytes } from "./reading.ts";
import { demand, type Outcome, outcomeOf } from "./refusal.ts";
import { newTranscript, type Transcript } from "./transcript.ts";
import { checkCombination } from "./weights.ts";
import { checkWitness } from "./witness.ts";

export type RegistrationStatement = { readonly shape: Shape; readonly options: Options; readonly root: Uint8Array };

/** A number that is known but for pads: value + Σ pads. */
type Form = { readonly value: Ext; readonly pads: ReadonlyMap<number, Ext> };
const times = (f: Form, k: Ext): Form => ({
  value: multiply(f.value, k),
  pads: new Map([...f.pads].map(([i, c]) => [i, multiply(c, k)])),
});
const plus = (f: Form, g: Form): Form => {
  const pads = new Map(f.pads);
  for (const [i, c] of g.pads) pads.set(i, add(pads.get(i) ?? ZERO, c));
  return { value: add(f.value, g.value), pads };
};

/** §7.5: every word under a root is an int8. */
export const checkRegistration = (
  s: RegistrationStatement,
  proof: Uint8Array,
  transcript: Transcript = newTranscript(),
): Outcome =>
  outcomeOf(() => {
    const circuit = compile(s.shape, s.options);
    demand(circuit.hiddenWeights && s.root.length === 32, "statement");
    const w = circuit.weights;
    const { H, nF, QF, t, most } = circuit.witness;
    const [va, vc] = [vars(w.RW), vars(w.C)];
    const n = va + vc;
    const TB = Math.ceil(256 / H);
    const PB = Math.ceil(((3 * n * (n - 1)) / 2 + 4 * n) / H);
    const R1 = TB + 4 * PB;
    const R = R1 + 12;
    demand(3 * n + 2 <= H && registrationHolds(circuit, n, va, R), "registration too large");
    const reader = newReader(proof);
    const { absorb, element } = transcript;

    const [rootF1, rootM, rootF2, rootF3] = [reader.root(), reader.root(), reader.root(), reader.root()];
    absorb(1, Uint8Array.of(5));
    absorb(2, circuit.digest);
    absorb(3, s.root);
    absorb(8, rootF1);
    absorb(9, rootM);
    const alpha = element();
    absorb(10, rootF2);

    // The tree, from its root to its leaves.
    type Level = { readonly ends: readonly Form[]; readonly eq: Ext; readonly mu: Ext; readonly last: Form };
    const levels: Level[] = [];
    let sentPads = 0;
    let z: readonly Ext[] = [];
    let top: Form = { value: ZERO, pads: new Map() };
    let bottom: Form = top;
    for (let k = 0; k < n; k++) {
      const mu = k > 0 ? element() : ZERO;
      const begin = plus(top, times(bottom, mu));
      let claim: Claim = { value: ZERO, pads: [], start: ONE };
      const firstPad = sentPads;
      const x: Ext[] = [];
      for (let v = 0; v < k; v++) {
        const list = reader.words(12, true);
        absorb(11, toBytes(list));
        const q = element();
        claim = nextClaim(claim, elements(list), q);
        x.push(q);
        sentPads += 3;
      }
      const own = new Map(claim.pads.map((c, i) => [firstPad + i, c] as const));
      const last = plus(times(begin, claim.start), { value: claim.value, pads: own });
      const list = reader.words(16, true);
      absorb(12, toBytes(list));
      const ends = elements(list).map((value): Form => ({ value, pads: new Map([[sentPads++, negate(ONE)]]) }));
      const c = element();
      levels.push({ ends, eq: eqAt(z, x), mu, last });
      const [p0, p1, q0, q1] = ends as [Form, Form, Form, Form];
      const line = (a: Form, b: Form): Form => plus(times(a, sub(ONE, c)), times(b, c));
      [top, bottom] = [line(p0, p1), line(q0, q1)];
      z = [c, ...x];
    }
    const [zRows, zColumns] = [z.slice(0, va), z.slice(va)];

    absorb(13, rootF3);
    const chi = element();
    const ucWords = reader.words(4 * w.kW, true);
    absorb(14, toBytes(ucWords));
    const uc = planes(ucWords);
    const lambda = element();
    const kappa = draw(transcript, vars(R + 1));
    const nu = element();
    const polynomial = (type: number, length: number): readonly Ext[] => {
      const list = reader.words(4 * length, true);
      absorb(type, toBytes(list));
      return planes(list);
    };
    const proximity = polynomial(15, H + most);
    const linear = polynomial(16, 2 * H + most);
    const products = polynomial(17, 2 * (H + t));
    const columns = transcript.columns(QF, nF);
    const weightColumns = transcript.columns(w.QW, w.nW);
    const F1 = readColumns(reader, R1 + 12, columns);
    const F2 = readColumns(reader, 0, columns);
    const F3 = readColumns(reader, 12, columns);
    const W = readColumns(reader, w.RW, weightColumns);
    const M = readColumns(reader, 4, weightColumns);
    checkPath(reader, nF, columns, F1, rootF1, "F1");
    checkPath(reader, nF, columns, F2, rootF2, "F2");
    checkPath(reader, nF, columns, F3, rootF3, "F3");
    checkPath(reader, w.nW, weightColumns, W, s.root, "weights");
    checkPath(reader, w.nW, weightColumns, M, rootM, "M");
    reader.end();

    // The constraints, each "left = right", with weights λ, λ², …
    const A: Ext[][] = Array.from({ length: R }, () => Array.from({ length: H }, () => ZERO));
    let target: Ext = ZERO;
    let weight: Ext = ONE;
    const put = (firstRow: number, i: number, c: Ext): void => {
      const row = A[firstRow + Math.floor(i / H)] as Ext[];
      row[i % H] = add(row[i % H] as Ext, multiply(weight, c));
    };
    const slot = (which: 0 | 1 | 2, i: number, c: Ext): void => {
      for (let q = 0; q < 4; q++) put(R1 + 4 * which + q, i, timesX(c, q));
    };
    const begin = (): void => {
      weight = multiply(weight, lambda);
    };
    /** The form stands on the right: its pads go to the left with the other sign. */
    const right = (f: Form): void => {
      target = add(target, multiply(weight, f.value));
      for (const [i, c] of f.pads) for (let q = 0; q < 4; q++) put(TB + q * PB, i, timesX(negate(c), q));
    };
    for (const [k, level] of levels.entries()) {
      const [p0, p1, q0, q1] = level.ends as [Form, Form, Form, Form];
      for (const [i, [a, b]] of (
        [
          [p0, q1],
          [p1, q0],
          [q0, q1],
        ] as const
      ).entries()) {
        begin();
        slot(0, 3 * k + i, ONE);
        right(a);
        begin();
        slot(1, 3 * k + i, ONE);
        right(b);
      }
      if (k === 0) continue;
      begin();
      slot(2, 3 * k, level.eq);
      slot(2, 3 * k + 1, level.eq);
      slot(2, 3 * k + 2, multiply(level.eq, level.mu));
      right(level.last);
    }
    begin();
    slot(0, 3 * n, ONE);
    slot(2, 2, negate(ONE));
    begin();
    slot(2, 3 * n, ONE);
    slot(2, 0, negate(ONE));
    slot(2, 1, negate(ONE));
    begin();
    slot(1, 3 * n, ONE);
    for (let v = -128; v < 128; v++) {
      const difference = sub(alpha, embed(v));
      demand(!isZero(difference), "alpha is a table value");
      put(0, v + 128, negate(invertExt(difference)));
    }
    // P_n = 1, the form on the left: all of it but the pads goes to the right with the other sign.
    begin();
    right(plus({ value: ONE, pads: new Map() }, times(top, negate(ONE))));
    begin();
    slot(0, 3 * n + 1, ONE);
    const eqColumns = eqTable(zColumns);
    let combined: Ext = ZERO;
    for (let j = 0; j < w.C; j++) combined = add(combined, multiply(eqColumns[j] as Ext, uc[j] as Ext));
    const known: Form = { value: sub(combined, multiply(chi, alpha)), pads: new Map() };
    right(plus(known, times(bottom, chi)));

    checkWitness({ H, nF }, columns, [...F1.rows.slice(0, R1), ...F2.rows, ...F3.rows], F1.rows.slice(R1), {
      kappa,
      nu,
      A,
      target,
      proximity,
      linear,
      products,
    });
    const factors = eqTable(zRows).slice(0, w.RW);
    checkCombination(circuit, weightColumns, uc, chi, factors, W, M, "8: combination of the weights");
  });
