import { CountersignError, taggedHash } from "@countersign/core";
import { type Circuit, digestCircuit } from "../circuit/compile.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { Codes } from "./codes.ts";
import type { Planted } from "./commitments.ts";
import { makeMatrix, plant, rowAt } from "./matrix.ts";
import { stretch } from "./secrets.ts";
import { saltWords } from "./tree.ts";
import { canonical } from "./witness.ts";

/** What an honest prover commits to; `plantInput` itself takes all that a dishonest one may. @throws ZK_INPUT_INVALID */
export function requireInput(circuit: Circuit, input: Int8Array, secret: Uint8Array): void {
  const refuse = (message: string): never => {
    throw new CountersignError("ZK_INPUT_INVALID", { message });
  };
  if (circuit.input !== "hidden") refuse("The circuit takes public inputs.");
  if (!(input instanceof Int8Array) || input.length !== circuit.shape.inputs)
    refuse(`The model takes ${circuit.shape.inputs} int8 inputs.`);
  if (!(secret instanceof Uint8Array) || secret.length !== 32) refuse("A secret of an input is 32 bytes.");
}

/** Commits to an input; rows and salts follow from the secret, so whoever has input and secret can compute the root (R4). */
export function plantInput(k: Kernels, codes: Codes, circuit: Circuit, input: Int8Array, secret: Uint8Array): Planted {
  const f = circuit.witness;
  const rows = f.rows[0];
  // One secret used for two inputs still gives two independent commitments.
  const seed = taggedHash(
    "countersign/zkml-input-secret/v1",
    secret,
    digestCircuit(circuit),
    Uint8Array.from(input, (v) => v & 255),
  );
  const matrix = makeMatrix(k, rows, f.length, stretch(k, seed, "input salts", saltWords * f.length, true));
  const values = k.zeros(4 * rows * f.row);
  k.u32(values, input.length).set(Uint32Array.from(input, canonical));
  codes.encodeRows({
    values,
    rows,
    random: stretch(k, seed, "input rows", rows * f.inputExtra),
    extra: f.inputExtra,
    to: rowAt(matrix, 0),
  });
  return { matrix, tree: plant(k, matrix) };
}
