import { taggedHash } from "@countersign/core";
import { type Circuit, digestCircuit } from "../circuit/compile.ts";
import { type Field, makeField } from "../field.ts";
import { type Kernels, loadKernels } from "../kernels/kernels.ts";
import { checkModel, type QuantModel } from "../model.ts";
import { type Codes, makeCodes } from "./codes.ts";
import { type Matrix, makeMatrix, plant, rowAt } from "./matrix.ts";
import { stretch } from "./secrets.ts";
import { bytesOf } from "./statement.ts";
import { saltWords, type Tree } from "./tree.ts";
import { layOutWeights } from "./witness.ts";

/** A model's weights ready to be proven with, in memory of their own. */
export type Prepared = {
  readonly circuit: Circuit;
  readonly model: QuantModel;
  readonly k: Kernels;
  readonly f: Field;
  readonly codes: Codes;
  /** Address of the int8 matrix. */
  readonly matrix: number;
};

/** A weight commitment with what opens it. */
export type Committed = Prepared & {
  readonly root: Uint8Array;
  readonly code: Matrix;
  readonly tree: Tree;
  /** Random coefficients of each row. */
  readonly tails: Uint32Array;
  readonly secret: Uint8Array;
};

/** Digest of open weights: SHA-256 under a tag over all layers' int8 weights and little-endian biases. */
export const digestWeights = (model: QuantModel): Uint8Array =>
  taggedHash(
    "countersign/zkml-weights/v1",
    ...model.layers.flatMap(({ weights, bias }) => [
      new Uint8Array(weights.buffer, weights.byteOffset, weights.length),
      bytesOf(bias),
    ]),
  );

/** Lays out a model for a circuit. @throws ZK_MODEL_INVALID */
export function prepare(circuit: Circuit, model: QuantModel): Prepared {
  checkModel(model);
  const k = loadKernels();
  const codes = makeCodes(k, circuit);
  const layout = layOutWeights(circuit, model);
  const matrix = k.alloc(layout.length);
  k.u8(matrix, layout.length).set(new Uint8Array(layout.buffer));
  return { circuit, model, k, f: makeField(k), codes, matrix };
}

/** Commits to weights: rows as polynomials with random tails, columns with salts in a tree. All is derived from the secret. */
export function commitWeights(circuit: Circuit, model: QuantModel, secret: Uint8Array): Committed {
  const prepared = prepare(circuit, model);
  const { k, codes, matrix } = prepared;
  const { rows, columns, extra, degree, length } = circuit.weight;
  // One secret used for two models, or two circuits, still gives two independent commitments.
  const seed = taggedHash("countersign/zkml-weight-secret/v1", secret, digestCircuit(circuit), digestWeights(model));
  const tails = stretch(k, seed, "weight rows", rows * extra);
  const code = makeMatrix(k, rows, length, stretch(k, seed, "weight salts", saltWords * length, true));
  for (let r = 0; r < rows; r++) {
    const at = rowAt(code, r);
    k.widenI8(matrix + r * columns, columns, at);
    k.u32(at + 4 * columns, extra).set(tails.subarray(r * extra, (r + 1) * extra));
    codes.encodeWeights(at, degree);
  }
  const tree = plant(k, code);
  return { ...prepared, root: tree.root, code, tree, tails, secret };
}
