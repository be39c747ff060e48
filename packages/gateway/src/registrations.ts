import {
  CountersignError,
  fromBase64,
  fromHex,
  type Hex,
  isSignedBy,
  keyFor,
  type Measurement,
  measurementId,
  readMeasurement,
  readRegistration,
  sha256Hex,
  toBase64Url,
} from "@countersign/core";
import { checkAttestation } from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";
import * as z from "zod";
import type { Deps } from "./deps.ts";
import { encodePlainEntry } from "./plain-entry.ts";

type Parts = Pick<Deps, "trust" | "suite" | "now" | "log" | "limits" | "attestations">;

const registrationBody = z.strictObject({ registration: z.looseObject({}), attestation: z.string().max(16 << 20) });
const measurementBody = z.strictObject({ statement: z.looseObject({}) });

function read<T>(shape: z.ZodType<T>, body: unknown): T {
  const parsed = shape.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new CountersignError("REQUEST_MALFORMED", {
    message: "The body is not of this endpoint's form.",
    why: z.prettifyError(parsed.error).split("\n").slice(0, 3).join(" "),
  });
}

const refuse = (message: string): never => {
  throw new CountersignError("NOT_AUTHORISED", { message });
};

/**
 * Takes the registration of an attested keyset: checks the document and the registrar's word about it, keeps the document
 * and logs both. Nobody needs to be known for this: only a trusted registrar's signature counts.
 *
 * @throws REQUEST_MALFORMED, NOT_AUTHORISED, TEE_*
 */
export async function takeRegistration(
  deps: Parts,
  body: unknown,
): Promise<{ readonly index: number; readonly attestation: Hex; readonly keyset: Hex }> {
  const { registration, attestation } = read(registrationBody, body);
  const { predicate, envelope } = readRegistration(registration);
  const { trust, suite } = deps;
  const known = trust.registrars.some((r) => r.key === predicate.registrar);
  if (!known || !isSignedBy(envelope, predicate.registrar, suite) || predicate.network !== trust.network)
    refuse("The registration is not signed by a registrar of this gateway's trust, for its network.");
  const bytes = fromBase64(attestation);
  const { attested } = predicate;
  // Registrations are public: with somebody else's, nobody may make this gateway check documents of his own.
  if (attested?.attestation !== sha256Hex(bytes)) refuse("The registration is about another document.");
  const { outcome } = checkAttestation({
    attestation: bytes,
    registrations: [envelope],
    trust,
    at: deps.now(),
    nonce: nonceOf(bytes),
    suite,
    allowDevelopment: trust.development,
    inLog: (entry, proof) => lookUp(entry, proof, trust, deps.now(), suite),
  });
  if (outcome.status === "refused") throw new CountersignError(outcome.code, { message: outcome.reason });
  if (attested?.keyset !== outcome.keysetDigest || keyFor(outcome.keyset, "receipt") !== predicate.key)
    refuse("The registration is about another keyset or another key.");
  const digest = await deps.attestations.put(bytes);
  const { index } = await deps.log.append(
    encodePlainEntry(
      {
        kind: "node",
        subject: sha256Hex(fromHex(predicate.key)),
        issuer: predicate.registrar,
        hardware: outcome.assurance,
      },
      envelope,
      trust.development,
    ),
  );
  return { index, attestation: digest, keyset: outcome.keysetDigest };
}

/** The nonce that stands in the document: a registrar drew it; here only the document's age is judged. */
function nonceOf(bytes: Uint8Array): Hex | null {
  try {
    const { nonce } = JSON.parse(new TextDecoder().decode(bytes)) as { readonly nonce?: unknown };
    return typeof nonce === "string" ? nonce : null;
  } catch {
    return null;
  }
}

/**
 * Logs a publisher's measurement record and gives its place with a proof, once the witnesses have seen it.
 *
 * @throws REQUEST_MALFORMED, NOT_AUTHORISED, CHECKPOINT_NOT_WITNESSED
 */
export async function takeMeasurement(
  deps: Parts,
  body: unknown,
): Promise<{ readonly index: number; readonly entry: string; readonly proof: string; readonly measurement: Hex }> {
  const { statement } = read(measurementBody, body);
  const { predicate, subject, envelope } = readMeasurement(statement);
  const measurement: Measurement = predicate;
  const { trust, suite } = deps;
  const known = trust.publishers.some((p) => p.key === measurement.publisher);
  if (!known || !isSignedBy(envelope, measurement.publisher, suite) || measurement.network !== trust.network)
    refuse("The record is not signed by a publisher of this gateway's trust, for its network.");
  // The log finds records by the name of the measurement: it must be that of the registers that people read.
  if (subject !== measurementId(measurement.format, measurement.registers))
    refuse("The record names another measurement than its registers give.");
  const entry = encodePlainEntry(
    { kind: "measurement", subject, issuer: measurement.publisher },
    envelope,
    trust.development,
  );
  const { index } = await deps.log.append(entry);
  await deps.log.witnessed(index, entry, deps.limits.witnessMs);
  const proof = await deps.log.prove(index);
  if (proof === undefined)
    throw new CountersignError("INCLUSION_MISSING", { message: "No published checkpoint covers the record yet." });
  return { index, entry: toBase64Url(entry), proof, measurement: subject };
}
