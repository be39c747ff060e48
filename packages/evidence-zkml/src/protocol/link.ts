import { CountersignError, concat, equalBytes } from "@countersign/core";
import type { Circuit } from "../circuit/compile.ts";
import { digestCircuit } from "../circuit/compile.ts";
import { type Ext, P } from "../field.ts";
import { columnsOf, type Matrix, makeMatrix, plant, rowAt } from "./matrix.ts";
import { checkOpening } from "./opening.ts";
import type { Committed } from "./prover.ts";
import { stretch } from "./secrets.ts";
import { bytesOf, modes, type Rules } from "./statement.ts";
import type { Transcript } from "./transcript.ts";
import { climb, openTree, pathLength, saltWords, type Tree } from "./tree.ts";
import type { Checker } from "./verify.ts";
import { combineWeights, type Opening, passWeights, rowCoefs } from "./weights.ts";

/** Challenges of a link: one point for both commitments. */
function drawPoint(t: Transcript, circuit: Circuit): Opening {
  const r = t.draw("r", circuit.variables.outputs);
  const [rho] = t.draw("rho", 1) as [Ext];
  // Only the layer part of s enters the combination; the inputs are compared one by one.
  const s = t.draw("s", circuit.variables.layers);
  const [chi] = t.draw("chi", 1) as [Ext];
  return { r, rho, s, chi };
}

function begin(
  t: Transcript,
  circuit: Circuit,
  parent: Uint8Array,
  child: Uint8Array,
  masks: readonly Uint8Array[],
): void {
  t.absorb("mode", Uint8Array.of(modes.link));
  t.absorb("circuit", digestCircuit(circuit));
  t.absorb("parent", parent);
  t.absorb("child", child);
  for (const root of masks) t.absorb("maskRoot", root);
}

/** Masks of a link: the same message coefficients for both commitments, tails of their own. */
export type LinkMasks = {
  readonly parent: Uint32Array;
  readonly child: Uint32Array;
  readonly salts: readonly [Uint32Array, Uint32Array];
};

export function drawLinkMasks(c: Committed, seed: Uint8Array): LinkMasks {
  const { degree, columns, length } = c.circuit.weight;
  const parent = stretch(c.k, seed, "link parent", 4 * degree);
  const child = stretch(c.k, seed, "link child", 4 * degree);
  for (let q = 0; q < 4; q++) child.set(parent.subarray(q * degree, q * degree + columns), q * degree);
  return {
    parent,
    child,
    salts: [
      stretch(c.k, seed, "link parent salts", saltWords * length, true),
      stretch(c.k, seed, "link child salts", saltWords * length, true),
    ],
  };
}

function commitMask(
  { circuit, k, codes }: Committed,
  mask: Uint32Array,
  salts: Uint32Array,
): { readonly matrix: Matrix; readonly tree: Tree } {
  const { degree, length } = circuit.weight;
  const matrix = makeMatrix(k, 4, length, salts);
  for (let q = 0; q < 4; q++) {
    const at = rowAt(matrix, q);
    k.u32(at, degree).set(mask.subarray(q * degree, (q + 1) * degree));
    codes.encodeWeights(at, degree);
  }
  return { matrix, tree: plant(k, matrix) };
}

/**
 * Writes a proof that two commitments hold the same weights: both are opened at one random combination, with masks
 * whose message coefficients are equal, so that the openings' messages are equal when the weights are (spec/zkml.md §7.4).
 */
export function writeLink(parent: Committed, child: Committed, masks: LinkMasks, rules: Rules): Uint8Array {
  const { circuit } = parent;
  return parent.k.scope(() =>
    child.k.scope(() => {
      const of = [
        { c: parent, mask: masks.parent, planted: commitMask(parent, masks.parent, masks.salts[0]) },
        { c: child, mask: masks.child, planted: commitMask(child, masks.child, masks.salts[1]) },
      ] as const;
      const t = rules.transcript(parent.k, parent.f);
      begin(
        t,
        circuit,
        parent.root,
        child.root,
        of.map((o) => o.planted.tree.root),
      );
      const point = drawPoint(t, circuit);
      const [uc, childUc] = of.map(({ c, mask }) =>
        combineWeights(c, passWeights(c, point.r, point.rho), point, mask),
      ) as [Uint32Array, Uint32Array];
      const { degree, columns, extra } = circuit.weight;
      const tail = new Uint32Array(4 * extra);
      for (let q = 0; q < 4; q++) tail.set(childUc.subarray(q * degree + columns, (q + 1) * degree), q * extra);
      t.absorb("combination", bytesOf(uc));
      t.absorb("tail", bytesOf(tail));
      const opened = of.flatMap(({ c, planted }) => {
        const indices = t.columns(circuit.weight.queries, circuit.weight.length);
        return [
          { c, indices, matrix: c.code, tree: c.tree },
          { c, indices, matrix: planted.matrix, tree: planted.tree },
        ];
      });
      return concat(
        ...of.map((o) => o.planted.tree.root),
        bytesOf(uc),
        bytesOf(tail),
        ...opened.map((o) => bytesOf(columnsOf(o.c.k, o.matrix, o.indices))),
        ...opened.map((o) => openTree(o.c.k, o.tree, o.indices)),
      );
    }),
  );
}

/** One part of a link's check. */
export type LinkCheck = "paths" | "parent" | "child";

/** Checks a link; the names of what fails. @throws ZK_PROOF_MALFORMED */
export function checkLinkProof(
  checker: Checker,
  parent: Uint8Array,
  child: Uint8Array,
  proof: Uint8Array,
  rules: Rules,
): readonly LinkCheck[] {
  const { circuit, k, f } = checker;
  const { degree, columns, extra, rows, queries, length } = circuit.weight;
  const malformed = (message: string) => new CountersignError("ZK_PROOF_MALFORMED", { message });
  let at = 0;
  const take = (n: number): Uint8Array => {
    if (at + n > proof.length) throw malformed("The link ends before its last part.");
    at += n;
    return proof.slice(at - n, at);
  };
  const words = (n: number, free = 0): Uint32Array => {
    const view = new DataView(take(4 * n).buffer);
    return Uint32Array.from({ length: n }, (_, i) => {
      const w = view.getUint32(4 * i, true);
      if (i >= free && w >= P) throw malformed("A word of the link is not an element of the field.");
      return w;
    });
  };
  const roots = [take(32), take(32)] as const;
  const uc = words(4 * degree);
  const tail = words(4 * extra);
  const t = rules.transcript(k, f);
  begin(t, circuit, parent, child, roots);
  const point = drawPoint(t, circuit);
  t.absorb("combination", bytesOf(uc));
  t.absorb("tail", bytesOf(tail));
  const indices = [t.columns(queries, length), t.columns(queries, length)] as const;
  const opened = [rows, 4, rows, 4].map((count) => {
    const stride = Math.ceil(queries / 4) * 4;
    const all = count + saltWords;
    const from = words(all * queries, saltWords * queries);
    const to = k.zeros(4 * all * stride);
    for (let r = 0; r < all; r++)
      k.u32(to + 4 * r * stride, queries).set(from.subarray(r * queries, (r + 1) * queries));
    return { at: to, rows: all, stride };
  });
  const expected = [parent, roots[0], child, roots[1]];
  let good = true;
  opened.forEach((o, m) => {
    const of = indices[m >> 1] as readonly number[];
    const path = take(pathLength(of, length));
    good = equalBytes(climb(k, o, of, length, path), expected[m] as Uint8Array) && good;
  });
  if (at !== proof.length) throw malformed("The link is longer than its parts.");
  const childUc = uc.slice();
  for (let q = 0; q < 4; q++) childUc.set(tail.subarray(q * extra, (q + 1) * extra), q * degree + columns);
  const coefs = rowCoefs(k, f, circuit, point);
  const holds = (combination: Uint32Array, m: 0 | 1): boolean =>
    checkOpening(
      checker,
      { combination, coefs, columns: indices[m], weights: opened[2 * m] as never, mask: opened[2 * m + 1] as never },
      k,
    );
  return [
    ...(good ? [] : (["paths"] as const)),
    ...(holds(uc, 0) ? [] : (["parent"] as const)),
    ...(holds(childUc, 1) ? [] : (["child"] as const)),
  ];
}
