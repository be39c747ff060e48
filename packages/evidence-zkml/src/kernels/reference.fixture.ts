// The kernels' functions again, in BigInt and slow: what the fast ones are compared with.
export const p = 2_130_706_433n;
export const mod = (a: bigint): bigint => ((a % p) + p) % p;
export const R = 2n ** 32n % p;
export const toMontgomery = (a: bigint): bigint => mod(a * R);
export const power = (b: bigint, e: bigint): bigint => {
  let out = 1n;
  for (let x = mod(b), n = e; n > 0n; n >>= 1n, x = (x * x) % p) if (n & 1n) out = (out * x) % p;
  return out;
};
export const fromMontgomery = (a: bigint): bigint => mod(a * power(R, p - 2n));

/** Elements of E as four canonical coefficients. */
export type Element = readonly [bigint, bigint, bigint, bigint];
export const multiply = (a: Element, b: Element): Element => {
  const c = Array.from({ length: 7 }, () => 0n);
  a.forEach((x, i) => {
    b.forEach((y, j) => {
      c[i + j] = (c[i + j] as bigint) + x * y;
    });
  });
  return [0, 1, 2, 3].map((i) => mod((c[i] as bigint) + 3n * (c[i + 4] ?? 0n))) as unknown as Element;
};
export const plus = (a: Element, b: Element): Element =>
  a.map((x, i) => mod(x + (b[i] as bigint))) as unknown as Element;
export const minus = (a: Element, b: Element): Element =>
  a.map((x, i) => mod(x - (b[i] as bigint))) as unknown as Element;

const reverse = (i: number, bits: number): number => {
  let r = 0;
  for (let b = 0; b < bits; b++) r |= ((i >> b) & 1) << (bits - 1 - b);
  return r;
};

/** Values of a polynomial on shift·⟨w⟩ of order n, in bit-reversed order. */
export const evaluate = (coefficients: readonly bigint[], n: number, shift: bigint): bigint[] => {
  const bits = Math.log2(n);
  const w = power(3n, (p - 1n) / BigInt(n));
  return Array.from({ length: n }, (_, i) => {
    const x = mod(shift * power(w, BigInt(reverse(i, bits))));
    return coefficients.reduceRight((acc, c) => mod(acc * x + c), 0n);
  });
};
