import { P, addm, addv, mulm, mulv, subm, subv } from './field';
/** Decimation in frequency: natural order in, bit-reversed order out. tw[h+j] = w_{2h}^j in m-form; n >= 4. */
export function ntt(a: usize, n: u32, tw: usize): void {
  for (let h: u32 = n >> 1; h >= 4; h >>= 1) {
    const hb: usize = <usize>h << 2, t0 = tw + hb;
    for (let s: usize = a, e = a + (<usize>n << 2); s < e; s += hb << 1)
      for (let j: usize = 0; j < hb; j += 16) {
        const x = v128.load(s + j), y = v128.load(s + hb + j);
        v128.store(s + j, addv(x, y));
        v128.store(s + hb + j, mulv(subv(x, y), v128.load(t0 + j)));
      }
  }
  const w = load<u32>(tw + 12); // w_4
  for (let s: usize = a, e = a + (<usize>n << 2); s < e; s += 16) {
    const a0 = load<u32>(s), a1 = load<u32>(s, 4), a2 = load<u32>(s, 8), a3 = load<u32>(s, 12);
    const b0 = addm(a0, a2), b1 = addm(a1, a3), b2 = subm(a0, a2), b3 = mulm(subm(a1, a3), w);
    store<u32>(s, addm(b0, b1)); store<u32>(s, subm(b0, b1), 4);
    store<u32>(s, addm(b2, b3), 8); store<u32>(s, subm(b2, b3), 12);
  }
}
export function bitrev(a: usize, logn: u32): void {
  const n: u32 = 1 << logn;
  for (let i: u32 = 0, r: u32 = 0; i < n; i++) {
    if (r > i) { const p = a + (<usize>i << 2), q = a + (<usize>r << 2), x = load<u32>(p); store<u32>(p, load<u32>(q)); store<u32>(q, x); }
    let b: u32 = n >> 1; while (b > 0 && (r & b)) { r ^= b; b >>= 1; } r |= b;
  }
}
/** int8 -> canonical words. */
export function widenI8(src: usize, n: u32, dst: usize): void {
  for (let j: u32 = 0; j < n; j++) { const v = <i32>load<i8>(src + j); store<u32>(dst + (<usize>j << 2), v < 0 ? <u32>(v + <i32>P) : <u32>v); }
}
