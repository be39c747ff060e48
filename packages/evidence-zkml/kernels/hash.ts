// BLAKE3, four lanes at once: four columns, four chunks of one message, four nodes of a tree or four blocks of output.
import { block, output } from './blake3';
import { P } from './field';
import { alloc, mark, reset } from './memory';
const START: u32 = 1, END: u32 = 2, PARENT: u32 = 4, ROOT: u32 = 8, KEYED: u32 = 16;
@inline function iv(cv: usize): void {
  v128.store(cv, i32x4.splat(0x6A09E667)); v128.store(cv, i32x4.splat(<i32>0xBB67AE85), 16);
  v128.store(cv, i32x4.splat(0x3C6EF372), 32); v128.store(cv, i32x4.splat(<i32>0xA54FF53A), 48);
  v128.store(cv, i32x4.splat(0x510E527F), 64); v128.store(cv, i32x4.splat(<i32>0x9B05688C), 80);
  v128.store(cv, i32x4.splat(0x1F83D9AB), 96); v128.store(cv, i32x4.splat(0x5BE0CD19), 112);
}
/** o = parent of chaining values a, b (eight v128 each). */
function parent(a: usize, b: usize, o: usize, msg: usize, flags: u32): void {
  memory.copy(msg, a, 128); memory.copy(msg + 128, b, 128); iv(o); block(o, msg, 16, 16, 64, PARENT | flags, i32x4.splat(0));
}
/** Ends a stack of depth chaining values with cv on top. The root's flag goes to the last parent. */
function finish(stack: usize, depth: u32, cv: usize, msg: usize): void {
  for (let d: i32 = <i32>depth - 1; d >= 0; d--) parent(stack + (<usize>d << 7), cv, cv, msg, d == 0 ? ROOT : 0);
}
/** BLAKE3 of every column of a rows x n matrix of words, n a multiple of 4. Word w of column c goes to out[w*n + c]. */
export function hashColumns(mat: usize, rows: u32, n: u32, out: usize): void {
  const at = mark(), stack = alloc(128 * 32), cv = alloc(128), msg = alloc(256), st = <usize>n << 2, chunks = (rows + 255) >> 8;
  for (let c: u32 = 0; c < n; c += 4) {
    let depth: u32 = 0;
    for (let q: u32 = 0; q < chunks; q++) {
      const end: u32 = min(rows, q * 256 + 256), last = q + 1 == chunks; iv(cv);
      for (let r: u32 = q * 256; r < end; r += 16) {
        const w: u32 = min(end - r, 16);
        block(cv, mat + <usize>r * st + (<usize>c << 2), st, w, w << 2, (r == q * 256 ? START : 0) | (r + 16 >= end ? END : 0) | (chunks == 1 && r + 16 >= end ? ROOT : 0), i32x4.splat(q));
      }
      if (last) break;
      for (let total = q + 1; (total & 1) == 0; total >>= 1) { depth--; parent(stack + (<usize>depth << 7), cv, cv, msg, 0); }
      memory.copy(stack + (<usize>depth << 7), cv, 128); depth++;
    }
    finish(stack, depth, cv, msg);
    for (let w: u32 = 0; w < 8; w++) v128.store(out + <usize>w * st + (<usize>c << 2), v128.load(cv + (w << 4)));
  }
  reset(at);
}
/** One level of a tree: m nodes (word-major) -> m/2, node = keyed BLAKE3(left, right); m a multiple of 8. */
export function merkleLevel(src: usize, m: u32, dst: usize, key: usize): void {
  const at = mark(), cv = alloc(128), msg = alloc(256), ss = <usize>m << 2, ds = <usize>m << 1;
  for (let i: usize = 0; i < <usize>m / 2; i += 4) {
    for (let w: usize = 0; w < 8; w++) {
      v128.store(cv + (w << 4), i32x4.splat(load<i32>(key + (w << 2))));
      const a = v128.load(src + w * ss + (i << 3)), b = v128.load(src + w * ss + (i << 3) + 16);
      v128.store(msg + (w << 4), v128.shuffle<i32>(a, b, 0, 2, 4, 6));
      v128.store(msg + 128 + (w << 4), v128.shuffle<i32>(a, b, 1, 3, 5, 7));
    }
    block(cv, msg, 16, 16, 64, START | END | ROOT | KEYED, i32x4.splat(0));
    for (let w: usize = 0; w < 8; w++) v128.store(dst + w * ds + (i << 2), v128.load(cv + (w << 4)));
  }
  reset(at);
}
@inline function lane(msg: usize, i: u32, at: usize, step: usize): void {
  let v = i32x4.splat(load<i32>(at)); v = i32x4.replace_lane(v, 1, load<i32>(at + step)); v = i32x4.replace_lane(v, 2, load<i32>(at + 2 * step)); v = i32x4.replace_lane(v, 3, load<i32>(at + 3 * step));
  v128.store(msg + (<usize>i << 4), v);
}
/** BLAKE3 of len bytes at p, 32 bytes to out. Reads whole words, so up to three bytes behind the end, which do not count. */
export function hashBytes(p: usize, len: u32, out: usize): void {
  const at = mark(), stack = alloc(128 * 32), cv = alloc(128), four = alloc(128), msg = alloc(256), tail = alloc(64);
  const chunks: u32 = len == 0 ? 1 : (len + 1023) >> 10;
  let depth: u32 = 0, q: u32 = 0;
  const counters = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(0), 1, 1), 2, 2), 3, 3);
  for (; q + 4 < chunks; q += 4) { // four whole chunks, none of them the last
    iv(four);
    for (let b: u32 = 0; b < 16; b++) {
      for (let i: u32 = 0; i < 16; i++) lane(msg, i, p + (<usize>q << 10) + (<usize>b << 6) + (<usize>i << 2), 1024);
      block(four, msg, 16, 16, 64, (b == 0 ? START : 0) | (b == 15 ? END : 0), i32x4.add(i32x4.splat(q), counters));
    }
    for (let l: u32 = 0; l < 4; l++) {
      for (let w: usize = 0; w < 8; w++) v128.store(cv + (w << 4), i32x4.splat(load<i32>(four + (w << 4) + (<usize>l << 2))));
      for (let total = q + l + 1; (total & 1) == 0; total >>= 1) { depth--; parent(stack + (<usize>depth << 7), cv, cv, msg, 0); }
      memory.copy(stack + (<usize>depth << 7), cv, 128); depth++;
    }
  }
  for (; q < chunks; q++) {
    const last = q + 1 == chunks, size: u32 = last ? len - (q << 10) : 1024, blocks: u32 = size == 0 ? 1 : (size + 63) >> 6;
    iv(cv);
    for (let b: u32 = 0; b < blocks; b++) {
      const n: u32 = b + 1 == blocks ? size - (b << 6) : 64;
      memory.fill(tail, 0, 64); memory.copy(tail, p + (<usize>q << 10) + (<usize>b << 6), n);
      for (let i: usize = 0; i < 16; i++) v128.store(msg + (i << 4), i32x4.splat(load<i32>(tail + (i << 2))));
      block(cv, msg, 16, 16, n, (b == 0 ? START : 0) | (b + 1 == blocks ? END : 0) | (chunks == 1 && b + 1 == blocks ? ROOT : 0), i32x4.splat(q));
    }
    if (last) break;
    for (let total = q + 1; (total & 1) == 0; total >>= 1) { depth--; parent(stack + (<usize>depth << 7), cv, cv, msg, 0); }
    memory.copy(stack + (<usize>depth << 7), cv, 128); depth++;
  }
  finish(stack, depth, cv, msg);
  for (let w: usize = 0; w < 8; w++) store<u32>(out + (w << 2), load<u32>(cv + (w << 4)));
  reset(at);
}
/** Words of BLAKE3's output stream for a message of at most 64 bytes: n field elements (31 bits each, those from p on left out), or n plain words. */
export function stretch(seed: usize, len: u32, n: u32, out: usize, plain: bool): void {
  const at = mark(), cv = alloc(128), msg = alloc(256), four = alloc(256), tail = alloc(64);
  memory.fill(tail, 0, 64); memory.copy(tail, seed, len);
  for (let i: usize = 0; i < 16; i++) v128.store(msg + (i << 4), i32x4.splat(load<i32>(tail + (i << 2))));
  const counters = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(0), 1, 1), 2, 2), 3, 3);
  let made: u32 = 0;
  for (let b: u32 = 0; made < n; b += 4) {
    iv(cv); output(cv, msg, len, START | END | ROOT, i32x4.add(i32x4.splat(b), counters), four);
    for (let l: usize = 0; l < 4; l++) for (let w: usize = 0; w < 16 && made < n; w++) {
      const x = load<u32>(four + (w << 4) + (l << 2)), v = plain ? x : x & 0x7fffffff;
      if (plain || v < P) { store<u32>(out + (<usize>made << 2), v); made++; }
    }
  }
  reset(at);
}
