import { CountersignError, concat, equalBytes, taggedHash, uint } from "@countersign/core";
import { type Circuit, digestCircuit, inputOpenings } from "./circuit/compile.ts";
import { loadKernels } from "./kernels/kernels.ts";
import { checkShape, type QuantModel, run, sameShape } from "./model.ts";
import type { CounterOf, OpeningCounter } from "./opening-counter.ts";
import { makeCodes } from "./protocol/codes.ts";
import { plantInput, requireInput } from "./protocol/input.ts";
import { registrationCircuit } from "./protocol/levels.ts";
import { drawLinkMasks, writeLink } from "./protocol/link.ts";
import { writeProof } from "./protocol/prove.ts";
import { type Committed, commitWeights, digestWeights, type Prepared, prepare } from "./protocol/prover.ts";
import { writeRegistration } from "./protocol/registration.ts";
import { drawSecrets } from "./protocol/secrets.ts";
import { bytesOf, rules, type Statement } from "./protocol/statement.ts";
import { makeWitness } from "./protocol/witness.ts";

/** Weights ready to be proven with. Each holds WebAssembly memory of its own; drop it to free that. */
export type Opening =
  | { readonly kind: "open"; readonly circuit: Circuit; readonly digest: Uint8Array; readonly prepared: Prepared }
  | {
      readonly kind: "hidden";
      readonly circuit: Circuit;
      /** Root of the commitment: public. */
      readonly commitment: Uint8Array;
      readonly committed: Committed;
      readonly counter: OpeningCounter;
    };
export type HiddenOpening = Extract<Opening, { kind: "hidden" }>;

/** A committed input; the root belongs into the statement before the proof is made. */
export type InputCommitment = {
  readonly root: Uint8Array;
  readonly values: Int8Array;
  readonly secret: Uint8Array;
  /** Counts the proofs made under this root, two at most. */
  readonly counter: OpeningCounter;
};

/** A link: two commitments of one circuit hold the same weights. */
export type Link = { readonly parent: Uint8Array; readonly child: Uint8Array; readonly proof: Uint8Array };

const random = (): Uint8Array => crypto.getRandomValues(new Uint8Array(32));
const invalid = (message: string): CountersignError => new CountersignError("ZK_INPUT_INVALID", { message });

/** Prepares weights that the checker has too. @throws ZK_MODEL_INVALID */
export function openWeights(circuit: Circuit, model: QuantModel): Opening {
  requireMode(circuit, "open", model);
  return { kind: "open", circuit, digest: digestWeights(model), prepared: prepare(circuit, model) };
}

/**
 * Commits to hidden weights.
 *
 * A new commitment draws its secret here; keep `secret` and the counter together, and nowhere twice (spec/zkml.md §7.3).
 * @example commit(circuit, model, (root, create) => countInFiles({ file, ledger, root: toHex(root), budget: 64, create }))
 * @throws ZK_MODEL_INVALID, also for a counter that allows more than the circuit's budget
 */
export function commit(
  circuit: Circuit,
  model: QuantModel,
  counterOf: CounterOf,
): { readonly opening: HiddenOpening; readonly secret: Uint8Array } {
  const secret = random();
  return { secret, opening: openHidden(circuit, model, secret, (root) => counterOf(root, true)) };
}

/**
 * Rebuilds a commitment from its secret; `counterOf` gives the counter that was used before.
 *
 * @throws ZK_MODEL_INVALID; ZK_OPENING_RETIRED where no lasting counter is left
 */
export function reopen(circuit: Circuit, model: QuantModel, secret: Uint8Array, counterOf: CounterOf): HiddenOpening {
  return openHidden(circuit, model, secret, (root) => lasting(counterOf(root, false)));
}

/** A counter that begins anew with each process would let the same openings be given out again and again. */
function lasting(counter: OpeningCounter): OpeningCounter {
  if (counter.lasting !== true)
    throw new CountersignError("ZK_OPENING_RETIRED", {
      message: "A counter in memory does not know what was opened before.",
      remedy: "Give the counter that was made with the commitment, or commit again.",
    });
  return counter;
}

function openHidden(
  circuit: Circuit,
  model: QuantModel,
  secret: Uint8Array,
  counterOf: (root: Uint8Array) => OpeningCounter,
): HiddenOpening {
  requireMode(circuit, "hidden", model);
  if (secret.length !== 32) throw invalid("An opening's secret is 32 bytes.");
  const committed = commitWeights(circuit, model, secret);
  const counter = counterOf(committed.root);
  if (!(counter.budget <= circuit.budget))
    throw new CountersignError("ZK_MODEL_INVALID", {
      message: `The counter allows ${counter.budget} openings, the circuit hides weights for ${circuit.budget}.`,
    });
  return { kind: "hidden", circuit, commitment: committed.root, committed, counter };
}

function requireMode(circuit: Circuit, weights: "open" | "hidden", model: QuantModel): void {
  if (circuit.weights !== weights)
    throw new CountersignError("ZK_MODEL_INVALID", { message: `The circuit is for ${circuit.weights} weights.` });
  checkShape(model.shape);
  if (!sameShape(circuit.shape, model.shape))
    throw new CountersignError("ZK_MODEL_INVALID", { message: "The model has another shape than the circuit." });
}

/**
 * Commits to an input of a circuit with hidden input, with a new secret. The secret and the input give the root again.
 *
 * @throws ZK_INPUT_INVALID, also for a counter of more than two openings: further ones would give the input away
 */
export function commitInput(circuit: Circuit, values: Int8Array, counterOf: CounterOf): InputCommitment {
  return openInput(circuit, values, random(), (root) => counterOf(root, true));
}

/**
 * Rebuilds a commitment to an input from its secret, for the one retry; `counterOf` gives the counter used before.
 *
 * @throws ZK_INPUT_INVALID; ZK_OPENING_RETIRED where no lasting counter is left
 */
export function reopenInput(
  circuit: Circuit,
  values: Int8Array,
  secret: Uint8Array,
  counterOf: CounterOf,
): InputCommitment {
  return openInput(circuit, values, secret, (root) => lasting(counterOf(root, false)));
}

function openInput(
  circuit: Circuit,
  values: Int8Array,
  secret: Uint8Array,
  counterOf: (root: Uint8Array) => OpeningCounter,
): InputCommitment {
  requireInput(circuit, values, secret);
  const k = loadKernels();
  const { tree } = plantInput(k, makeCodes(k, circuit), circuit, values, secret);
  const counter = counterOf(tree.root);
  if (!(counter.budget <= inputOpenings))
    throw invalid(`The counter allows ${counter.budget} openings, an input is hidden for ${inputOpenings}.`);
  return { root: tree.root, values: values.slice(), secret: secret.slice(), counter };
}

/** What to prove. */
export type ProveRequest = {
  readonly opening: Opening;
  readonly input: Int8Array | InputCommitment;
  /** 32 bytes that the proof stays with: the receipt's root. */
  readonly context: Uint8Array;
};

/**
 * Runs the integer model and proves its output. Hidden weights: one opening is counted before anything is drawn.
 *
 * @throws ZK_INPUT_INVALID, ZK_ACCUMULATOR_RANGE, ZK_BUDGET_SPENT, ZK_OPENING_BUSY, ZK_OPENING_RETIRED
 */
export function prove({ opening, input, context }: ProveRequest): {
  readonly output: Int32Array;
  readonly proof: Uint8Array;
} {
  const { circuit } = opening;
  if (!(context instanceof Uint8Array) || context.length !== 32) throw invalid("A context is 32 bytes.");
  const hiddenInput = input instanceof Int8Array ? undefined : input;
  if ((circuit.input === "hidden") !== (hiddenInput !== undefined))
    throw invalid(
      circuit.input === "hidden" ? "The circuit takes a committed input." : "The circuit takes public inputs.",
    );
  const values = hiddenInput ? hiddenInput.values : (input as Int8Array);
  const prepared = opening.kind === "hidden" ? opening.committed : opening.prepared;
  const trace = run(prepared.model, values);
  const statement: Statement = {
    weights: opening.kind === "hidden" ? opening.commitment : opening.digest,
    context,
    input: hiddenInput ? { kind: "hidden", root: hiddenInput.root } : { kind: "public", values },
    output: trace.output,
  };
  const count = opening.kind === "hidden" ? opening.counter.take() : 0;
  const seed = seedOf(statement, circuit, opening, count, hiddenInput?.counter.take() ?? 0, values);
  const { k, codes } = prepared;
  const proof = k.scope(() => {
    const planted = hiddenInput ? plantInput(k, codes, circuit, values, hiddenInput.secret) : undefined;
    if (planted && !equalBytes(planted.tree.root, statement.input.kind === "hidden" ? statement.input.root : context))
      throw invalid("The input does not hash to its commitment.");
    return writeProof(
      {
        prepared,
        committed: opening.kind === "hidden" ? opening.committed : undefined,
        statement,
        witness: makeWitness(circuit, trace),
        secrets: drawSecrets(k, circuit, seed),
        input: planted,
      },
      rules,
    );
  });
  return { output: trace.output, proof };
}

/** Randomness of one proof: the platform's, bound to all that the proof is about, so that a weak source alone repeats nothing (R12). */
function seedOf(
  s: Statement,
  circuit: Circuit,
  opening: Opening,
  count: number,
  inputCount: number,
  values: Int8Array,
): Uint8Array {
  return taggedHash(
    "countersign/zkml-randomness/v1",
    random(),
    opening.kind === "hidden" ? opening.committed.secret : new Uint8Array(0),
    digestCircuit(circuit),
    s.weights,
    s.context,
    new Uint8Array(values.buffer, values.byteOffset, values.length),
    bytesOf(s.output),
    concat(uint(count, 8), uint(inputCount, 8)),
  );
}

/**
 * Proves that every word under a commitment is an int8; costs one opening, at 4 million weights some seconds and about 0.8 GB of
 * memory. Once for a registered root. @throws ZK_BUDGET_SPENT
 */
export function register({ circuit, committed, counter }: HiddenOpening): Uint8Array {
  const seed = taggedHash(
    "countersign/zkml-registration-randomness/v1",
    random(),
    committed.secret,
    digestCircuit(circuit),
    committed.root,
    uint(counter.take(), 8),
  );
  return writeRegistration(committed, { secrets: drawSecrets(committed.k, registrationCircuit(circuit), seed) }, rules);
}

/** Proves that two commitments of one circuit hold the same weights; costs one opening of each. @throws ZK_BUDGET_SPENT */
export function link(parent: HiddenOpening, child: HiddenOpening): Link {
  if (!equalBytes(digestCircuit(parent.circuit), digestCircuit(child.circuit)))
    throw invalid("A link joins two commitments of one circuit.");
  const counts = [parent.counter.take(), child.counter.take()];
  const seed = taggedHash(
    "countersign/zkml-link-randomness/v1",
    random(),
    parent.committed.secret,
    child.committed.secret,
    digestCircuit(parent.circuit),
    parent.commitment,
    child.commitment,
    concat(...counts.map((c) => uint(c, 8))),
  );
  const proof = writeLink(parent.committed, child.committed, drawLinkMasks(parent.committed, seed), rules);
  return { parent: parent.commitment, child: child.commitment, proof };
}
