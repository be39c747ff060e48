// A net of random weights for benchmarks: what it answers means nothing, its size does. Nothing of it is committed.
//   node models/zk/synthetic/synthetic.ts /tmp/synthetic.onnx
import { writeFileSync } from "node:fs";
import { importOnnx, type Imported } from "../../../packages/evidence-zkml/src/import/index.ts";
import { writeOnnx } from "../../../packages/node/src/models/onnx.ts";
import { tensorOf } from "../../../packages/node/src/models/tensor.ts";

/** Inputs and outputs of the layers: 3,982,460 parameters. */
export const fourMillion = [1150, 1150, 1150, 1150, 10] as const;

/** Mulberry32: numbers from 0 to 1 by seed. */
function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A dense ReLU net as an ONNX file; the sum of four uniform numbers stands for a normal one. */
export function writeSynthetic(widths: readonly number[] = fourMillion, seed = 1): Uint8Array {
  const random = randomOf(seed);
  const normal = () => (random() + random() + random() + random() - 2) * Math.sqrt(3);
  const nodes = [];
  const weights = [];
  for (let l = 0; l + 1 < widths.length; l++) {
    const [n, m] = [widths[l] as number, widths[l + 1] as number];
    weights.push(
      tensorOf(`w${l}`, "float32", [m, n], Float32Array.from({ length: n * m }, () => Math.sqrt(2 / n) * normal())),
      tensorOf(`b${l}`, "float32", [m], Float32Array.from({ length: m }, () => 0.1 * normal())),
    );
    const last = l + 2 === widths.length;
    const inputs = [l === 0 ? "x" : `h${l - 1}`, `w${l}`, `b${l}`];
    nodes.push({ op: "Gemm", inputs, outputs: [last ? "y" : `z${l}`], attributes: [{ name: "transB", int: 1 }] });
    if (!last) nodes.push({ op: "Relu", inputs: [`z${l}`], outputs: [`h${l}`] });
  }
  const size = (i: number) => ["batch", widths.at(i) as number] as const;
  return writeOnnx({
    name: "synthetic",
    nodes,
    weights,
    inputs: [{ name: "x", type: "float32", dims: size(0) }],
    outputs: [{ name: "y", type: "float32", dims: size(-1) }],
  });
}

/** The same net as integers, calibrated on eight random inputs from −1 to 1. */
export function importSynthetic(widths: readonly number[] = fourMillion, seed = 1): Imported {
  const random = randomOf(seed + 1);
  const samples = Array.from({ length: 8 }, () => Float32Array.from({ length: widths[0] as number }, () => 2 * random() - 1));
  return importOnnx(writeSynthetic(widths, seed), { samples }, { shifts: "layer" });
}

if (import.meta.main) {
  const [path] = process.argv.slice(2);
  if (path !== undefined) writeFileSync(path, writeSynthetic());
  const started = performance.now();
  const { report } = importSynthetic();
  console.log(`${report.parameters} parameters, written and imported in ${Math.round(performance.now() - started)} ms`);
  console.log(JSON.stringify({ layers: report.layers, calibration: report.calibration }));
}
