// E = F_p[x]/(x^4 - 3), four m-form words an element.
import { addm, addv, mulm, mulv, subv, toM } from './field';
import { alloc, mark, reset } from './memory';
@inline function x3(a: u32): u32 { return addm(addm(a, a), a); }
export function emul(a: usize, b: usize, o: usize): void {
  const a0 = load<u32>(a), a1 = load<u32>(a, 4), a2 = load<u32>(a, 8), a3 = load<u32>(a, 12);
  const b0 = load<u32>(b), b1 = load<u32>(b, 4), b2 = load<u32>(b, 8), b3 = load<u32>(b, 12);
  store<u32>(o, addm(mulm(a0, b0), x3(addm(addm(mulm(a1, b3), mulm(a2, b2)), mulm(a3, b1)))));
  store<u32>(o, addm(addm(mulm(a0, b1), mulm(a1, b0)), x3(addm(mulm(a2, b3), mulm(a3, b2)))), 4);
  store<u32>(o, addm(addm(addm(mulm(a0, b2), mulm(a1, b1)), mulm(a2, b0)), x3(mulm(a3, b3))), 8);
  store<u32>(o, addm(addm(mulm(a0, b3), mulm(a1, b2)), addm(mulm(a2, b1), mulm(a3, b0))), 12);
}
@inline function eaddTo(o: usize, a: usize): void { v128.store(o, addv(v128.load(o), v128.load(a))); }
export function edot(a: usize, b: usize, n: u32, o: usize): void {
  const at = mark(), t = alloc(16); let s = i32x4.splat(0);
  for (let i: usize = 0, e = <usize>n << 4; i < e; i += 16) { emul(a + i, b + i, t); s = addv(s, v128.load(t)); }
  v128.store(o, s); reset(at);
}
/** o[i] = c * a[i]. */
export function escale(a: usize, n: u32, c: usize, o: usize): void { for (let i: usize = 0, e = <usize>n << 4; i < e; i += 16) emul(a + i, c, o + i); }
/** o[i] += c * a[i]. */
export function eaxpy(a: usize, n: u32, c: usize, o: usize): void {
  const at = mark(), t = alloc(16);
  for (let i: usize = 0, e = <usize>n << 4; i < e; i += 16) { emul(a + i, c, t); eaddTo(o + i, t); }
  reset(at);
}
/** o[i] += c * a[i] for a base-field vector a in m-form. */
export function eaxpyBase(a: usize, n: u32, c: usize, o: usize): void {
  const cv = v128.load(c);
  for (let i: usize = 0; i < <usize>n; i++) v128.store(o + (i << 4), addv(v128.load(o + (i << 4)), mulv(cv, i32x4.splat(load<i32>(a + (i << 2))))));
}
export function efill(o: usize, n: u32, c: usize): void { const v = v128.load(c); for (let i: usize = 0, e = <usize>n << 4; i < e; i += 16) v128.store(o + i, v); }
/** a[i] += r * (a[i + half] - a[i]): binds the most significant variable. */
export function efold(a: usize, half: u32, r: usize): void {
  const at = mark(), t = alloc(16), hb = <usize>half << 4;
  for (let i: usize = 0; i < hb; i += 16) { v128.store(t, subv(v128.load(a + hb + i), v128.load(a + i))); emul(t, r, t); v128.store(a + i, addv(v128.load(a + i), v128.load(t))); }
  reset(at);
}
/** Table of eq(point, .), most significant variable first; nv elements in, 2^nv out. */
export function eqTable(point: usize, nv: u32, out: usize): void {
  store<u32>(out, toM(1)); store<u32>(out, 0, 4); store<u32>(out, 0, 8); store<u32>(out, 0, 12);
  let n: usize = 16;
  for (let v: i32 = <i32>nv - 1; v >= 0; v--) {
    const r = point + (<usize>v << 4);
    for (let i: usize = 0; i < n; i += 16) { emul(out + i, r, out + n + i); v128.store(out + i, subv(v128.load(out + i), v128.load(out + n + i))); }
    n <<= 1;
  }
}
/** Prefix products; o[n-1] is the product of all. */
export function invBatch(a: usize, n: u32, o: usize): void {
  v128.store(o, v128.load(a));
  for (let i: usize = 1; i < <usize>n; i++) emul(o + ((i - 1) << 4), a + (i << 4), o + (i << 4));
}
/** From prefix products in o and the inverse of the last in inv (changed): o[i] = 1 / a[i]. */
export function invBack(a: usize, n: u32, o: usize, inv: usize): void {
  const at = mark(), t = alloc(16);
  for (let i: usize = <usize>n - 1; i > 0; i--) { emul(o + ((i - 1) << 4), inv, t); emul(inv, a + (i << 4), inv); v128.store(o + (i << 4), v128.load(t)); }
  v128.store(o, v128.load(inv)); reset(at);
}
/** m-form elements -> four planes of stride n words, canonical when plain, else m-form. */
export function toPlanes(a: usize, len: u32, o: usize, n: u32, plain: bool): void {
  for (let i: usize = 0; i < <usize>len; i++) for (let q: usize = 0; q < 4; q++) { const v = load<u32>(a + (i << 4) + (q << 2)); store<u32>(o + ((q * n + i) << 2), plain ? mulm(v, 1) : v); }
}
/** Canonical planes of stride n words -> m-form elements. */
export function fromPlanes(p: usize, n: u32, len: u32, o: usize): void {
  for (let i: usize = 0; i < <usize>len; i++) for (let q: usize = 0; q < 4; q++) store<u32>(o + (i << 4) + (q << 2), toM(load<u32>(p + ((q * n + i) << 2))));
}
/** Round of sum u*x: o = g(0), g(2). */
export function prodRound(u: usize, x: usize, half: u32, o: usize): void {
  const at = mark(), t = alloc(16), t1 = alloc(16), t2 = alloc(16), hb = <usize>half << 4;
  let s0 = i32x4.splat(0), s2 = s0;
  for (let i: usize = 0; i < hb; i += 16) {
    emul(u + i, x + i, t); s0 = addv(s0, v128.load(t));
    const u0 = v128.load(u + i), u1 = v128.load(u + hb + i), y0 = v128.load(x + i), y1 = v128.load(x + hb + i);
    v128.store(t1, subv(addv(u1, u1), u0)); v128.store(t2, subv(addv(y1, y1), y0));
    emul(t1, t2, t); s2 = addv(s2, v128.load(t));
  }
  v128.store(o, s0); v128.store(o, s2, 16); reset(at);
}
/** Round of sum eq * (par + sum_c I_c F_c + Y - Z*l): o = g(0), g(2), g(3). Tables: eq, I_0, F_0, ..., Y, Z, l (pointers at cols). */
export function zeroRound(cols: usize, lookups: u32, half: u32, par: usize, o: usize): void {
  const n: u32 = 4 + 2 * lookups, at = mark(), v = alloc(<usize>n << 4), t = alloc(16), acc = alloc(16), hb = <usize>half << 4;
  v128.store(o, i32x4.splat(0)); v128.store(o, i32x4.splat(0), 16); v128.store(o, i32x4.splat(0), 32);
  for (let i: usize = 0; i < hb; i += 16)
    for (let e: u32 = 0; e < 3; e++) {
      for (let c: u32 = 0; c < n; c++) {
        const b = <usize>load<u32>(cols + (<usize>c << 2)) + i;
        let x = v128.load(b);
        if (e > 0) { const d = subv(v128.load(b + hb), x); x = addv(x, addv(d, d)); if (e == 2) x = addv(x, d); }
        v128.store(v + (<usize>c << 4), x);
      }
      v128.store(acc, v128.load(par));
      for (let c: u32 = 0; c < lookups; c++) { emul(v + (<usize>(1 + 2 * c) << 4), v + (<usize>(2 + 2 * c) << 4), t); eaddTo(acc, t); }
      const y = v + (<usize>(1 + 2 * lookups) << 4);
      emul(y + 16, y + 32, t);
      v128.store(acc, subv(addv(v128.load(acc), v128.load(y)), v128.load(t)));
      emul(acc, v, acc);
      eaddTo(o + (<usize>e << 4), acc);
    }
  reset(at);
}
/** A level of a tree of fractions: (p0·q1 + p1·q0, q0·q1) of the halves of p and q. */
export function fractionLevel(p: usize, q: usize, half: u32, po: usize, qo: usize): void {
  const at = mark(), t = alloc(16), hb = <usize>half << 4;
  for (let i: usize = 0; i < hb; i += 16) {
    emul(p + i, q + hb + i, po + i); emul(p + hb + i, q + i, t); eaddTo(po + i, t);
    emul(q + i, q + hb + i, qo + i);
  }
  reset(at);
}
/** Round of sum eq·(p0·q1 + p1·q0 + c·q0·q1): o = g(0), g(2), g(3). Tables eq, p0, p1, q0, q1 (pointers at cols). */
export function fractionRound(cols: usize, half: u32, c: usize, o: usize): void {
  const at = mark(), v = alloc(80), t = alloc(16), acc = alloc(16), hb = <usize>half << 4;
  v128.store(o, i32x4.splat(0)); v128.store(o, i32x4.splat(0), 16); v128.store(o, i32x4.splat(0), 32);
  for (let i: usize = 0; i < hb; i += 16)
    for (let e: u32 = 0; e < 3; e++) {
      for (let n: u32 = 0; n < 5; n++) {
        const b = <usize>load<u32>(cols + (<usize>n << 2)) + i;
        let x = v128.load(b);
        if (e > 0) { const d = subv(v128.load(b + hb), x); x = addv(x, addv(d, d)); if (e == 2) x = addv(x, d); }
        v128.store(v + (<usize>n << 4), x);
      }
      // q1·(p0 + c·q0) + p1·q0
      emul(v + 48, c, t); eaddTo(t, v + 16); emul(t, v + 64, acc);
      emul(v + 32, v + 48, t); eaddTo(acc, t);
      emul(acc, v, acc); eaddTo(o + (<usize>e << 4), acc);
    }
  reset(at);
}
