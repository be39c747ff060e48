// Writes spec/vectors/zkml: proofs with all that a verifier needs, and changes that it must refuse.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toBase64, toHex } from "@countersign/core";
import { compile, digestCircuit } from "../src/circuit/compile.ts";
import { run } from "../src/model.ts";
import { denseShape, makeDice, randomInput, randomModel } from "../src/nets.fixture.ts";
import { makeCodes } from "../src/protocol/codes.ts";
import { plantInput } from "../src/protocol/input.ts";
import { registrationCircuit } from "../src/protocol/levels.ts";
import { drawLinkMasks, writeLink } from "../src/protocol/link.ts";
import { writeProof } from "../src/protocol/prove.ts";
import { commitWeights, digestWeights, prepare } from "../src/protocol/prover.ts";
import { writeRegistration } from "../src/protocol/registration.ts";
import { drawSecrets } from "../src/protocol/secrets.ts";
import { rules, type Statement } from "../src/protocol/statement.ts";
import { makeWitness } from "../src/protocol/witness.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "spec", "vectors", "zkml");
mkdirSync(folder, { recursive: true });
const write = (name: string, vector: object) =>
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(vector, null, 1)}\n`);
const fill = (n: number) => new Uint8Array(32).fill(n);
const base64 = (x: Int8Array | Int32Array) => toBase64(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));

/** Changes of a proof's bytes, each to be refused: one bit, a cut, an addition, a word that is no field element. */
function mutations(proof: Uint8Array): readonly object[] {
  const dice = makeDice(proof.length);
  return [
    ...Array.from({ length: 24 }, () => ({ kind: "flip", at: dice(proof.length), bit: dice(8) })),
    { kind: "cut", bytes: 1 },
    { kind: "cut", bytes: 32 },
    { kind: "append", bytes: 32 },
  ];
}

const nets = [
  { name: "open", dims: [12, 10, 6, 4], shifts: [8, 11], options: { weights: "open" } },
  { name: "open-hidden-input", dims: [12, 10, 4], shifts: [9], options: { weights: "open", input: "hidden" } },
  { name: "hidden", dims: [12, 10, 6, 4], shifts: [15, 9], options: { weights: "hidden", budget: 2 } },
  { name: "hidden-hidden-input", dims: [5, 3], shifts: [], options: { weights: "hidden", budget: 1, input: "hidden" } },
] as const;

for (const [seed, { name, dims, shifts, options }] of nets.entries()) {
  const shape = denseShape(dims, shifts);
  const circuit = compile(shape, options);
  const model = randomModel(shape, seed + 1);
  const values = randomInput(shape.inputs, seed + 1);
  const committed = options.weights === "hidden" ? commitWeights(circuit, model, fill(seed + 1)) : undefined;
  const prepared = committed ?? prepare(circuit, model);
  const { k } = prepared;
  const trace = run(model, values);
  const planted =
    circuit.input === "hidden" ? plantInput(k, makeCodes(k, circuit), circuit, values, fill(7)) : undefined;
  const statement: Statement = {
    weights: committed?.root ?? digestWeights(model),
    context: fill(200 + seed),
    input: planted ? { kind: "hidden", root: planted.tree.root } : { kind: "public", values },
    output: trace.output,
  };
  const secrets = drawSecrets(k, circuit, fill(100 + seed));
  const proof = writeProof(
    { prepared, committed, statement, witness: makeWitness(circuit, trace), secrets, input: planted },
    rules,
  );
  write(name, {
    shape,
    options: { ...options, level: "proven-100" },
    circuitDigest: toHex(digestCircuit(circuit)),
    model:
      options.weights === "open"
        ? model.layers.map((l) => ({ weights: base64(l.weights), bias: base64(l.bias) }))
        : null,
    weights: toHex(statement.weights),
    context: toHex(statement.context),
    input: planted ? null : base64(values),
    inputRoot: planted ? toHex(planted.tree.root) : null,
    output: [...trace.output],
    proof: toBase64(proof),
    refused: mutations(proof),
  });
  if (name === "hidden" && committed) {
    const child = commitWeights(circuit, model, fill(50));
    const link = writeLink(committed, child, drawLinkMasks(committed, fill(60)), rules);
    const seed = drawSecrets(k, registrationCircuit(circuit), fill(70));
    const registration = writeRegistration(committed, { secrets: seed }, rules);
    write("registration", {
      shape,
      options: { ...options, level: "proven-100" },
      root: toHex(committed.root),
      proof: toBase64(registration),
      refused: mutations(registration),
    });
    write("link", {
      shape,
      options: { ...options, level: "proven-100" },
      parent: toHex(committed.root),
      child: toHex(child.root),
      proof: toBase64(link),
      refused: mutations(link),
    });
  }
}
