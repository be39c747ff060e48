import type { Kernels } from "../kernels/kernels.ts";
import { saltWords } from "./tree.ts";
import type { Checker, Seen } from "./verify.ts";

/** Whether two sets of planes agree on the opened columns. */
export function agree(k: Kernels, a: number, b: number, count: number, stride: number): boolean {
  const x = k.u32(a, 4 * stride);
  const y = k.u32(b, 4 * stride);
  for (let q = 0; q < 4; q++) for (let i = 0; i < count; i++) if (x[q * stride + i] !== y[q * stride + i]) return false;
  return true;
}

/** At each opened column: Enc(uc) = Σ coef·W + M. */
export function checkOpening(
  { circuit, codes }: Checker,
  o: {
    readonly combination: Uint32Array;
    readonly coefs: number;
    readonly columns: readonly number[];
    readonly weights: Seen["opened"][number];
    readonly mask: Seen["opened"][number];
  },
  k: Kernels,
): boolean {
  const { degree, length, rows, queries } = circuit.weight;
  return k.scope(() => {
    const { stride } = o.weights;
    const sum = k.alloc(16 * stride);
    k.u32(sum, 4 * stride).set(k.u32(o.mask.at + 4 * stride * saltWords, 4 * stride));
    for (let r = 0; r < rows; r++)
      k.axpyPlanes(o.weights.at + 4 * stride * (saltWords + r), stride, o.coefs + 16 * r, sum);
    const sent = k.zeros(16 * stride);
    const plane = k.alloc(4 * length);
    const indices = k.put(o.columns);
    for (let q = 0; q < 4; q++) {
      k.u32(plane, degree).set(o.combination.subarray(q * degree, (q + 1) * degree));
      codes.encodeWeights(plane, degree);
      k.gather(plane, 1, length, indices, queries, sent + 4 * stride * q, stride);
    }
    return agree(k, sum, sent, queries, stride);
  });
}
