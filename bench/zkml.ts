// zkML: prove and check on one thread in CPU time, against plain inference of the same integer model run beside it.
import {
  check,
  commit,
  compile,
  countInMemory,
  type DenseShape,
  type ModelShape,
  prove,
  type QuantModel,
  register,
  run,
} from "../packages/evidence-zkml/src/index.ts";
import { missing, type Row, row } from "./harness/row.ts";

const nets = [
  { name: "784-128-10", dims: [784, 128, 10], budget: 8, proveMs: 30, checkMs: 40, bytes: 400_000 },
  { name: "4M dense", dims: [1150, 1150, 1150, 1150, 10], budget: 8, proveMs: 200, checkMs: 150, bytes: 800_000 },
  {
    name: "4M dense, budget 64",
    dims: [1150, 1150, 1150, 1150, 10],
    budget: 64,
    proveMs: 200,
    checkMs: 150,
    bytes: 800_000,
  },
] as const;
const rounds = 9;

const noise = (n: number, most: number): number[] =>
  Array.from({ length: n }, (_, i) => ((i * 2_654_435_761) % (2 * most + 1)) - most);

function randomModel(dims: readonly number[]): QuantModel {
  const shape: ModelShape = {
    inputs: dims[0] as number,
    biasDigits: 3,
    layers: dims
      .slice(1)
      .map((outputs, l): DenseShape => ({ kind: "dense", outputs, shift: l === dims.length - 2 ? [] : [10] })),
  };
  return {
    shape,
    layers: shape.layers.map(({ outputs }, l) => ({
      weights: Int8Array.from(noise((dims[l] as number) * outputs, 60)),
      bias: Int32Array.from(noise(outputs, 10_000)),
    })),
  };
}

/** CPU milliseconds of one call, the median of some. */
function cost(work: () => void): number {
  const times = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return times.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] as number;
}

/** Rows of each net: prove, check, size and memory, hidden weights, at least 100 bits. */
export async function bench(): Promise<Row[]> {
  return nets.flatMap(({ name, dims, budget, proveMs, checkMs, bytes }): Row[] => {
    const model = randomModel(dims);
    const input = Int8Array.from(noise(dims[0] as number, 127));
    const context = new Uint8Array(32).fill(1);
    const circuit = compile(model.shape, { weights: "hidden", budget });
    const { opening } = commit(circuit, model, () => countInMemory(budget));
    // A benchmark makes more proofs than the budget allows, so each has a counter of its own; nothing here is secret.
    const once = () => prove({ opening: { ...opening, counter: countInMemory(budget) }, input, context });
    const made = once();
    // Before the registration, which takes more and is made once.
    const memory = opening.committed.k.memory.buffer.byteLength;
    const weights = { kind: "hidden" as const, registered: opening.commitment };
    const registration = register({ ...opening, counter: countInMemory(1) });
    const first = check({ circuit, weights: { ...weights, registration }, input, context, ...made });
    // A root's registration is checked once, and stays out of the time of a proof: all else of a report is checked here.
    const judge = () => check({ circuit, weights, input, context, ...made });
    if (first.status !== "proven") return [missing(`zkml ${name}`, first.reason)];
    for (let i = 0; i < 3; i++) {
      once();
      judge();
    }
    const plain = cost(() => run(model, input));
    const proving = cost(once);
    const checking = cost(judge);
    return [
      row(`zkml ${name}, prove`, [proving, "CPU-ms", plain], proveMs, proving <= proveMs),
      row(`zkml ${name}, check`, [checking, "CPU-ms", plain], checkMs, checking <= checkMs),
      row(`zkml ${name}, proof`, [made.proof.length, "bytes", bytes], bytes, made.proof.length <= bytes),
      row(
        `zkml ${name}, prover's memory`,
        [memory / 1e6, "MB", model.layers.reduce((a, l) => a + l.weights.length, 0) / 1e6],
        300,
        memory <= 300e6,
      ),
    ];
  });
}
