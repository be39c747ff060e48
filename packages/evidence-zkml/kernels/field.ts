// KoalaBear: p = 2^31 - 2^24 + 1. "m-form" is Montgomery form (a * 2^32 mod p): canonical x m-form = canonical.
export const P: u32 = 2130706433;
const MU: u32 = 2164260865; // p^-1 mod 2^32
const R2: u32 = 402124772; // 2^64 mod p
@inline export function mulm(a: u32, b: u32): u32 {
  const t: u64 = <u64>a * <u64>b;
  const q: u32 = <u32>t * MU;
  const h: i32 = <i32>(<u32>(t >> 32)) - <i32>(<u32>((<u64>q * <u64>P) >> 32));
  return h < 0 ? <u32>h + P : <u32>h;
}
@inline export function addm(a: u32, b: u32): u32 { const s = a + b; return s >= P ? s - P : s; }
@inline export function subm(a: u32, b: u32): u32 { return a >= b ? a - b : a + P - b; }
@inline export function mulv(a: v128, b: v128): v128 {
  const l = i64x2.extmul_low_i32x4_u(a, b), h = i64x2.extmul_high_i32x4_u(a, b);
  const lo = v128.shuffle<i32>(l, h, 0, 2, 4, 6), hi = v128.shuffle<i32>(l, h, 1, 3, 5, 7);
  const q = i32x4.mul(lo, i32x4.splat(<i32>2164260865));
  const pv = i32x4.splat(<i32>2130706433);
  const l2 = i64x2.extmul_low_i32x4_u(q, pv), h2 = i64x2.extmul_high_i32x4_u(q, pv);
  const r = i32x4.sub(hi, v128.shuffle<i32>(l2, h2, 1, 3, 5, 7));
  return i32x4.min_u(r, i32x4.add(r, pv));
}
@inline export function addv(a: v128, b: v128): v128 { const s = i32x4.add(a, b); return i32x4.min_u(s, i32x4.sub(s, i32x4.splat(<i32>2130706433))); }
@inline export function subv(a: v128, b: v128): v128 { const s = i32x4.sub(a, b); return i32x4.min_u(s, i32x4.add(s, i32x4.splat(<i32>2130706433))); }

export function mul(a: u32, b: u32): u32 { return mulm(a, b); }
export function toM(a: u32): u32 { return mulm(a, R2); }
export function fromM(a: u32): u32 { return mulm(a, 1); }
/** In place, n words. */
export function toMv(p: usize, n: u32): void { for (let i: u32 = 0; i < n; i++) store<u32>(p + (<usize>i << 2), mulm(load<u32>(p + (<usize>i << 2)), R2)); }
export function fromMv(p: usize, n: u32): void { for (let i: u32 = 0; i < n; i++) store<u32>(p + (<usize>i << 2), mulm(load<u32>(p + (<usize>i << 2)), 1)); }
/** a[i] *= c[i]; n a multiple of 4. */
export function scaleV(a: usize, c: usize, n: u32): void { for (let i: usize = 0, e = <usize>n << 2; i < e; i += 16) v128.store(a + i, mulv(v128.load(a + i), v128.load(c + i))); }
/** o[j] = first * g^j in m-form, n words; first and g in m-form. */
export function powers(o: usize, n: u32, first: u32, g: u32): void { let x = first; for (let j: u32 = 0; j < n; j++) { store<u32>(o + (<usize>j << 2), x); x = mulm(x, g); } }
