import { blake3 } from "@noble/hashes/blake3.js";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { loadKernels, poison } from "../kernels/kernels.ts";
import { columnsOf, type Matrix } from "./matrix.ts";
import { climb, openTree, pathLength, plantTree } from "./tree.ts";

const key = new TextEncoder().encode("countersign-zkml-1 merkle nodes.");

/** The tree again, with noble and recursion. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0] as Uint8Array;
  const half = leaves.length / 2;
  return blake3(Uint8Array.from([...rootOf(leaves.slice(0, half)), ...rootOf(leaves.slice(half))]), { key });
}

it("opens any columns of a matrix, more than 1024 rows too, to the root that noble gives", () => {
  for (const [rows, length] of [
    [5, 8],
    [12, 64],
    [1100, 32],
  ] as const) {
    const k = loadKernels();
    poison(k, 0xa5);
    const at = k.put(Uint32Array.from({ length: (rows + 4) * length }, (_, i) => Math.imul(i, 2_654_435_761) >>> 0));
    const m: Matrix = { at, rows, length };
    const tree = plantTree(k, at, rows + 4, length);
    const words = k.u32(at, (rows + 4) * length);
    const leaves = Array.from({ length }, (_, c) =>
      blake3(new Uint8Array(Uint32Array.from({ length: rows + 4 }, (_, r) => words[r * length + c] as number).buffer)),
    );
    expect(tree.root).toEqual(rootOf(leaves));
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(length - 1), { minLength: 1, maxLength: Math.min(20, length) }), (chosen) => {
        const columns = chosen.toSorted((a, b) => a - b);
        const path = openTree(k, tree, columns);
        expect(path.length).toBe(pathLength(columns, length));
        const opened = columnsOf(k, m, columns);
        k.scope(() => {
          const stride = Math.ceil(columns.length / 4) * 4;
          const to = k.zeros(4 * (rows + 4) * stride);
          for (let r = 0; r < rows + 4; r++)
            k.u32(to + 4 * r * stride, columns.length).set(
              opened.subarray(r * columns.length, (r + 1) * columns.length),
            );
          const laid = { at: to, rows: rows + 4, stride };
          expect(climb(k, laid, columns, length, path)).toEqual(tree.root);
          const view = k.u32(to, 1);
          view[0] = (view[0] as number) ^ 1;
          expect(climb(k, laid, columns, length, path)).not.toEqual(tree.root);
        });
      }),
      { numRuns: rows > 1000 ? 5 : 40 },
    );
  }
});
