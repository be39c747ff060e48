/**
 * The prime field and its extension of degree four (spec/zkml.md §3), in BigInt.
 * This folder was written from the text of the specification alone and shares no code with the package.
 */
export const P = 2130706433n;

/** An element of E = F_p[x]/(x^4 − 3): c_0 + c_1 x + c_2 x² + c_3 x³. */
export type Ext = readonly [bigint, bigint, bigint, bigint];

export const ZERO: Ext = [0n, 0n, 0n, 0n];
export const ONE: Ext = [1n, 0n, 0n, 0n];

export const mod = (a: bigint): bigint => {
  const r = a % P;
  return r < 0n ? r + P : r;
};

export const power = (base: bigint, exponent: bigint): bigint => {
  let result = 1n;
  let square = mod(base);
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
};

export const invert = (a: bigint): bigint => power(a, P - 2n);

/** w_n = 3^((p−1)/n). */
export const rootOfUnity = (n: number): bigint => power(3n, (P - 1n) / BigInt(n));

export const embed = (a: bigint | number): Ext => [mod(BigInt(a)), 0n, 0n, 0n];
export const add = (a: Ext, b: Ext): Ext => [
  (a[0] + b[0]) % P,
  (a[1] + b[1]) % P,
  (a[2] + b[2]) % P,
  (a[3] + b[3]) % P,
];
export const sub = (a: Ext, b: Ext): Ext => [mod(a[0] - b[0]), mod(a[1] - b[1]), mod(a[2] - b[2]), mod(a[3] - b[3])];
export const negate = (a: Ext): Ext => sub(ZERO, a);
export const scale = (a: Ext, k: bigint): Ext => [mod(a[0] * k), mod(a[1] * k), mod(a[2] * k), mod(a[3] * k)];
export const multiply = (a: Ext, b: Ext): Ext => [
  (a[0] * b[0] + 3n * (a[1] * b[3] + a[2] * b[2] + a[3] * b[1])) % P,
  (a[0] * b[1] + a[1] * b[0] + 3n * (a[2] * b[3] + a[3] * b[2])) % P,
  (a[0] * b[2] + a[1] * b[1] + a[2] * b[0] + 3n * (a[3] * b[3])) % P,
  (a[0] * b[3] + a[1] * b[2] + a[2] * b[1] + a[3] * b[0]) % P,
];
/** a · x^q, which moves the words up and folds x^4 = 3. */
export const timesX = (a: Ext, q: number): Ext => {
  let r = a;
  for (let i = 0; i < q; i++) r = [(3n * r[3]) % P, r[0], r[1], r[2]];
  return r;
};
export const isZero = (a: Ext): boolean => a.every((c) => c === 0n);
export const equal = (a: Ext, b: Ext): boolean => a.every((c, i) => c === b[i]);

export const powers = (base: Ext, count: number): readonly Ext[] => {
  const out: Ext[] = [];
  let current = ONE;
  for (let i = 0; i < count; i++) {
    out.push(current);
    current = multiply(current, base);
  }
  return out;
};

/** The inverse by a^(p^4 − 2): slow, but nothing in it can be wrong unnoticed. */
export const invertExt = (a: Ext): Ext => {
  if (isZero(a)) throw new Error("zero has no inverse");
  let result = ONE;
  let square = a;
  for (let e = P ** 4n - 2n; e > 0n; e >>= 1n) {
    if (e & 1n) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
};

/** eq(point, i) for every index i, the first variable being the highest bit of i. */
export const eqTable = (point: readonly Ext[]): readonly Ext[] => {
  let table: Ext[] = [ONE];
  for (const v of point) table = table.flatMap((t) => [multiply(t, sub(ONE, v)), multiply(t, v)]);
  return table;
};

/** eq(a, b) = Π (1 − a_i − b_i + 2 a_i b_i). */
export const eqAt = (a: readonly Ext[], b: readonly Ext[]): Ext => {
  if (a.length !== b.length) throw new Error("points of different sizes");
  let product = ONE;
  for (const [i, x] of a.entries()) {
    const y = b[i] as Ext;
    product = multiply(product, add(sub(sub(ONE, x), y), scale(multiply(x, y), 2n)));
  }
  return product;
};

/** The polynomial with these coefficients at x of F_p. */
export const evaluate = (coefficients: readonly Ext[], x: bigint): Ext => {
  let [a, b, c, d] = ZERO;
  for (let i = coefficients.length - 1; i >= 0; i--) {
    const k = coefficients[i] as Ext;
    a = (a * x + k[0]) % P;
    b = (b * x + k[1]) % P;
    c = (c * x + k[2]) % P;
    d = (d * x + k[3]) % P;
  }
  return [a, b, c, d];
};

/** The lowest `bits` bits of i in reverse order. */
export const reverse = (i: number, bits: number): number => {
  let out = 0;
  for (let b = 0; b < bits; b++) out = out * 2 + ((i >> b) & 1);
  return out;
};
