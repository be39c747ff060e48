import type { Claim, Ground } from "../claim.ts";
import type { Policy, Requirement } from "./policy.ts";

const on = (ground: Ground, ...claims: Claim[]): Requirement[] => claims.map((claim) => ({ claim, ground, facts: {} }));
const inference = { scope: "inference" };

/**
 * Words that stand for fixed claims (A12). Each names its grounds and, where a proxy could pass for a model, its scope;
 * a preset never changes its meaning: a new meaning is a new word.
 */
export const presets = {
  /** The operator's registered key says which model ran, on what, and what it gave. */
  signature: { all: on("signature", "issuer", "request", "prompt", "model", "output") },
  /** This host returned these bytes; nothing is said about the model behind it. */
  origin: { all: on("signature", "issuer", "request", "origin", "output") },
  /** Auditors ran it again. */
  reexecution: { all: on("reexecution", "prompt", "model", "execution", "output") },
  /** Measured code in attested hardware ran the model. */
  tee: {
    all: (["prompt", "model", "execution", "output"] as const).map((claim) => ({
      claim,
      ground: "hardware",
      facts: inference,
    })),
  },
  /** A proof that the output is the model's function of the input. */
  zkml: { all: on("proof", "prompt", "model", "execution", "output") },
  /** In a transparency log that independent witnesses cosigned. */
  logged: { all: on("log", "logged") },
  /** What an audit trail needs: an operator's word that cannot be changed, moved, re-rolled or hidden later. */
  audit: {
    all: [
      ...on("signature", "issuer", "request", "prompt", "model", "output", "sampling", "payment"),
      ...on("log", "logged"),
    ],
  },
} as const satisfies Record<string, Policy>;

/** A preset's name. */
export type Preset = keyof typeof presets;

/** Presets that are levels: the words of a `model:level` suffix and of prices. */
export const levels = ["signature", "origin", "reexecution", "tee", "zkml"] as const satisfies readonly Preset[];

/** Claims that have one possible ground, so that naming the claim is enough. */
export const soleGround: Partial<Record<Claim, Ground>> = {
  payment: "signature",
  sampling: "signature",
  issuer: "signature",
};

/** Other spellings of grounds. */
export const groundAliases: Readonly<Record<string, Ground>> = { tee: "hardware", zkml: "proof" };
