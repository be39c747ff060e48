import * as z from "zod";
import { attestationFormats, measurementId } from "./attestation.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { hex32, milliseconds, name, network, printableName } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const measurementType = "urn:countersign:measurement:v1";

/** A publisher's word for what stands behind a measurement: source, and how anybody builds the same image (spec/tee.md §6). */
export const measurementShape = z.strictObject({
  suite: z.literal("countersign/measurement/v1"),
  network,
  publisher: hex32,
  format: z.enum(attestationFormats),
  /** Register → value, lowercase hex; together they are the measurement. */
  registers: z.record(name, z.string().max(256)),
  title: printableName,
  /** Where the source is, and the digest of exactly that source tree. */
  source: z.strictObject({ url: z.string().max(512), commit: z.string().max(128), tree: hex32 }),
  /** The recipe that gives these registers again; null: nobody can reproduce it, and then it proves no provenance. */
  build: z.strictObject({ command: z.string().max(1024), recipe: hex32, environment: z.string().max(512) }).nullable(),
  revoked: z.boolean(),
  at: milliseconds,
});
export type Measurement = z.infer<typeof measurementShape>;

/** Signs a measurement record; its subject is the measurement's id. */
export const signMeasurement = (measurement: Measurement, publisher: Signer): Envelope =>
  signStatement(
    {
      name: "measurement",
      subject: measurementId(measurement.format, measurement.registers),
      predicateType: measurementType,
      predicate: measurement,
    },
    publisher,
  );

/** Reads a measurement record; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readMeasurement = (envelope: unknown) =>
  readStatement(envelope, { name: "measurement", predicateType: measurementType, predicate: measurementShape });
