import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { blake3 } from "@noble/hashes/blake3.js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildKernels } from "../../tools/kernels.ts";
import { inverse, makeField, P, rootOfUnity, same } from "../field.ts";
import { makeDice } from "../nets.fixture.ts";
import { type Kernels, loadKernels, poison } from "./kernels.ts";
import { kernelsBase64, kernelsSha256 } from "./module.ts";
import {
  type Element,
  evaluate,
  fromMontgomery,
  minus,
  mod,
  multiply,
  p,
  plus,
  toMontgomery,
} from "./reference.fixture.ts";

/** Edge values, then anything. */
const word = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, P - 1, P - 2, (P - 1) / 2, 2 ** 24),
  fc.integer({ min: 0, max: P - 1 }),
);
const element = fc.tuple(word, word, word, word);
const big = (x: readonly number[]): Element => x.map(BigInt) as unknown as Element;

const dirty = (): Kernels => {
  const k = loadKernels();
  poison(k, 0xa5);
  return k;
};
const k = dirty();
const f = makeField(k);
/** Memory is dirty before each use, and given back after it. */
const clean = <T>(work: () => T): T =>
  k.scope(() => {
    poison(k, 0xc3, 2 ** 16);
    return work();
  });
const words = (n: number, seed: number): Uint32Array => {
  const dice = makeDice(seed);
  return Uint32Array.from({ length: n }, (_, i) => (i % 7 === 0 ? P - 1 - (i % 3) : dice(P)));
};
const bytesAt = (bytes: Uint8Array): number => {
  const at = k.alloc(bytes.length + 4);
  k.u8(at, bytes.length).set(bytes);
  return at;
};

describe("the module", () => {
  it("is what its sources compile to, and its digest is the committed one", async () => {
    const built = await buildKernels();
    const root = join(import.meta.dirname, "..", "..");
    const committed = readFileSync(join(root, "kernels", "kernels.wasm"));
    expect(Buffer.from(built.wasm).equals(committed)).toBe(true);
    expect(built.sha256).toBe(kernelsSha256);
    expect(readFileSync(join(root, "kernels", "kernels.sha256"), "utf8")).toBe(`${built.sha256}  kernels.wasm\n`);
    expect(createHash("sha256").update(Buffer.from(kernelsBase64, "base64")).digest("hex")).toBe(kernelsSha256);
    expect(readFileSync(join(root, "src", "kernels", "module.ts"), "utf8")).toBe(built.carrier);
  });
  it("imports nothing", () => {
    const module = new WebAssembly.Module(Buffer.from(kernelsBase64, "base64"));
    expect(WebAssembly.Module.imports(module)).toEqual([]);
  });
});

describe("field", () => {
  it("multiplies and converts as the reference", () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(BigInt(k.mul(a, b))).toBe(fromMontgomery(BigInt(a) * BigInt(b)));
        expect(BigInt(k.toM(a))).toBe(toMontgomery(BigInt(a)));
        expect(k.fromM(k.toM(a))).toBe(a);
        if (a !== 0) expect(mod(BigInt(a) * BigInt(inverse(a)))).toBe(1n);
      }),
    );
  });
  it("multiplies, adds and inverts in E as the reference", () => {
    fc.assert(
      fc.property(element, element, (a, b) => {
        const [x, y] = [f.from(a), f.from(b)];
        expect(f.words(f.mul(x, y)).map(BigInt)).toEqual([...multiply(big(a), big(b))]);
        expect(f.words(f.add(x, y)).map(BigInt)).toEqual([...plus(big(a), big(b))]);
        expect(f.words(f.sub(x, y)).map(BigInt)).toEqual([...minus(big(a), big(b))]);
        if (a.some((v) => v !== 0)) expect(same(f.mul(x, f.inv(x)), f.int(1))).toBe(true);
        clean(() => {
          const at = k.alloc(16);
          k.emul(k.put(x), k.put(y), at);
          expect(f.words(f.get(at)).map(BigInt)).toEqual([...multiply(big(a), big(b))]);
        });
      }),
    );
  });
});

describe("transforms", () => {
  it("evaluates on the subgroup in bit-reversed order, for every size", () => {
    for (const log of [2, 3, 4, 6]) {
      const n = 2 ** log;
      const c = words(n, log);
      clean(() => {
        const twiddles = k.alloc(4 * n);
        for (let h = 1, l = 1; h < n; h *= 2, l++) k.powers(twiddles + 4 * h, h, k.toM(1), k.toM(rootOfUnity(l)));
        const at = k.put(c);
        k.ntt(at, n, twiddles);
        expect([...k.u32(at, n)].map(BigInt)).toEqual(evaluate([...c].map(BigInt), n, 1n));
      });
    }
  });
  it("reverses bits and widens int8", () => {
    clean(() => {
      const at = k.put(Array.from({ length: 16 }, (_, i) => i));
      k.bitrev(at, 4);
      expect([...k.u32(at, 16)]).toEqual([0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]);
      const out = k.alloc(20);
      k.widenI8(bytesAt(Uint8Array.of(0, 1, 127, 128, 255)), 5, out);
      expect([...k.u32(out, 5)]).toEqual([0, 1, 127, P - 128, P - 1]);
    });
  });
});

describe("vectors of E", () => {
  it("fold, dot product, scaling, tables of eq, inverses", () => {
    const vector = (n: number, seed: number): number[][] =>
      Array.from({ length: n }, (_, i) => [...words(4, seed + i)]);
    const put = (v: readonly number[][]) => k.put(v.flatMap((x) => [...f.from(x)]));
    const read = (at: number, n: number): bigint[][] =>
      Array.from({ length: n }, (_, i) => f.words(f.get(at, i)).map(BigInt));
    const a = vector(8, 1);
    const b = vector(8, 50);
    const c = vector(1, 99)[0] as number[];
    const A = a.map(big);
    const B = b.map(big);
    const C = big(c);
    clean(() => {
      const out = k.alloc(16 * 8);
      k.edot(put(a), put(b), 8, out);
      const zero: Element = [0n, 0n, 0n, 0n];
      expect(read(out, 1)[0]).toEqual([...A.reduce((s, x, i) => plus(s, multiply(x, B[i] as Element)), zero)]);
      k.escale(put(a), 8, put([c]), out);
      expect(read(out, 8)).toEqual(A.map((x) => [...multiply(x, C)]));
      const sum = put(b);
      k.eaxpy(put(a), 8, put([c]), sum);
      expect(read(sum, 8)).toEqual(A.map((x, i) => [...plus(B[i] as Element, multiply(x, C))]));
      const fold = put(a);
      k.efold(fold, 4, put([c]));
      expect(read(fold, 4)).toEqual(
        A.slice(0, 4).map((x, i) => [...plus(x, multiply(minus(A[i + 4] as Element, x), C))]),
      );
      const table = k.alloc(16 * 8);
      k.eqTable(put(a.slice(0, 3)), 3, table);
      const one: Element = [1n, 0n, 0n, 0n];
      expect(read(table, 8)).toEqual(
        Array.from({ length: 8 }, (_, i) => [
          ...[0, 1, 2].reduce<Element>(
            (s, v) => multiply(s, (i >> (2 - v)) & 1 ? (A[v] as Element) : minus(one, A[v] as Element)),
            one,
          ),
        ]),
      );
      const inverses = k.alloc(16 * 8);
      k.invBatch(put(a), 8, inverses);
      k.invBack(put(a), 8, inverses, k.put(f.inv(f.get(inverses, 7))));
      expect(read(inverses, 8).map((x, i) => [...multiply(x as unknown as Element, A[i] as Element)])).toEqual(
        A.map(() => [...one]),
      );
      const planes = k.alloc(16 * 8);
      k.toPlanes(put(a), 8, planes, 8, 1);
      expect([...k.u32(planes, 8)]).toEqual(a.map((x) => x[0]));
      const back = k.alloc(16 * 8);
      k.fromPlanes(planes, 8, 8, back);
      expect(read(back, 8)).toEqual(a.map((x) => x.map(BigInt)));
    });
  });
  it("multiplies planes and adds rows as elements", () => {
    clean(() => {
      const n = 8;
      const a = words(4 * n, 3);
      const b = words(4 * n, 4);
      const at = k.put(a);
      k.toMv(at, 4 * n);
      const out = k.zeros(16 * n);
      k.mulAccPlanes(at, k.put(b), n, out);
      k.mulAccPlanes(at, k.put(b), n, out);
      const pick = (v: Uint32Array, i: number): Element =>
        [0, 1, 2, 3].map((q) => BigInt(v[q * n + i] as number)) as unknown as Element;
      for (let i = 0; i < n; i++) {
        const product = multiply(pick(a, i), pick(b, i));
        expect(pick(k.u32(out, 4 * n), i)).toEqual([...plus(product, product)]);
      }
      const row = words(n, 8);
      const sum = k.zeros(16 * n);
      k.axpyPlanes(k.put(row), n, k.put(f.from(a)), sum);
      for (let i = 0; i < n; i++)
        expect(pick(k.u32(sum, 4 * n), i)).toEqual(
          [0, 1, 2, 3].map((q) => mod(BigInt(row[i] as number) * BigInt(a[q] as number))),
        );
    });
  });
});

describe("weights", () => {
  it("combines int8 rows for every width", () => {
    for (const columns of [4, 7, 12])
      clean(() => {
        const rows = 8;
        const w = Int8Array.from(words(rows * columns, columns), (x, i) => (i % 5 === 0 ? -128 : x & 255));
        const e = words(4 * rows, 2);
        const sums = k.zeros(32 * columns);
        const out = k.alloc(16 * columns);
        k.combineI8(bytesAt(new Uint8Array(w.buffer)), rows, columns, k.put(e), sums);
        k.reduceI64(sums, 4 * columns, out);
        const found = k.u32(out, 4 * columns);
        for (let j = 0; j < columns; j++)
          for (let q = 0; q < 4; q++) {
            let sum = 0n;
            for (let i = 0; i < rows; i++) sum += BigInt(e[4 * i + q] as number) * BigInt(w[i * columns + j] as number);
            expect(BigInt(found[4 * j + q] as number)).toBe(mod(sum));
          }
      });
  });
});

describe("BLAKE3", () => {
  it("of bytes, at every border of blocks, chunks and groups of chunks", () => {
    for (const n of [0, 1, 3, 63, 64, 65, 1023, 1024, 1025, 2048, 4096, 4097, 5120, 5121, 8192, 9000, 20_000])
      clean(() => {
        const message = Uint8Array.from({ length: n }, (_, i) => (i * 31 + (i >> 8)) & 255);
        const out = k.alloc(32);
        k.hashBytes(bytesAt(message), n, out);
        expect(k.u8(out, 32).slice(), `${n} bytes`).toEqual(blake3(message));
      });
  });
  it("of columns, up to many chunks", () => {
    for (const rows of [1, 15, 16, 17, 255, 256, 257, 512, 700, 1024, 1025, 1300, 2100])
      clean(() => {
        const n = 8;
        const values = words(rows * n, rows);
        const out = k.alloc(32 * n);
        k.hashColumns(k.put(values), rows, n, out);
        const found = k.u32(out, 8 * n);
        for (const c of [0, 5]) {
          const column = Uint32Array.from({ length: rows }, (_, r) => values[r * n + c] as number);
          const expected = new Uint32Array(blake3(new Uint8Array(column.buffer)).slice().buffer);
          expect([...expected], `${rows} rows`).toEqual(Array.from({ length: 8 }, (_, w) => found[w * n + c]));
        }
      });
  });
  it("of nodes with a key, and its stream of output", () => {
    clean(() => {
      const key = Uint8Array.from({ length: 32 }, (_, i) => i);
      const nodes = words(64, 5);
      const out = k.alloc(128);
      k.merkleLevel(k.put(nodes), 8, out, bytesAt(key));
      const node = (i: number) => Uint32Array.from({ length: 8 }, (_, w) => nodes[w * 8 + i] as number);
      const pair = Uint8Array.from([...new Uint8Array(node(4).buffer), ...new Uint8Array(node(5).buffer)]);
      const expected = new Uint32Array(blake3(pair, { key }).slice().buffer);
      expect(Array.from({ length: 8 }, (_, w) => k.u32(out, 32)[w * 4 + 2])).toEqual([...expected]);
    });
    for (const plain of [true, false])
      clean(() => {
        const seed = new TextEncoder().encode("a seed of thirty-two bytes, more");
        const n = 5000;
        const out = k.alloc(4 * n);
        k.stretch(bytesAt(seed), seed.length, n, out, plain ? 1 : 0);
        const stream = new Uint32Array(blake3(seed, { dkLen: 4 * 5200 }).slice().buffer);
        const expected = plain ? stream : stream.map((w) => w & 0x7fffffff).filter((w) => w < P);
        expect([...k.u32(out, n)]).toEqual([...expected.subarray(0, n)]);
      });
  });
});

it("the reference's p is the field's", () => expect(p).toBe(BigInt(P)));
