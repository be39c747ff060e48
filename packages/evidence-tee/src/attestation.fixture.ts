import {
  type Attestation,
  attestationBytes,
  type Hex,
  type Keyset,
  keysetBinding,
  keysetDigest,
  measurementId,
  noTrust,
  type Signer,
  signRegistration,
  type Trust,
  type TrustedHardware,
  toBase64,
  toHex,
} from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { makeNitroAuthority, type NitroAuthority } from "./make/nitro-document.ts";
import { foldModels } from "./measured-models.ts";

export const network = "eip155:777000111";
export const at = Date.UTC(2026, 10, 21, 12);
export const hour = 3_600_000;
export const authority: NitroAuthority = makeNitroAuthority({ now: at - 24 * hour });
export const signerOf = (n: number): Signer => ed25519Signer(new Uint8Array(32).fill(n));
export const nodeSigner = signerOf(21);
export const registrar = signerOf(22);
export const model: Hex = "11".repeat(32);
export const register = (n: number) => new Uint8Array(48).fill(n);
export const measured = { pcr0: toHex(register(1)), pcr1: toHex(register(2)), pcr2: toHex(register(3)) };
export const measurement = measurementId("nitro", measured);

/** A keyset of the fixture's enclave. */
export const keysetOf = (changes: Partial<Keyset> = {}): Keyset => ({
  suite: "countersign/keyset/v1",
  network,
  scope: "inference",
  notAfter: at + 12 * hour,
  models: [model],
  gpus: 0,
  keys: [
    { use: "channel", algorithm: "x25519", key: "44".repeat(32) },
    { use: "receipt", algorithm: "ed25519", key: toHex(nodeSigner.publicKey) },
  ],
  ...changes,
});

type Made = {
  readonly keyset?: Partial<Keyset>;
  readonly nonce?: Hex | null;
  readonly at?: number;
  readonly by?: NitroAuthority;
  readonly pcrs?: ReadonlyMap<number, Uint8Array>;
  /** What the document carries, when it is not what it should be. */
  readonly userData?: Uint8Array;
  readonly change?: (attestation: Attestation) => Attestation;
};

/** A genuine attestation under the private root, or one that differs in one thing. */
export function makeAttestation(made: Made = {}): Uint8Array {
  const keyset = keysetOf(made.keyset);
  const nonce = made.nonce ?? null;
  const pcrs = new Map<number, Uint8Array>([
    [0, register(1)],
    [1, register(2)],
    [2, register(3)],
    [16, foldModels(keyset.models)],
    ...(made.pcrs ?? []),
  ]);
  const document = (made.by ?? authority).document({
    at: made.at ?? at,
    pcrs,
    userData: made.userData ?? keysetBinding(keysetDigest(keyset), nonce),
    nonce: null,
    publicKey: null,
  });
  const attestation: Attestation = {
    suite: "countersign/attestation/v1",
    keyset,
    nonce,
    evidence: [{ format: "nitro", document: toBase64(document) }],
    collateral: [],
    provenance: [],
    madeAt: made.at ?? at,
  };
  return attestationBytes(made.change ? made.change(attestation) : attestation);
}

export const trusted: TrustedHardware = {
  format: "nitro",
  root: authority.rootDigest,
  assurance: "simulated",
  measurements: [measurement],
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  custody: ["self-hosted", "unknown"],
  provenance: false,
};

/** A trust that accepts the fixture's enclave. */
export const trustOf = (entry: Partial<TrustedHardware> = {}, more: Partial<Trust> = {}): Trust => ({
  ...noTrust,
  name: "fixture",
  development: true,
  network,
  registrars: [{ name: "registrar", key: toHex(registrar.publicKey) }],
  hardware: [{ ...trusted, ...entry }],
  ...more,
});

/** A registrar's word for the fixture's node. */
export const registrationOf = (
  custody: "hyperscaler" | "named-datacentre" | "self-hosted" | "unknown" = "self-hosted",
  by: Signer = registrar,
  key: Hex = toHex(nodeSigner.publicKey),
) =>
  signRegistration(
    {
      suite: "countersign/registration/v1",
      network,
      registrar: toHex(by.publicKey),
      role: "node",
      key,
      operator: "fixture-operator",
      notBefore: at - hour,
      notAfter: at + 100 * hour,
      attested: {
        keyset: keysetDigest(keysetOf()),
        attestation: "00".repeat(32),
        custody,
        custodyGround: "contract",
      },
    },
    by,
  );
