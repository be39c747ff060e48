import { utf8 } from "@countersign/core";
import { type Ext, type Field, P } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";

/** What is absorbed, each with its own tag: two readings of one byte string are two transcripts (R9). */
export const absorbed = {
  label: 0,
  mode: 1,
  circuit: 2,
  weights: 3,
  context: 4,
  input: 5,
  inputRoot: 6,
  output: 7,
  firstRoot: 8,
  maskRoot: 9,
  secondRoot: 10,
  lookupRound: 11,
  productRound: 12,
  thirdRoot: 13,
  combination: 14,
  proximity: 15,
  linear: 16,
  product: 17,
  parent: 18,
  child: 19,
  tail: 20,
} as const;
export type Absorbed = keyof typeof absorbed;

/** Names of challenges; the order in which they are drawn is the protocol's. */
export type Challenge =
  | "alpha"
  | "beta"
  | "tau"
  | "gamma"
  | "sigma"
  | "r"
  | "rho"
  | "s"
  | "chi"
  | "lambda"
  | "kappa"
  | "nu";

/** A chain of BLAKE3: absorbing moves it on, drawing does not (spec/zkml.md §3). */
export type Transcript = {
  readonly absorb: (what: Absorbed, bytes: Uint8Array) => void;
  readonly draw: (what: Challenge, count: number) => readonly Ext[];
  /** Distinct columns below a power of two, ascending. */
  readonly columns: (count: number, length: number) => readonly number[];
};

const label = utf8("countersign-zkml-1");
const absorbing = 1;
const squeezing = 2;

export function makeTranscript(k: Kernels, f: Field): Transcript {
  let state = new Uint8Array(32);
  let count = 0;
  const hash = (bytes: number, write: (view: Uint8Array) => void): Uint8Array =>
    k.scope(() => {
      const at = k.alloc(bytes + 4);
      const out = k.alloc(32);
      write(k.u8(at, bytes));
      k.hashBytes(at, bytes, out);
      return k.u8(out, 32).slice();
    });
  const absorb = (what: Absorbed, bytes: Uint8Array): void => {
    state = hash(42 + bytes.length, (view) => {
      view[0] = absorbing;
      view.set(state, 1);
      view[33] = absorbed[what];
      new DataView(view.buffer, view.byteOffset).setBigUint64(34, BigInt(bytes.length), true);
      view.set(bytes, 42);
    }) as Uint8Array<ArrayBuffer>;
    count = 0;
  };
  const squeeze = (): DataView => {
    const block = hash(37, (view) => {
      view[0] = squeezing;
      view.set(state, 1);
      new DataView(view.buffer, view.byteOffset).setUint32(33, count++, true);
    });
    return new DataView(block.buffer);
  };
  absorb("label", label);
  return {
    absorb,
    draw: (_what, n) =>
      Array.from({ length: n }, () => {
        const block = squeeze();
        return f.from([0, 8, 16, 24].map((at) => Number(block.getBigUint64(at, true) % BigInt(P))));
      }),
    columns: (n, length) => {
      const chosen = new Set<number>();
      while (chosen.size < n) {
        const block = squeeze();
        for (let at = 0; at < 32 && chosen.size < n; at += 4) chosen.add(block.getUint32(at, true) & (length - 1));
      }
      return [...chosen].sort((a, b) => a - b);
    },
  };
}
