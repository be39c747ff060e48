import * as z from "zod";
import { custodyClasses } from "./attestation.ts";
import { fromHex } from "./bytes.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { sha256Hex } from "./hash.ts";
import { hex32, milliseconds, network, printableName } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const registrationType = "urn:countersign:registration:v1";

/** A registrar's word that a key is an operator's, for one role and time (spec/receipt.md §9). Stapled to receipts. */
export const registrationShape = z.strictObject({
  suite: z.literal("countersign/registration/v1"),
  network,
  registrar: hex32,
  role: z.enum(["node", "gateway"]),
  key: hex32,
  /** Who runs it. */
  operator: printableName,
  notBefore: milliseconds,
  notAfter: milliseconds,
  /** For keys born in an enclave: the keyset, the document that the registrar checked, and where he knows the machine to be. */
  attested: z
    .strictObject({
      keyset: hex32,
      /** SHA-256 of the attestation's bytes. */
      attestation: hex32,
      custody: z.enum(custodyClasses),
      /** What the registrar's word for the place rests on. */
      custodyGround: z.enum(["cloud-identity", "key-certificate", "contract", "none"]),
    })
    .optional(),
});
export type Registration = z.infer<typeof registrationShape>;

export const signRegistration = (registration: Registration, registrar: Signer): Envelope =>
  signStatement(
    {
      name: "key",
      subject: sha256Hex(fromHex(registration.key)),
      predicateType: registrationType,
      predicate: registration,
    },
    registrar,
  );

/** Reads a registration; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readRegistration = (envelope: unknown) =>
  readStatement(envelope, { name: "key", predicateType: registrationType, predicate: registrationShape });
