import { CountersignError, type ErrorCode, equalBytes } from "@countersign/core";
import { type Circuit, compile, encodeCircuit } from "./circuit/compile.ts";
import { makeField } from "./field.ts";
import { type Kernels, loadKernels } from "./kernels/kernels.ts";
import type { Link } from "./make.ts";
import { checkModel, type QuantModel, sameShape } from "./model.ts";
import { makeCodes } from "./protocol/codes.ts";
import { plantInput, requireInput } from "./protocol/input.ts";
import { bitsOfReport, soundnessOfRegistration } from "./protocol/levels.ts";
import { checkLinkProof } from "./protocol/link.ts";
import { digestWeights } from "./protocol/prover.ts";
import { checkRegistrationProof } from "./protocol/registration.ts";
import { rules, type Statement } from "./protocol/statement.ts";
import { failures, follow } from "./protocol/verify.ts";
import { parseProof } from "./protocol/wire.ts";
import { layOutWeights } from "./protocol/witness.ts";

/** A chain of more links is refused: each adds to the chance that a false report passes (spec/zkml.md §8). */
export const mostLinks = 3;

/** Weights as a checker knows them: the model itself, or the registered root with links to the proof's commitment. */
export type KnownWeights =
  | { readonly kind: "open"; readonly model: QuantModel }
  | {
      readonly kind: "hidden";
      readonly registered: Uint8Array;
      readonly links?: readonly Link[];
      /** Proof that the words under the registered root are int8; links carry it to their children. Without it nothing is proven. */
      readonly registration?: Uint8Array;
    };

/** What a proof is checked against. Everything but the proof and the links comes from whoever the checker believes. */
export type CheckRequest = {
  readonly circuit: Circuit;
  readonly weights: KnownWeights;
  /** The input, or the root of its commitment when the circuit hides it. */
  readonly input: Int8Array | Uint8Array;
  readonly output: Int32Array;
  readonly context: Uint8Array;
  readonly proof: Uint8Array;
};

/** What a check found. There is no third word; whatever did not run is `unproven`. */
export type ProofReport =
  | { readonly status: "proven"; readonly reason: string; readonly facts: Readonly<Record<string, string>> }
  | {
      readonly status: "unproven";
      readonly reason: string;
      readonly code: ErrorCode;
      /** What did check, with ZK_COMMITMENT_UNREGISTERED alone: for who wants to look, never a reason to believe the output. */
      readonly facts?: Readonly<Record<string, string>>;
    };

const unproven = (code: ErrorCode, reason: string): Extract<ProofReport, { status: "unproven" }> => ({
  status: "unproven",
  code,
  reason,
});

/** An instance that waits for the next check; a failed one is thrown away. */
let idle: Kernels | undefined;
function withKernels<T>(work: (k: Kernels) => T): T {
  const k = idle ?? loadKernels();
  idle = undefined;
  try {
    const out = k.scope(() => work(k));
    idle = k;
    return out;
  } catch (error) {
    if (CountersignError.is(error)) idle = k;
    throw error;
  }
}

/**
 * Checks a proof against its statement (spec/zkml.md §6). Pure; never throws, whatever it is given.
 *
 * The circuit is compiled again from its shape, level, modes and budget, and every other is refused (R7).
 */
export function check(request: CheckRequest): ProofReport {
  try {
    return checkRequest(request);
  } catch (error) {
    if (CountersignError.is(error)) return unproven(error.code, error.detail.message);
    return unproven("CHECK_FAILED_TO_RUN", "The check met something that it cannot read.");
  }
}

function checkRequest({ circuit: given, weights, input, output, context, proof }: CheckRequest): ProofReport {
  const circuit = recompile(given);
  if (!circuit) return unproven("ZK_CIRCUIT_REFUSED", "The circuit is not the one that its shape compiles to.");
  if (!(proof instanceof Uint8Array)) return unproven("ZK_PROOF_MALFORMED", "The proof is not bytes.");
  if (!(context instanceof Uint8Array) || context.length !== 32)
    return unproven("ZK_INPUT_INVALID", "A context is 32 bytes.");
  const outputs = circuit.shape.layers.at(-1)?.outputs;
  if (!(output instanceof Int32Array) || output.length !== outputs)
    return unproven("ZK_PROOF_REFUSED", `The model has ${outputs} outputs.`);
  const known = readInput(circuit, input);
  if (!known) return unproven("ZK_INPUT_INVALID", "The input is not what the circuit takes.");
  if (weights.kind !== circuit.weights)
    return unproven("ZK_CIRCUIT_REFUSED", `The circuit is for ${circuit.weights} weights.`);
  return withKernels((k) => {
    const checker = { circuit, k, f: makeField(k), codes: makeCodes(k, circuit) };
    const identity = weights.kind === "open" ? openIdentity(circuit, weights.model) : followLinks(checker, weights);
    if (!(identity instanceof Uint8Array)) return identity;
    const registered =
      weights.kind === "hidden" && weights.registration ? checkRegistered(checker, weights) : undefined;
    if (registered && registered.status === "unproven") return registered;
    const statement: Statement = { weights: identity, context, input: known, output };
    const layout = weights.kind === "open" ? layOutWeights(circuit, weights.model) : undefined;
    const seen = follow(checker, statement, layout, parseProof(circuit, proof), rules);
    if (!seen) return unproven("ZK_PROOF_REFUSED", "A challenge is a value of the lookup table.");
    const failed = failures(seen);
    if (failed.length > 0) return unproven("ZK_PROOF_REFUSED", `These checks failed: ${failed.join(", ")}.`);
    const facts = factsOf(circuit, weights);
    // Words may be any residues: at shift 15 some have two decompositions, and whoever commits to them picks the logits.
    if (weights.kind === "hidden" && registered?.status !== "proven")
      return {
        ...unproven(
          "ZK_COMMITMENT_UNREGISTERED",
          "The proof checks, but nothing shows that the committed words are int8.",
        ),
        facts,
      };
    return {
      status: "proven",
      reason: `The output is the integer function of the ${weights.kind === "open" ? "given" : "committed"} weights and this input.`,
      facts,
    };
  });
}

/** Compiles the circuit from what it says about itself; undefined when it is another one. */
function recompile(given: Circuit): Circuit | undefined {
  const { shape, level, weights, input, budget } = given;
  if (level !== "proven-100") return undefined;
  const own = compile(structuredClone(shape), { level, weights, input, ...(weights === "hidden" ? { budget } : {}) });
  return equalBytes(encodeCircuit(own), encodeCircuit(given)) ? own : undefined;
}

function readInput(circuit: Circuit, input: Int8Array | Uint8Array): Statement["input"] | undefined {
  if (circuit.input === "public")
    return input instanceof Int8Array && input.length === circuit.shape.inputs
      ? { kind: "public", values: input }
      : undefined;
  return input instanceof Uint8Array && input.length === 32 ? { kind: "hidden", root: input } : undefined;
}

function openIdentity(circuit: Circuit, model: QuantModel): Uint8Array | ProofReport {
  checkModel(model);
  return sameShape(model.shape, circuit.shape)
    ? digestWeights(model)
    : unproven("ZK_CIRCUIT_REFUSED", "The weights have another shape than the circuit.");
}

/** The commitment that the registered root leads to, link after link. */
function followLinks(
  checker: Parameters<typeof checkLinkProof>[0],
  { registered, links = [] }: Extract<KnownWeights, { kind: "hidden" }>,
): Uint8Array | ProofReport {
  let root = registered;
  if (!(root instanceof Uint8Array) || root.length !== 32)
    return unproven("ZK_COMMITMENT_UNLINKED", "A root is 32 bytes.");
  if (links.length > mostLinks) return unproven("ZK_COMMITMENT_UNLINKED", `A chain has at most ${mostLinks} links.`);
  for (const { parent, child, proof } of links) {
    if (!equalBytes(parent, root)) return unproven("ZK_COMMITMENT_UNLINKED", "A link starts at another root.");
    if (!(child instanceof Uint8Array) || child.length !== 32)
      return unproven("ZK_COMMITMENT_UNLINKED", "A root is 32 bytes.");
    const failed = checker.k.scope(() => checkLinkProof(checker, parent, child, proof, rules));
    if (failed.length > 0) return unproven("ZK_COMMITMENT_UNLINKED", `A link does not check: ${failed.join(", ")}.`);
    root = child;
  }
  return root;
}

/** Checks a registration by itself: every word under the root is an int8. Never throws. */
export function checkRegistration(circuit: Circuit, root: Uint8Array, registration: Uint8Array): ProofReport {
  try {
    const own = recompile(circuit);
    if (own?.weights !== "hidden")
      return unproven("ZK_CIRCUIT_REFUSED", "The circuit is not one of hidden weights that its shape compiles to.");
    return withKernels((k) =>
      checkRegistered(
        { circuit: own, k, f: makeField(k), codes: makeCodes(k, own) },
        { registered: root, registration },
      ),
    );
  } catch (error) {
    if (CountersignError.is(error)) return unproven(error.code, error.detail.message);
    return unproven("CHECK_FAILED_TO_RUN", "The check met something that it cannot read.");
  }
}

function checkRegistered(
  checker: Parameters<typeof checkLinkProof>[0],
  { registered, registration }: { readonly registered: Uint8Array; readonly registration?: Uint8Array },
): ProofReport {
  if (!(registration instanceof Uint8Array) || !(registered instanceof Uint8Array) || registered.length !== 32)
    return unproven("ZK_PROOF_MALFORMED", "The registration is not bytes.");
  const { reached, bits } = soundnessOfRegistration(checker.circuit);
  if (!reached) return unproven("ZK_CIRCUIT_REFUSED", `A registration of this model proves ${bits} bits only.`);
  const failed = checker.k.scope(() => checkRegistrationProof(checker, registered, registration, rules));
  if (failed.length > 0) return unproven("ZK_PROOF_REFUSED", `The registration does not check: ${failed.join(", ")}.`);
  return {
    status: "proven",
    reason: "Every word under the root is an int8.",
    facts: { scheme: "countersign-zkml-1", bits: String(Math.floor(bits)), review: "none" },
  };
}

const factsOf = (circuit: Circuit, weights: KnownWeights): Readonly<Record<string, string>> => ({
  scheme: "countersign-zkml-1",
  weights: circuit.weights,
  input: circuit.input,
  // Of the whole report: proof, each link and the registration, added up as probabilities.
  bits: String(
    Math.floor(
      weights.kind === "hidden"
        ? bitsOfReport(circuit, weights.links?.length ?? 0, weights.registration !== undefined)
        : circuit.soundness.bits,
    ),
  ),
  // Committed words that are not shown to be int8 make sums wrap around the field, and the output anything.
  bounded: weights.kind === "open" || weights.registration ? "yes" : "weights-unbounded",
  review: "none",
});

/** Root of an input's commitment, for whoever has input and secret: what a client compares with its statement (R4). @throws ZK_INPUT_INVALID */
export function inputRoot(circuit: Circuit, values: Int8Array, secret: Uint8Array): Uint8Array {
  requireInput(circuit, values, secret);
  return withKernels((k) => plantInput(k, makeCodes(k, circuit), circuit, values, secret).tree.root);
}
