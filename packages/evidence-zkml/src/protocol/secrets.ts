import { concat, utf8 } from "@countersign/core";
import type { Circuit } from "../circuit/compile.ts";
import { P } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { saltWords } from "./tree.ts";

/** Everything that a prover draws for one proof. None of it is ever used twice (R12). */
export type Secrets = {
  /** Four planes of one word for each pad. */
  readonly pads: Uint32Array;
  /** Random coefficients of the rows of each commitment. */
  readonly first: Uint32Array;
  readonly second: Uint32Array;
  readonly third: Uint32Array;
  /** Masks of the three tests, four planes of coefficients each. */
  readonly proximity: Uint32Array;
  readonly linear: Uint32Array;
  readonly product: Uint32Array;
  /** Mask of the weights' combination, four planes of coefficients. */
  readonly weights: Uint32Array;
  /** Salts of the leaves, four rows of words each. */
  readonly salts: {
    readonly first: Uint32Array;
    readonly second: Uint32Array;
    readonly third: Uint32Array;
    readonly mask: Uint32Array;
  };
};

/** Words of BLAKE3's stream for a seed of 32 bytes and a label: field elements, or plain words for salts. */
export function stretch(k: Kernels, seed: Uint8Array, label: string, count: number, plain = false): Uint32Array {
  return k.scope(() => {
    const message = concat(seed, utf8(label));
    const at = k.alloc(message.length + 4);
    k.u8(at, message.length).set(message);
    const out = k.alloc(4 * count + 4);
    k.stretch(at, message.length, count, out, plain ? 1 : 0);
    return k.u32(out, count).slice();
  });
}

/** Draws all that a proof needs from one seed (spec/zkml.md §7). */
export function drawSecrets(k: Kernels, circuit: Circuit, seed: Uint8Array): Secrets {
  const f = circuit.witness;
  const w = circuit.weight;
  const hidden = circuit.weights === "hidden";
  const field = (label: string, n: number) => stretch(k, seed, label, n);
  const salts = (label: string, length: number) => stretch(k, seed, label, saltWords * length, true);
  const linear = field("linear mask", 4 * f.linear);
  const product = new Uint32Array(4 * f.product);
  const random = field("product mask", 4 * (f.product - f.row));
  for (let q = 0; q < 4; q++) {
    sumToZero(linear.subarray(q * f.linear, (q + 1) * f.linear), f.row);
    vanish(product.subarray(q * f.product, (q + 1) * f.product), random.subarray(q * (f.product - f.row)), f.row);
  }
  return {
    pads: field("pads", 4 * f.pads),
    first: field("first rows", (f.rows[1] as number) * f.extra),
    second: field("second rows", (f.rows[2] as number) * f.extra),
    third: field("third rows", (f.rows[3] as number) * f.extra),
    proximity: field("proximity mask", 4 * f.proximity),
    linear,
    product,
    weights: hidden ? field("weight mask", 4 * w.degree) : new Uint32Array(0),
    salts: {
      first: salts("first salts", f.length),
      second: salts("second salts", f.length),
      third: salts("third salts", f.length),
      mask: hidden ? salts("mask salts", w.length) : new Uint32Array(0),
    },
  };
}

/** Changes the constant coefficient so that the polynomial sums to zero over the subgroup of order `row`. */
function sumToZero(plane: Uint32Array, row: number): void {
  let sum = 0;
  for (let i = row; i < plane.length; i += row) sum = (sum + (plane[i] as number)) % P;
  plane[0] = (P - sum) % P;
}

/** (X^row − 1)·random, which vanishes on the subgroup of order `row`. */
function vanish(plane: Uint32Array, random: Uint32Array, row: number): void {
  for (let i = 0; i < plane.length - row; i++) {
    const x = random[i] as number;
    plane[row + i] = ((plane[row + i] as number) + x) % P;
    plane[i] = ((plane[i] as number) - x + P) % P;
  }
}
