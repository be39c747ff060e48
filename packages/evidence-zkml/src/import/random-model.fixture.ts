// Random small dense networks, spelled in all the ways that an import reads, with inputs for them.
import type { Attribute, Constant, Model, Node } from "./onnx-writer.fixture.ts";

/** Mulberry32: numbers from 0 to 1 by seed. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type RandomModel = {
  readonly model: Model;
  readonly size: number;
  readonly samples: Float32Array[];
  readonly logits: string;
};

/** One random network; `qdq` puts weights and activations on grids, as quantised exports have them. */
export function randomModel(seed: number, qdq = false): RandomModel {
  const random = randomOf(seed);
  const upTo = (n: number) => 1 + Math.floor(random() * n);
  const chance = (p: number) => random() < p;
  const normal = () => random() + random() + random() - 1.5;
  const nodes: Node[] = [];
  const constants: Record<string, Constant> = {};
  let names = 0;
  const add = (c: Constant): string => {
    const name = `c${names++}`;
    constants[name] = c;
    return name;
  };
  const floats = (dims: number[], make: () => number): string =>
    add({ dims, data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, make) });
  const put = (op: string, inputs: string[], attributes?: Record<string, Attribute>): string => {
    const out = `v${names++}`;
    nodes.push({ op, in: inputs, out: [out], ...(attributes ? { attributes } : {}) });
    return out;
  };
  const grid = (from: string, scale: number, zero: Uint8Array | Int8Array): string => {
    const s = add({ dims: [], data: Float32Array.of(scale) });
    const z = add({ dims: [], data: zero });
    return put("DequantizeLinear", [put("QuantizeLinear", [from, s, z]), s, z]);
  };
  const size = 2 + upTo(20);
  let value = "x";
  let dims: number[] = [1, size];
  if (qdq) value = grid(value, 1 / 127, Int8Array.of(0));
  if (chance(0.3)) {
    value = put("Reshape", [value, add({ dims: [3], data: BigInt64Array.of(0n, 1n, -1n) })]);
    value = put("Flatten", [value], { axis: 1 });
  }
  if (chance(0.3) && !qdq) {
    value = put("Sub", [value, floats([1], normal)]);
    value = put("Div", [value, floats([size], () => 0.5 + random())]);
  }
  const layers = upTo(3);
  for (let l = 0; l < layers; l++) {
    const n = dims[1] as number;
    const m = l === layers - 1 ? upTo(6) : upTo(24);
    const spread = 1.5 / Math.sqrt(n);
    const weight = (shape: number[]): string => {
      if (!qdq) return floats(shape, () => spread * normal());
      const q = add({
        dims: shape,
        data: Int8Array.from({ length: n * m }, () => Math.round(127 * Math.tanh(normal()))),
      });
      const axis = shape[0] === m ? 0 : 1;
      const s = floats([m], () => (spread * (0.5 + random())) / 127);
      return put("DequantizeLinear", [q, s], { axis: m === shape[axis] ? axis : 1 - axis });
    };
    if (chance(0.5)) {
      value = put("MatMul", [value, weight([n, m])]);
      if (chance(0.8))
        value = chance(0.5) ? put("Add", [value, floats([m], normal)]) : put("Add", [floats([1, m], normal), value]);
    } else {
      const transB = chance(0.5);
      const inputs = [value, weight(transB ? [m, n] : [n, m])];
      if (chance(0.8)) inputs.push(floats(chance(0.5) ? [m] : [1, m], normal));
      const attributes: Record<string, Attribute> = { transB: transB ? 1 : 0 };
      if (chance(0.3)) attributes.alpha = { float: 0.5 + random() };
      if (chance(0.3)) attributes.beta = { float: 0.5 + random() };
      value = put("Gemm", inputs, attributes);
    }
    dims = [1, m];
    if (chance(0.2)) {
      const [gamma, beta, mean] = [0, 1, 2].map(() => floats([m], normal)) as [string, string, string];
      value = put("BatchNormalization", [value, gamma, beta, mean, floats([m], () => 0.2 + random())]);
    }
    if (l === layers - 1) break;
    const none = chance(0.15);
    // Quantisers leave out a ReLU before a grid that begins at zero.
    const bare = qdq && !none && chance(0.3);
    if (!none && !bare)
      value = chance(0.5)
        ? put("Relu", [value])
        : put("Clip", [
            value,
            add({ dims: [], data: Float32Array.of(0) }),
            add({ dims: [], data: Float32Array.of(1 + random()) }),
          ]);
    if (qdq && !none) value = chance(0.5) ? grid(value, 0.02, Uint8Array.of(0)) : grid(value, 0.02, Int8Array.of(-128));
    if (chance(0.2)) value = put("Identity", [value]);
    if (chance(0.2)) value = put("Dropout", [value]);
    if (chance(0.2) && !qdq) value = put("Mul", [value, floats([], () => 0.5 + random())]);
  }
  const samples = Array.from({ length: 20 }, () => Float32Array.from({ length: size }, () => 2 * random() - 1));
  return {
    model: { nodes, constants, input: ["x", ["n", size]], output: [value, ["n", dims[1] as number]] },
    size,
    samples,
    logits: value,
  };
}
