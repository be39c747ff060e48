import { type Circuit, digestCircuit } from "../circuit/compile.ts";
import type { Field } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { type Constraint, constraintsOf } from "./constraints.ts";
import { makeTranscript, type Transcript } from "./transcript.ts";

/** Mode bytes (spec/zkml.md §3); 6 is kept for batches. */
export const modes = {
  open: 0,
  hidden: 1,
  openHiddenInput: 2,
  hiddenHiddenInput: 3,
  link: 4,
  registration: 5,
} as const;

export const modeOf = (circuit: Circuit): number =>
  (circuit.weights === "hidden" ? 1 : 0) + (circuit.input === "hidden" ? 2 : 0);

/** What a proof is about. */
export type Statement = {
  /** Digest of open weights, or the root of their commitment. */
  readonly weights: Uint8Array;
  /** 32 bytes that the proof cannot move away from: a receipt's root. */
  readonly context: Uint8Array;
  /** The input, or the root of its commitment. */
  readonly input:
    | { readonly kind: "public"; readonly values: Int8Array }
    | { readonly kind: "hidden"; readonly root: Uint8Array };
  readonly output: Int32Array;
};

/** What prover and checker share; tests put others in its place to see which forgery each part stops. */
export type Rules = {
  readonly constraints: (circuit: Circuit) => readonly Constraint[];
  readonly transcript: (k: Kernels, f: Field) => Transcript;
  /** Which constraints of a registration count; all, unless a test leaves one out. */
  readonly keeps?: (name: string) => boolean;
};

export const rules: Rules = { constraints: constraintsOf, transcript: makeTranscript };

/** Little-endian bytes of words. */
export const bytesOf = (words: Uint32Array | Int32Array): Uint8Array => {
  const out = new Uint8Array(4 * words.length);
  const view = new DataView(out.buffer);
  words.forEach((w, i) => {
    view.setInt32(4 * i, w | 0, true);
  });
  return out;
};

/** Absorbs everything that is fixed before the first commitment. */
export function absorbStatement(t: Transcript, circuit: Circuit, s: Statement): void {
  t.absorb("mode", Uint8Array.of(modeOf(circuit)));
  t.absorb("circuit", digestCircuit(circuit));
  t.absorb("weights", s.weights);
  t.absorb("context", s.context);
  if (s.input.kind === "public")
    t.absorb("input", new Uint8Array(s.input.values.buffer, s.input.values.byteOffset, s.input.values.length).slice());
  else t.absorb("inputRoot", s.input.root);
  t.absorb("output", bytesOf(s.output));
}
