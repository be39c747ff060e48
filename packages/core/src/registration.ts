import * as z from "zod";
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
