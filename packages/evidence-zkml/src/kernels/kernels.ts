import { fromBase64 } from "@countersign/core";
import { kernelsBase64 } from "./module.ts";

/** Functions of the WebAssembly module (kernels/*.ts); arguments are byte addresses and counts of words or elements. */
type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly alloc: (bytes: number) => number;
  readonly mark: () => number;
  readonly reset: (at: number) => void;
  readonly mul: (a: number, b: number) => number;
  readonly toM: (a: number) => number;
  readonly fromM: (a: number) => number;
} & Readonly<
  Record<
    | "toMv"
    | "fromMv"
    | "scaleV"
    | "powers"
    | "ntt"
    | "bitrev"
    | "widenI8"
    | "emul"
    | "edot"
    | "escale"
    | "eaxpy"
    | "eaxpyBase"
    | "efill"
    | "efold"
    | "eqTable"
    | "invBatch"
    | "invBack"
    | "toPlanes"
    | "fromPlanes"
    | "prodRound"
    | "zeroRound"
    | "fractionLevel"
    | "fractionRound"
    | "axpyPlanes"
    | "mulAccPlanes"
    | "combineI8"
    | "reduceI64"
    | "gather"
    | "hashColumns"
    | "hashBytes"
    | "merkleLevel"
    | "stretch",
    (...args: number[]) => void
  >
>;

/** The kernels with views of their memory. A view is dead once anything was allocated after it: take it last. */
export type Kernels = Exports & {
  readonly u32: (at: number, words: number) => Uint32Array;
  readonly u8: (at: number, bytes: number) => Uint8Array;
  /** Memory of `bytes` zero bytes; `alloc` gives memory with anything in it. */
  readonly zeros: (bytes: number) => number;
  /** Address of a copy of some words. */
  readonly put: (words: ArrayLike<number>) => number;
  /** Runs `work` and frees all that it allocated. */
  readonly scope: <T>(work: () => T) => T;
};

let compiled: WebAssembly.Module | undefined;

/** A fresh instance of the kernels with memory of its own. The same bytes run in Node and in browsers. */
export function loadKernels(): Kernels {
  compiled ??= new WebAssembly.Module(fromBase64(kernelsBase64) as Uint8Array<ArrayBuffer>);
  const exports = new WebAssembly.Instance(compiled, {}).exports as unknown as Exports;
  const { memory, alloc, mark, reset, mul, toM, fromM } = exports;
  const unsigned =
    <A extends number[]>(f: (...args: A) => number) =>
    (...args: A): number =>
      f(...args) >>> 0;
  const u32 = (at: number, words: number) => new Uint32Array(memory.buffer, at, words);
  const u8 = (at: number, bytes: number) => new Uint8Array(memory.buffer, at, bytes);
  const allocate = unsigned(alloc);
  return {
    ...exports,
    alloc: allocate,
    mark: unsigned(mark),
    mul: unsigned(mul),
    toM: unsigned(toM),
    fromM: unsigned(fromM),
    u32,
    u8,
    zeros: (bytes) => {
      const at = allocate(bytes);
      u8(at, bytes).fill(0);
      return at;
    },
    put: (words) => {
      const at = allocate(4 * words.length);
      u32(at, words.length).set(words);
      return at;
    },
    scope: (work) => {
      const at = mark();
      try {
        return work();
      } finally {
        reset(at);
      }
    },
  };
}

/** Fills `bytes` of the memory that is free now with a pattern, so that a kernel which reads what nobody wrote fails a test. */
export function poison(k: Kernels, pattern: number, bytes = 2 ** 23): void {
  k.scope(() => {
    const at = k.alloc(bytes);
    k.u8(at, bytes).fill(pattern);
  });
}
