// Bump allocator: a caller resets it, so nothing is ever freed twice; memory is never assumed to be zero.
let top: usize = 0;
@inline function base(): usize { return (__heap_base + 63) & ~63; }
export function mark(): usize { if (top == 0) top = base(); return top; }
export function reset(at: usize): void { top = at; }
export function alloc(bytes: usize): usize {
  if (top == 0) top = base();
  const p = top;
  if (bytes > 0xf0000000 || top > 0xf0000000 - bytes) unreachable();
  top = (top + bytes + 63) & ~63;
  const need = (top >> 16) + 1, have = <usize>memory.size();
  if (need > have) { if (memory.grow(<i32>(need - have)) < 0) unreachable(); }
  return p;
}
