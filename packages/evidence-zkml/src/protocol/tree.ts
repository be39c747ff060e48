import { utf8 } from "@countersign/core";
import type { Kernels } from "../kernels/kernels.ts";

/** Key of inner nodes: leaves are plain BLAKE3, so that no leaf is a node (spec/zkml.md §4.4). */
const nodeKey = utf8("countersign-zkml-1 merkle nodes.");
/** Nodes of the level that is hashed flat into the root. */
const top = 8;
/** Words of a leaf's salt. */
export const saltWords = 4;

/** Merkle tree over the columns of a matrix: levels of nodes, word-major, in the kernels' memory. */
export type Tree = { readonly levels: readonly number[]; readonly length: number; readonly root: Uint8Array };

function keyAt(k: Kernels): number {
  const at = k.alloc(32);
  k.u8(at, 32).set(nodeKey);
  return at;
}

function nodeAt(k: Kernels, level: number, width: number, i: number): Uint8Array {
  const nodes = k.u32(level, 8 * width);
  return new Uint8Array(Uint32Array.from({ length: 8 }, (_, w) => nodes[w * width + i] as number).buffer);
}

/** Root of the eight top nodes: they stand one after the other as the "columns" of one more keyed tree. */
function rootOf(k: Kernels, nodes: readonly Uint8Array[]): Uint8Array {
  return k.scope(() => {
    const key = keyAt(k);
    let width = top;
    let level = k.alloc(32 * width);
    layOut(k, level, width, nodes);
    for (; width > 1; width /= 2) {
      const padded = Math.max(8, width);
      const source = k.zeros(32 * padded);
      layOut(
        k,
        source,
        padded,
        Array.from({ length: width }, (_, i) => nodeAt(k, level, width, i)),
      );
      const out = k.alloc(16 * padded);
      k.merkleLevel(source, padded, out, key);
      const next = Array.from({ length: width / 2 }, (_, i) => nodeAt(k, out, padded / 2, i));
      level = k.alloc(16 * width);
      layOut(k, level, width / 2, next);
    }
    return nodeAt(k, level, 1, 0);
  });
}

function layOut(k: Kernels, at: number, width: number, nodes: readonly Uint8Array[]): void {
  const view = k.u32(at, 8 * width);
  nodes.forEach((node, i) => {
    const words = new DataView(node.buffer, node.byteOffset, 32);
    for (let w = 0; w < 8; w++) view[w * width + i] = words.getUint32(4 * w, true);
  });
}

/** Tree over the columns of `rows` rows of `length` words at `matrix`; the salts are its first rows. */
export function plantTree(k: Kernels, matrix: number, rows: number, length: number): Tree {
  const key = keyAt(k);
  const leaves = k.alloc(32 * length);
  k.hashColumns(matrix, rows, length, leaves);
  const levels = [leaves];
  for (let width = length; width > top; width /= 2) {
    const next = k.alloc(16 * width);
    k.merkleLevel(levels.at(-1) as number, width, next, key);
    levels.push(next);
  }
  const last = levels.at(-1) as number;
  return {
    levels,
    length,
    root: rootOf(
      k,
      Array.from({ length: top }, (_, i) => nodeAt(k, last, top, i)),
    ),
  };
}

/** The nodes that a checker of these columns cannot compute, level by level, left to right. */
export function openTree(k: Kernels, tree: Tree, columns: readonly number[]): Uint8Array {
  const out: Uint8Array[] = [];
  let known = columns;
  let width = tree.length;
  for (const level of tree.levels) {
    const set = new Set(known);
    if (width === top) {
      for (let i = 0; i < top; i++) if (!set.has(i)) out.push(nodeAt(k, level, top, i));
      break;
    }
    for (const i of known) if (!set.has(i ^ 1)) out.push(nodeAt(k, level, width, i ^ 1));
    known = [...new Set(known.map((i) => i >> 1))];
    width /= 2;
  }
  const bytes = new Uint8Array(32 * out.length);
  out.forEach((node, i) => {
    bytes.set(node, 32 * i);
  });
  return bytes;
}

/** Bytes of a multi-opening of these columns. */
export function pathLength(columns: readonly number[], length: number): number {
  let known = columns;
  let nodes = 0;
  for (let width = length; width > top; width /= 2) {
    const up = [...new Set(known.map((i) => i >> 1))];
    nodes += 2 * up.length - known.length;
    known = up;
  }
  return 32 * (nodes + top - known.length);
}

/**
 * Root that opened columns and a path lead to; the path has exactly `pathLength` bytes.
 * `opened` holds `rows` rows of `stride` words, a multiple of 4, one column for each of `columns`.
 */
export function climb(
  k: Kernels,
  opened: { readonly at: number; readonly rows: number; readonly stride: number },
  columns: readonly number[],
  length: number,
  path: Uint8Array,
): Uint8Array {
  return k.scope(() => {
    const key = keyAt(k);
    let nodes = k.alloc(32 * opened.stride);
    k.hashColumns(opened.at, opened.rows, opened.stride, nodes);
    let stride = opened.stride;
    let known = [...columns];
    let at = 0;
    const words = new Uint32Array(path.slice().buffer);
    for (let width = length; width > top; width /= 2) {
      const parents: number[] = [];
      // Pairs: where left and right come from, a known node or the next of the path.
      const sources: number[] = [];
      for (let i = 0; i < known.length; i++) {
        const index = known[i] as number;
        const pair = known[i + 1] === (index ^ 1);
        parents.push(index >> 1);
        if (pair) sources.push(i, ++i);
        else if (index & 1) sources.push(-1 - at++, i);
        else sources.push(i, -1 - at++);
      }
      const padded = Math.ceil(sources.length / 8) * 8;
      const pairs = k.zeros(32 * padded);
      const next = k.alloc(16 * padded);
      const from = k.u32(nodes, 8 * stride);
      const to = k.u32(pairs, 8 * padded);
      sources.forEach((s, i) => {
        for (let w = 0; w < 8; w++)
          to[w * padded + i] = (s >= 0 ? from[w * stride + s] : words[8 * (-1 - s) + w]) as number;
      });
      k.merkleLevel(pairs, padded, next, key);
      nodes = next;
      stride = padded / 2;
      known = parents;
    }
    const found = new Map(known.map((index, i) => [index, nodeAt(k, nodes, stride, i)]));
    return rootOf(
      k,
      Array.from({ length: top }, (_, i) => found.get(i) ?? path.slice(32 * at, 32 * ++at)),
    );
  });
}
