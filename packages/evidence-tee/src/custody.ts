import {
  CountersignError,
  type Custody,
  isSignedBy,
  type Registration,
  readRegistration,
  type TrustedHardware,
} from "@countersign/core";
import { fault } from "./attestation.ts";
import type { AttestationArgs, Step } from "./check-attestation.ts";

const factValue = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Where the machine stands, by the word of a registrar in the trust. A document never says.
 *
 * Registrations are stapled to an unsigned container, in an order that anybody chooses. So each one in force is looked
 * at: an older word of less worth, put in front, must not take away from the one that is accepted.
 *
 * @param key The keyset's `receipt` key.
 */
export function requireCustody(
  args: AttestationArgs,
  key: string | undefined,
  { custody: accepted }: TrustedHardware,
): Step<{ readonly custody: Custody; readonly operator?: string }> {
  const inForce = args.registrations.flatMap((envelope) => registrationIn(envelope, args, key) ?? []);
  const custodyOf = (r: Registration | undefined): Custody => r?.attested?.custody ?? "unknown";
  const registration = inForce.find((r) => accepted.includes(custodyOf(r))) ?? inForce[0];
  const custody = custodyOf(registration);
  if (!accepted.includes(custody)) {
    const wanted = accepted.join(", ") || "none at all";
    fault("TEE_CUSTODY_NOT_ALLOWED", `Its custody is ${custody}; the trust accepts ${wanted}.`);
  }
  const operator = registration?.operator;
  return {
    detail: registration
      ? `${custody}, by the word of a registrar (${registration.attested?.custodyGround}).`
      : custody,
    value: { custody, ...(operator !== undefined && factValue.test(operator) && { operator }) },
  };
}

/** The registration in an envelope, if a registrar in the trust gives it to this key for this time. */
function registrationIn(
  envelope: unknown,
  { trust, at, suite }: AttestationArgs,
  key: string | undefined,
): Registration | undefined {
  try {
    const { predicate, envelope: read } = readRegistration(envelope);
    const holds =
      predicate.key === key &&
      predicate.role === "node" &&
      predicate.attested !== undefined &&
      predicate.network === trust.network &&
      predicate.notBefore <= at &&
      at <= predicate.notAfter &&
      trust.registrars.some((r) => r.key === predicate.registrar) &&
      isSignedBy(read, predicate.registrar, suite);
    return holds ? predicate : undefined;
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return undefined;
  }
}
