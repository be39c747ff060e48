import { variables } from "../circuit/code.ts";
import type { Circuit } from "../circuit/compile.ts";
import { inverse, rootOfUnity } from "../field.ts";
import type { Kernels } from "../kernels/kernels.ts";

/** Transforms between values, coefficients and codewords (spec/zkml.md §4); tables are made once and stay. */
export type Codes = {
  /** H values on the subgroup → H coefficients, in place. */
  readonly interpolate: (at: number) => void;
  /** `count` coefficients at `at` → values on the coset 3·⟨w⟩ of `length`, in bit-reversed order, in place. */
  readonly evaluate: (at: number, count: number, length: number) => void;
  /** Values on the coset of the test domain → coefficients, in place. */
  readonly recover: (at: number) => void;
  /** `count` coefficients at `at` → values on the subgroup of the weight code, in bit-reversed order, in place. */
  readonly encodeWeights: (at: number, count: number) => void;
  /** Rows of H values and their random words → codewords. */
  readonly encodeRows: (args: {
    readonly values: number;
    readonly rows: number;
    readonly random: Uint32Array;
    readonly extra: number;
    readonly to: number;
  }) => void;
};

export function makeCodes(k: Kernels, circuit: Circuit): Codes {
  const { row, length, domain } = circuit.witness;
  const weightLength = circuit.weight.length;
  /** tw[h + j] = w_{2h}^j. */
  const twiddles = (size: number, back: boolean): number => {
    const at = k.alloc(4 * size);
    for (let h = 1, log = 1; h < size; h *= 2, log++) {
      const w = back ? inverse(rootOfUnity(log)) : rootOfUnity(log);
      k.powers(at + 4 * h, h, k.toM(1), k.toM(w));
    }
    return at;
  };
  const powers = (size: number, first: number, g: number): number => {
    const at = k.alloc(4 * size);
    k.powers(at, size, k.toM(first), k.toM(g));
    return at;
  };
  // A table of twiddles of one size holds those of all smaller ones.
  const forward = twiddles(Math.max(length, weightLength, 8), false);
  const backward = twiddles(Math.max(domain, row), true);
  const shift = powers(length, 1, 3);
  const rowScale = powers(row, inverse(row), 1);
  const unshift = powers(domain, inverse(domain), inverse(3));
  const interpolate = (at: number): void => {
    k.ntt(at, row, backward);
    k.bitrev(at, variables(row));
    k.scaleV(at, rowScale, row);
  };
  const evaluate = (at: number, count: number, size: number): void => {
    k.u32(at + 4 * count, size - count).fill(0);
    k.scaleV(at, shift, size);
    k.ntt(at, size, forward);
  };
  return {
    interpolate,
    evaluate,
    recover: (at) => {
      k.bitrev(at, variables(domain));
      k.ntt(at, domain, backward);
      k.bitrev(at, variables(domain));
      k.scaleV(at, unshift, domain);
    },
    encodeWeights: (at, count) => {
      k.u32(at + 4 * count, weightLength - count).fill(0);
      k.ntt(at, weightLength, forward);
    },
    encodeRows: ({ values, rows, random, extra, to }) => {
      for (let r = 0; r < rows; r++) {
        const at = to + 4 * length * r;
        k.u8(at, 4 * row).set(k.u8(values + 4 * row * r, 4 * row));
        interpolate(at);
        blind(k.u32(at, row + extra), row, random.subarray(r * extra, (r + 1) * extra));
        evaluate(at, row + extra, length);
      }
    },
  };
}

const p = 2_130_706_433;

/** Adds (X^H − 1)·random, which vanishes on the subgroup of order H. */
function blind(coefficients: Uint32Array, row: number, random: Uint32Array): void {
  coefficients.fill(0, row);
  for (let i = 0; i < random.length; i++) {
    const x = random[i] as number;
    const low = coefficients[i] as number;
    const high = (coefficients[row + i] as number) + x;
    coefficients[i] = low >= x ? low - x : low - x + p;
    coefficients[row + i] = high >= p ? high - p : high;
  }
}
