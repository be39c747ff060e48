// Writes ONNX files for tests, honest and broken: fields go out as they are given, nothing is checked.

const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

export function varint(n: number | bigint): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(n));
  do {
    out.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(out);
}

export const int = (field: number, n: number | bigint): Uint8Array => concat(varint(field << 3), varint(n));
export const bytes = (field: number, ...parts: readonly (Uint8Array | string)[]): Uint8Array => {
  const body = concat(...parts.map((p) => (typeof p === "string" ? new TextEncoder().encode(p) : p)));
  return concat(varint((field << 3) | 2), varint(body.length), body);
};
export const float = (field: number, x: number): Uint8Array =>
  concat(varint((field << 3) | 5), new Uint8Array(new Float32Array([x]).buffer));

export type Attribute =
  | number
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly tensor: Constant };
export type Node = {
  readonly op: string;
  readonly in: readonly string[];
  readonly out: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
};
export type Constant = {
  readonly dims: readonly (number | bigint)[];
  readonly data: Float32Array | Float64Array | Int8Array | Uint8Array | Int32Array | BigInt64Array;
  /** Other fields, raw, instead of the data. */
  readonly raw?: Uint8Array;
};
export type Dims = readonly (number | bigint | string)[];
export type Model = {
  readonly nodes: readonly Node[];
  readonly constants?: Readonly<Record<string, Constant>>;
  readonly input?: readonly [string, Dims];
  readonly output?: readonly [string, Dims];
  readonly opset?: number;
  /** More raw fields of the model and of the graph. */
  readonly model?: Uint8Array;
  readonly graph?: Uint8Array;
};

const typeOf = (data: Constant["data"]): number =>
  data instanceof Float32Array
    ? 1
    : data instanceof Uint8Array
      ? 2
      : data instanceof Int8Array
        ? 3
        : data instanceof Int32Array
          ? 6
          : data instanceof BigInt64Array
            ? 7
            : 11;

export const tensor = (name: string, { dims, data, raw }: Constant): Uint8Array =>
  concat(
    ...dims.map((d) => int(1, d)),
    int(2, typeOf(data)),
    bytes(8, name),
    raw ?? bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  );

function attribute(name: string, a: Attribute): Uint8Array {
  if (typeof a === "number") return concat(bytes(1, name), int(3, a), int(20, 2));
  if ("float" in a) return concat(bytes(1, name), float(2, a.float), int(20, 1));
  if ("ints" in a) return concat(bytes(1, name), ...a.ints.map((n) => int(8, n)), int(20, 7));
  return concat(bytes(1, name), bytes(5, tensor("", a.tensor)), int(20, 4));
}

const node = (n: Node): Uint8Array =>
  concat(
    ...n.in.map((name) => bytes(1, name)),
    ...n.out.map((name) => bytes(2, name)),
    bytes(4, n.op),
    ...Object.entries(n.attributes ?? {}).map(([name, a]) => bytes(5, attribute(name, a))),
    ...(n.domain === undefined ? [] : [bytes(7, n.domain)]),
  );

export const port = (name: string, dims: Dims): Uint8Array =>
  concat(
    bytes(1, name),
    bytes(
      2,
      bytes(1, int(1, 1), bytes(2, ...dims.map((d) => bytes(1, typeof d === "string" ? bytes(2, d) : int(1, d))))),
    ),
  );

/** A whole file. */
export const write = (m: Model): Uint8Array =>
  concat(
    int(1, 8),
    bytes(
      7,
      ...m.nodes.map((n) => bytes(1, node(n))),
      bytes(2, "g"),
      ...Object.entries(m.constants ?? {}).map(([name, c]) => bytes(5, tensor(name, c))),
      ...(m.input ? [bytes(11, port(...m.input))] : []),
      ...(m.output ? [bytes(12, port(...m.output))] : []),
      m.graph ?? new Uint8Array(),
    ),
    bytes(8, bytes(1, ""), int(2, m.opset ?? 17)),
    m.model ?? new Uint8Array(),
  );
