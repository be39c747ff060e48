import type { Ext } from "../field.ts";
import type { Combination } from "./combination.ts";
import type { TestPolynomials } from "./ligero.ts";
import type { Matrix } from "./matrix.ts";
import type { Prepared } from "./prover.ts";
import type { passWeights } from "./weights.ts";
import type { Witness } from "./witness.ts";

/**
 * What a dishonest prover does differently. Only tests bring any: whatever can be said here, the checker must withstand.
 */
export type Moves = {
  /** Columns that the lookups, the sign test and the product sumcheck use, where they differ from the committed ones. */
  readonly lookups?: Witness;
  readonly signs?: Witness;
  readonly inputs?: Witness;
  /** Other inverses than those of the sumcheck, to be committed. */
  readonly inverse?: (column: number, table: number) => number;
  /** A, B and C at a slot of the third commitment. */
  readonly slot?: (slot: number, a: Ext, b: Ext, c: Ext) => readonly [Ext, Ext, Ext];
  readonly mu?: (
    mu: Ext,
    at: { readonly r: readonly Ext[]; readonly rho: Ext; readonly s: readonly Ext[]; readonly value: Ext },
  ) => Ext;
  /** Changes codewords before they are hashed. */
  readonly touch?: (name: "first" | "mask" | "second" | "third", matrix: Matrix) => void;
  /** Weights that the sumcheck uses, where they differ from the committed ones. */
  readonly pass?: Prepared;
  /** The pass over words that are no int8, in place of the honest one. */
  readonly words?: typeof passWeights;
  /** Uses those for the combination too. */
  readonly combine?: boolean;
  /** Changes the test polynomials before they are sent. */
  readonly tests?: (polynomials: TestPolynomials, combination: Combination) => TestPolynomials;
};
