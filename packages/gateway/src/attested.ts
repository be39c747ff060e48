import {
  type Assurance,
  CountersignError,
  type Envelope,
  factsSuffice,
  fromBase64,
  type Hex,
  isAll,
  isAny,
  type Keyset,
  keyFor,
  type Policy,
  type Suite,
  sha256Hex,
  type Trust,
} from "@countersign/core";
import { checkAttestation } from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";

/** An enclave that the gateway's own trust accepts, and what its attestation shows. */
export type Attested = {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes. */
  readonly digest: Hex;
  readonly keyset: Keyset;
  readonly keysetDigest: Hex;
  readonly assurance: Assurance;
  readonly facts: Readonly<Record<string, string>>;
};

/**
 * Checks the attestation that a node shows: a level that stands on hardware is offered only for what is proven right now,
 * never because somebody wrote it down (silent failures O4).
 *
 * @throws the code of the first check that failed; TEE_KEY_NOT_BOUND when it attests another key than the node's
 */
export function readAttested(args: {
  readonly attestation: string;
  readonly key: Hex;
  readonly registration: Envelope;
  readonly trust: Trust;
  readonly suite: Suite;
  readonly at: number;
}): Attested {
  const bytes = fromBase64(args.attestation);
  const { outcome } = checkAttestation({
    attestation: bytes,
    registrations: [args.registration],
    trust: args.trust,
    at: args.at,
    nonce: null,
    suite: args.suite,
    // Its own trust file is what its operator chose; whoever demands more brings his own.
    allowDevelopment: args.trust.development,
    inLog: (entry, proof) => lookUp(entry, proof, args.trust, args.at, args.suite),
  });
  if (outcome.status === "refused") throw new CountersignError(outcome.code, { message: outcome.reason });
  const { keyset, keysetDigest, assurance, facts } = outcome;
  if (keyFor(keyset, "receipt") !== args.key)
    throw new CountersignError("TEE_KEY_NOT_BOUND", {
      message: "The attestation is about another key than the node's.",
    });
  return { bytes, digest: sha256Hex(bytes), keyset, keysetDigest, assurance, facts };
}

/** Whether a guarantee promises anything on the ground hardware. */
export const needsHardware = (policy: Policy): boolean =>
  isAll(policy)
    ? policy.all.some(needsHardware)
    : isAny(policy)
      ? policy.any.some(needsHardware)
      : policy.ground === "hardware";

/**
 * Whether an attestation shows every fact that a guarantee promises on the ground hardware.
 *
 * A guarantee is the node's own word: what it promises of custody, assurance or provenance would be sold to whoever asks
 * for exactly that, and refused only after the run.
 *
 * @param model Digest of the deployment's model: a fact of the claim `model` alone.
 */
export const isShown = (policy: Policy, shown: Readonly<Record<string, string>>, model: Hex): boolean => {
  if (isAll(policy)) return policy.all.every((p) => isShown(p, shown, model));
  if (isAny(policy)) return policy.any.every((p) => isShown(p, shown, model));
  if (policy.ground !== "hardware") return true;
  return factsSuffice({ ...shown, ...(policy.claim === "model" && { digest: model }) }, policy.facts);
};
