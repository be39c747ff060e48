// Combinations of rows of words. "Planes" are an extension vector as four base vectors of n words, one after the other.
import { P, addv, mulv } from './field';
@inline function x3v(a: v128): v128 { return addv(addv(a, a), a); }
/** out planes += a * row; row canonical, a m-form; n a multiple of 4. */
export function axpyPlanes(row: usize, n: u32, a: usize, out: usize): void {
  const a0 = i32x4.splat(load<i32>(a)), a1 = i32x4.splat(load<i32>(a, 4)), a2 = i32x4.splat(load<i32>(a, 8)), a3 = i32x4.splat(load<i32>(a, 12));
  const s: usize = <usize>n << 2;
  for (let i: usize = 0; i < s; i += 16) {
    const x = v128.load(row + i);
    v128.store(out + i, addv(v128.load(out + i), mulv(x, a0))); v128.store(out + s + i, addv(v128.load(out + s + i), mulv(x, a1)));
    v128.store(out + 2 * s + i, addv(v128.load(out + 2 * s + i), mulv(x, a2))); v128.store(out + 3 * s + i, addv(v128.load(out + 3 * s + i), mulv(x, a3)));
  }
}
/** out planes += a planes * b planes, pointwise in E; a m-form, b and out canonical; n a multiple of 4. */
export function mulAccPlanes(a: usize, b: usize, n: u32, out: usize): void {
  const s: usize = <usize>n << 2;
  for (let i: usize = 0; i < s; i += 16) {
    const a0 = v128.load(a + i), a1 = v128.load(a + s + i), a2 = v128.load(a + 2 * s + i), a3 = v128.load(a + 3 * s + i);
    const b0 = v128.load(b + i), b1 = v128.load(b + s + i), b2 = v128.load(b + 2 * s + i), b3 = v128.load(b + 3 * s + i);
    v128.store(out + i, addv(v128.load(out + i), addv(mulv(a0, b0), x3v(addv(addv(mulv(a1, b3), mulv(a2, b2)), mulv(a3, b1))))));
    v128.store(out + s + i, addv(v128.load(out + s + i), addv(addv(mulv(a0, b1), mulv(a1, b0)), x3v(addv(mulv(a2, b3), mulv(a3, b2))))));
    v128.store(out + 2 * s + i, addv(v128.load(out + 2 * s + i), addv(addv(addv(mulv(a0, b2), mulv(a1, b1)), mulv(a2, b0)), x3v(mulv(a3, b3)))));
    v128.store(out + 3 * s + i, addv(v128.load(out + 3 * s + i), addv(addv(mulv(a0, b3), mulv(a1, b2)), addv(mulv(a2, b1), mulv(a3, b0)))));
  }
}
/** acc[j] (four i64) += sum_i e_i * W[i][j]; int8 W of rows x cols, e_i four canonical words; rows a multiple of 4. */
export function combineI8(w: usize, rows: u32, cols: u32, e: usize, acc: usize): void {
  for (let i: u32 = 0; i < rows; i += 4) {
    const ei = e + (<usize>i << 4), e0 = v128.load(ei), e1 = v128.load(ei, 16), e2 = v128.load(ei, 32), e3 = v128.load(ei, 48);
    const p0 = w + <usize>i * cols, p1 = p0 + cols, p2 = p1 + cols, p3 = p2 + cols; let a = acc;
    for (let j: usize = 0; j < <usize>cols; j++) {
      const w0 = i32x4.splat(<i32>load<i8>(p0 + j)), w1 = i32x4.splat(<i32>load<i8>(p1 + j)), w2 = i32x4.splat(<i32>load<i8>(p2 + j)), w3 = i32x4.splat(<i32>load<i8>(p3 + j));
      v128.store(a, i64x2.add(v128.load(a), i64x2.add(i64x2.add(i64x2.extmul_low_i32x4_s(e0, w0), i64x2.extmul_low_i32x4_s(e1, w1)), i64x2.add(i64x2.extmul_low_i32x4_s(e2, w2), i64x2.extmul_low_i32x4_s(e3, w3)))));
      v128.store(a, i64x2.add(v128.load(a, 16), i64x2.add(i64x2.add(i64x2.extmul_high_i32x4_s(e0, w0), i64x2.extmul_high_i32x4_s(e1, w1)), i64x2.add(i64x2.extmul_high_i32x4_s(e2, w2), i64x2.extmul_high_i32x4_s(e3, w3)))), 16);
      a += 32;
    }
  }
}
/** i64 -> canonical word. */
export function reduceI64(acc: usize, n: u32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i++) { let r = load<i64>(acc + (i << 3)) % <i64>P; if (r < 0) r += <i64>P; store<u32>(out + (i << 2), <u32>r); }
}
/** out[q][r] for the chosen columns: row r of a matrix of stride n, column idx[q]; out has rows of stride m. */
export function gather(mat: usize, rows: u32, n: u32, idx: usize, count: u32, out: usize, m: u32): void {
  for (let r: usize = 0; r < <usize>rows; r++) for (let q: usize = 0; q < <usize>count; q++)
    store<u32>(out + ((r * m + q) << 2), load<u32>(mat + ((r * n + <usize>load<u32>(idx + (q << 2))) << 2)));
}
