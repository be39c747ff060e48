import { randomBytes } from "node:crypto";
import {
  type Check,
  CountersignError,
  type Custody,
  type Envelope,
  type Hex,
  keyFor,
  keysetDigest,
  type Registration,
  readAttestation,
  type Signer,
  sha256Hex,
  signRegistration,
  type Trust,
  toBase64,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { type AcceptedAttestation, checkAttestation } from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";
import { ask, bearerOf, fetchAttestation } from "./enclave-node.ts";

/** Longest life of a registration, milliseconds: whoever runs a machine, and where, is asked again after it. */
const longest = 400 * 86_400_000;
/** Clocks of registrar, node and gateway may differ by this much. */
const leeway = 60_000;

/** What a registrar says of an enclave's node, and where it goes. */
export type EnclaveRegistrationArgs = {
  readonly nodeUrl: string;
  readonly token: string | null;
  /** Null where the gateway finds document and registration with the node. */
  readonly gatewayUrl: string | null;
  readonly registrar: Signer;
  /** By which the attestation is checked; it must name the registrar, or nobody would believe what he signs. */
  readonly trust: Trust;
  readonly custody: Custody;
  readonly custodyGround: NonNullable<Registration["attested"]>["custodyGround"];
  readonly operator: string;
  /** Milliseconds; at most 400 days from now. */
  readonly notAfter: number;
  readonly now: () => number;
  /** Whether a simulated enclave may be registered: the registrar's word, by name, also under a trust for development. */
  readonly allowDevelopment: boolean;
  /** Shown every check, also when the attestation is refused. */
  readonly onChecks?: (checks: readonly Check[]) => void;
};

/** A registration as it was given. */
export type EnclaveRegistration = {
  readonly registration: Envelope;
  readonly attestation: Uint8Array;
  readonly accepted: AcceptedAttestation;
  readonly notAfter: number;
  /** What the gateway answered: index of the log entry, digest of the kept document. */
  readonly entry: Readonly<Record<string, unknown>> | null;
};

/**
 * Registers the keys that were born in an enclave: draws a nonce, checks the attestation that answers it, signs, and hands
 * the registration to the node and, with the document, to the gateway.
 *
 * The attestation is checked together with the registration that is about to be given, since custody is the registrar's
 * word; a registration whose document is refused leaves this function in no form.
 *
 * @throws NOT_AUTHORISED when the trust does not name the registrar; NODE_UNREACHABLE, NODE_NOT_ATTESTED,
 * GATEWAY_UNREACHABLE; the code of the first check that failed
 */
export async function registerEnclave(args: EnclaveRegistrationArgs): Promise<EnclaveRegistration> {
  const { trust, registrar } = args;
  const registrarKey = toHex(registrar.publicKey);
  if (!trust.registrars.some((r) => r.key === registrarKey)) {
    throw new CountersignError("NOT_AUTHORISED", {
      message: `The trust "${trust.name}" does not name this registrar, so nobody who uses it would believe him.`,
      remedy: "Use the registrar's own seed, or the trust file that names him.",
    });
  }
  const nonce = toHex(randomBytes(32));
  const attestation = await fetchAttestation(args.nodeUrl, args.token, nonce);
  const at = args.now();
  const { keyset } = readAttestation(attestation);
  const key = keyFor(keyset, "receipt");
  if (key === undefined)
    throw new CountersignError("TEE_KEY_NOT_BOUND", { message: "The keyset has no key that signs receipts." });
  const notAfter = Math.min(args.notAfter, at + longest);
  const registration = signRegistration(
    {
      suite: "countersign/registration/v1",
      network: trust.network,
      registrar: registrarKey,
      role: "node",
      key: key as Hex,
      operator: args.operator,
      notBefore: at - leeway,
      notAfter,
      attested: {
        keyset: keysetDigest(keyset),
        attestation: sha256Hex(attestation),
        custody: args.custody,
        custodyGround: args.custodyGround,
      },
    },
    registrar,
  );
  const { checks, outcome } = checkAttestation({
    attestation,
    registrations: [registration],
    trust,
    at,
    nonce,
    suite: nodeSuite,
    allowDevelopment: args.allowDevelopment,
    inLog: (entry, proof) => lookUp(entry, proof, trust, at, nodeSuite),
  });
  args.onChecks?.(checks);
  if (outcome.status === "refused") {
    throw new CountersignError(outcome.code, {
      message: `The node's attestation is refused: ${outcome.reason}`,
      remedy:
        outcome.code === "TEE_SIMULATED_NOT_ALLOWED"
          ? "Nothing was registered. A simulated enclave is registered by name only: --allow-development, under a trust file that names its root and says development: true."
          : "Nothing was registered.",
    });
  }
  const entry = await handOut(args, registration, attestation);
  return { registration, attestation, accepted: outcome, notAfter, entry };
}

/** The gateway first: a node that serves under a registration which nobody kept would be without its document. */
async function handOut(
  { nodeUrl, gatewayUrl, token }: EnclaveRegistrationArgs,
  registration: Envelope,
  attestation: Uint8Array,
): Promise<EnclaveRegistration["entry"]> {
  const json = { "content-type": "application/json" };
  const answer =
    gatewayUrl === null
      ? null
      : await ask(
          new URL("/v1/registrations", gatewayUrl),
          { method: "POST", headers: json, body: JSON.stringify({ registration, attestation: toBase64(attestation) }) },
          { name: "gateway", unreachable: "GATEWAY_UNREACHABLE", refused: "NOT_AUTHORISED" },
        );
  await ask(
    new URL("/registration", nodeUrl),
    { method: "PUT", headers: { ...json, ...bearerOf(token) }, body: JSON.stringify(registration) },
    { name: "node", unreachable: "NODE_UNREACHABLE", refused: "NODE_NOT_ACTIVE" },
  );
  return answer === null ? null : JSON.parse(new TextDecoder().decode(answer));
}
