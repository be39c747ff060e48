import { type AttestationFormat, CountersignError } from "@countersign/core";
import type { Collateral } from "../attestation.ts";

/** What a document shall carry. */
export type AttestArgs = {
  /** 32 bytes: `keysetBinding` of the keyset. */
  readonly userData: Uint8Array;
  /** The nonce of whoever asked, in the format's own field where it has one; null where nobody asked. */
  readonly nonce: Uint8Array | null;
  /** For formats with a field of that name. */
  readonly publicKey?: Uint8Array;
};

/** Documents, the CPU's first, and what a check needs besides them and only this machine can give. */
export type Attested = {
  readonly evidence: readonly { readonly format: AttestationFormat; readonly document: Uint8Array }[];
  readonly collateral: readonly Collateral[];
  /** Milliseconds until which the document's own certificates are valid, where it has some. */
  readonly notAfter?: number;
};

/** The way from inside an enclave to what attests it; one a platform. */
export type Attester = {
  readonly platform: "simulated" | "nitriding" | "nsm" | "dstack";
  /**
   * Whether each document carries its own user data. Where it does not (nitriding), the statement holds no nonce and
   * freshness comes from the document's nonce field.
   */
  readonly bindsNonce: boolean;
  /** The register that takes model digests, or null where the platform has none to extend. */
  readonly modelRegister: number | null;
  /** @throws TEE_UNAVAILABLE: whoever cannot be attested does not serve */
  readonly attest: (args: AttestArgs) => Promise<Attested>;
  /** Extends a register: new = SHA-384(old ‖ data). @throws TEE_UNAVAILABLE */
  readonly extend?: (register: number, data: Uint8Array) => Promise<void>;
  /** Makes a register unchangeable until the enclave ends. @throws TEE_UNAVAILABLE */
  readonly lock?: (register: number) => Promise<void>;
  /** 32 bytes under which state may be sealed across restarts of the same measurement. @throws TEE_UNAVAILABLE */
  readonly sealingKey?: () => Promise<Uint8Array>;
  readonly close: () => Promise<void>;
};

/** The platform did not answer as it should: never a warning, the enclave does not serve. */
export const unavailable = (platform: string, why: string, cause?: unknown): CountersignError =>
  new CountersignError("TEE_UNAVAILABLE", {
    message: `The ${platform} attester gave no document that can be used.`,
    why,
    remedy: "Check that this process runs inside such an enclave and that its device or socket is there.",
    ...(cause !== undefined && { cause }),
  });
