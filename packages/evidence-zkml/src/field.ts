import type { Kernels } from "./kernels/kernels.ts";

/** KoalaBear: p = 2^31 − 2^24 + 1. */
export const P = 2_130_706_433;
const big = BigInt(P);

/** An element of E = F_p[x]/(x⁴ − 3): four words in Montgomery form. */
export type Ext = readonly [number, number, number, number];

const R = 4_294_967_296n % big;
const toMontgomery = (v: number): number => Number((BigInt(v < 0 ? (v % P) + P : v % P) * R) % big);

export const one: Ext = [toMontgomery(1), 0, 0, 0];
export const zero: Ext = [0, 0, 0, 0];

/** b^e mod p on canonical values. */
export function power(b: number, e: number | bigint): number {
  let out = 1n;
  let base = BigInt(b) % big;
  for (let n = BigInt(e); n > 0n; n >>= 1n) {
    if (n & 1n) out = (out * base) % big;
    base = (base * base) % big;
  }
  return Number(out);
}
/** Canonical inverse. */
export const inverse = (a: number): number => power(a, P - 2);
/** A primitive root of unity of order 2^log; 3 generates the multiplicative group. */
export const rootOfUnity = (log: number): number => power(3, (big - 1n) >> BigInt(log));

const sum = (a: number, b: number): number => {
  const s = a + b;
  return s >= P ? s - P : s;
};
const difference = (a: number, b: number): number => (a >= b ? a - b : a - b + P);
const triple = (a: number): number => sum(sum(a, a), a);

/** Arithmetic of E for small amounts; bulk work is done by kernels. */
export type Field = {
  readonly add: (a: Ext, b: Ext) => Ext;
  readonly sub: (a: Ext, b: Ext) => Ext;
  readonly neg: (a: Ext) => Ext;
  readonly mul: (a: Ext, b: Ext) => Ext;
  readonly inv: (a: Ext) => Ext;
  /** The element of a whole number. */
  readonly int: (v: number) => Ext;
  /** Canonical words of an element, and back. */
  readonly words: (a: Ext) => number[];
  readonly from: (words: ArrayLike<number>, at?: number) => Ext;
  readonly get: (at: number, i?: number) => Ext;
};

export const same = (a: Ext, b: Ext): boolean => a.every((v, i) => v === b[i]);
/** a·x^q. */
export const shiftUp = (a: Ext, q: number): Ext => (q === 0 ? a : shiftUp([triple(a[3]), a[0], a[1], a[2]], q - 1));

export function makeField(k: Kernels): Field {
  const m = k.mul;
  const add = (a: Ext, b: Ext): Ext => [sum(a[0], b[0]), sum(a[1], b[1]), sum(a[2], b[2]), sum(a[3], b[3])];
  const sub = (a: Ext, b: Ext): Ext => [
    difference(a[0], b[0]),
    difference(a[1], b[1]),
    difference(a[2], b[2]),
    difference(a[3], b[3]),
  ];
  const mul = (a: Ext, b: Ext): Ext => [
    sum(m(a[0], b[0]), triple(sum(sum(m(a[1], b[3]), m(a[2], b[2])), m(a[3], b[1])))),
    sum(sum(m(a[0], b[1]), m(a[1], b[0])), triple(sum(m(a[2], b[3]), m(a[3], b[2])))),
    sum(sum(sum(m(a[0], b[2]), m(a[1], b[1])), m(a[2], b[0])), triple(m(a[3], b[3]))),
    sum(sum(m(a[0], b[3]), m(a[1], b[2])), sum(m(a[2], b[1]), m(a[3], b[0]))),
  ];
  /** By the norm to F_p(x²). */
  const inv = ([a0, a1, a2, a3]: Ext): Ext => {
    const c0 = difference(sum(m(a0, a0), triple(m(a2, a2))), triple(sum(m(a1, a3), m(a1, a3))));
    const c1 = difference(sum(m(a0, a2), m(a0, a2)), sum(m(a1, a1), triple(m(a3, a3))));
    const d = k.toM(inverse(k.fromM(difference(m(c0, c0), triple(m(c1, c1))))));
    return mul([a0, difference(0, a1), a2, difference(0, a3)], [m(c0, d), 0, difference(0, m(c1, d)), 0]);
  };
  const from = (v: ArrayLike<number>, at = 0): Ext => [
    k.toM(v[at] as number),
    k.toM(v[at + 1] as number),
    k.toM(v[at + 2] as number),
    k.toM(v[at + 3] as number),
  ];
  return {
    add,
    sub,
    neg: (a) => sub(zero, a),
    mul,
    inv,
    int: (v) => [k.toM(((v % P) + P) % P), 0, 0, 0],
    words: (a) => a.map((v) => k.fromM(v)),
    from,
    get: (at, i = 0) => {
      const v = k.u32(at + 16 * i, 4);
      return [v[0] as number, v[1] as number, v[2] as number, v[3] as number];
    },
  };
}
