import { blake3 } from "@noble/hashes/blake3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Ext, mod } from "./field.ts";

/** Challenges of one proof; a test may put a recorded one in the place of the real one. */
export type Transcript = {
  readonly absorb: (type: number, data: Uint8Array) => void;
  readonly element: () => Ext;
  readonly columns: (count: number, n: number) => readonly number[];
};

export const joined = (...parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
};

export const littleEndian = (value: bigint, bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));

export const words = (list: readonly (number | bigint)[]): Uint8Array =>
  joined(...list.map((w) => littleEndian(BigInt.asUintN(32, BigInt(w)), 4)));

const readLittle = (bytes: Uint8Array, at: number, length: number): bigint => {
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
};

/** H_tag of §3: SHA-256 over length-prefixed parts. */
export const taggedHash = (tag: string, ...parts: readonly Uint8Array[]): Uint8Array => {
  const name = new TextEncoder().encode(tag);
  const pieces: Uint8Array[] = [Uint8Array.of(name.length), name];
  for (const part of parts) pieces.push(littleEndian(BigInt(part.length), 8).reverse(), part);
  return sha256(joined(...pieces));
};

/** The transcript of §3, begun with its label. */
export const newTranscript = (): Transcript => {
  let state: Uint8Array = new Uint8Array(32);
  let counter = 0n;
  const absorb = (type: number, data: Uint8Array): void => {
    const length = littleEndian(BigInt(data.length), 8);
    state = blake3(joined(Uint8Array.of(1), state, Uint8Array.of(type), length, data));
    counter = 0n;
  };
  const block = (): Uint8Array => {
    const out = blake3(joined(Uint8Array.of(2), state, littleEndian(counter, 4)));
    counter += 1n;
    return out;
  };
  const element = (): Ext => {
    const b = block();
    return [mod(readLittle(b, 0, 8)), mod(readLittle(b, 8, 8)), mod(readLittle(b, 16, 8)), mod(readLittle(b, 24, 8))];
  };
  const columns = (count: number, n: number): readonly number[] => {
    const found = new Set<number>();
    while (found.size < count) {
      const b = block();
      for (let i = 0; i < 8 && found.size < count; i++) found.add(Number(readLittle(b, 4 * i, 4) & BigInt(n - 1)));
    }
    return [...found].sort((x, y) => x - y);
  };
  absorb(0, new TextEncoder().encode("countersign-zkml-1"));
  return { absorb, element, columns };
};

const NODE_KEY = new TextEncoder().encode("countersign-zkml-1 merkle nodes.");

export const node = (left: Uint8Array, right: Uint8Array): Uint8Array => blake3(joined(left, right), { key: NODE_KEY });

export const leaf = (column: readonly bigint[]): Uint8Array => blake3(words(column));

/** The positions of a multi-opening's hashes, as (nodes of the level, index), in the order of §4.4. */
export const openingOrder = (n: number, columns: readonly number[]): readonly (readonly [number, number])[] => {
  const order: [number, number][] = [];
  let known = [...columns];
  let level = n;
  for (; level > 8; level /= 2) {
    const have = new Set(known);
    for (const i of known) if (!have.has(i ^ 1)) order.push([level, i ^ 1]);
    known = [...new Set(known.map((i) => i >> 1))];
  }
  const have = new Set(known);
  for (let i = 0; i < level; i++) if (!have.has(i)) order.push([level, i]);
  return order;
};

/** The root that the opened leaves and the hashes of the multi-opening lead to. */
export const rootOf = (
  n: number,
  columns: readonly number[],
  leaves: readonly Uint8Array[],
  hashes: readonly Uint8Array[],
): Uint8Array => {
  const at = new Map<string, Uint8Array>();
  for (const [i, c] of columns.entries()) at.set(`${n}:${c}`, leaves[i] as Uint8Array);
  for (const [i, [level, index]] of openingOrder(n, columns).entries())
    at.set(`${level}:${index}`, hashes[i] as Uint8Array);
  for (let level = n; level > 1; level /= 2)
    for (let i = 0; i < level; i += 2) {
      const left = at.get(`${level}:${i}`);
      const right = at.get(`${level}:${i + 1}`);
      if (left && right) at.set(`${level / 2}:${i / 2}`, node(left, right));
    }
  const root = at.get("1:0");
  if (!root) throw new Error("the multi-opening has a hole");
  return root;
};
