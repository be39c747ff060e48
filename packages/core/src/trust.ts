import * as z from "zod";
import { assurances, attestationFormats, custodyClasses } from "./attestation.ts";
import { CountersignError } from "./errors/error.ts";
import { parseJson } from "./json.ts";
import { address, hex32, name, network } from "./shapes.ts";

/** An attestation root that is believed, and what is asked of documents under it. */
const hardwareShape = z.strictObject({
  format: z.enum(attestationFormats),
  /** SHA-256 of the root: its certificate's DER; for AMD its SubjectPublicKeyInfo; for tokens the issuer's key set. */
  root: hex32,
  /** What the root stands for. `simulated` is for development trust alone. */
  assurance: z.enum(assurances),
  /** Accepted measurements, by `measurementId`. Empty accepts nothing. */
  measurements: z.array(hex32).max(1024),
  /** Measurements that were accepted once. */
  revoked: z.array(hex32).max(1024),
  /** TCB statuses and advisories that are accepted besides `UpToDate`; floors by the vendor's name of the component. */
  tcb: z.strictObject({
    statuses: z.array(z.string().max(64)).max(16),
    advisories: z.array(z.string().max(64)).max(256),
    floors: z.record(name, z.number().int().min(0)),
  }),
  /** Where a machine may stand. Empty accepts nothing. */
  custody: z.array(z.enum(custodyClasses)).max(4),
  /** Whether a measurement must stand in the log with a build that anybody can repeat. */
  provenance: z.boolean(),
});
export type TrustedHardware = z.infer<typeof hardwareShape>;

const namedKey = z.strictObject({ name, key: hex32 });

/** Whom a verifier believes: a value, never something picked up on the way (spec/claims.md §6). */
export const trustShape = z.strictObject({
  format: z.literal("countersign/trust/v1"),
  /** What people call it. */
  name: z.string().min(1).max(128),
  /** Whether anything in it is a stand-in: then every claim it grounds is `development` and needs to be allowed by name. */
  development: z.boolean(),
  network,
  /** Keys whose registrations of nodes and gateways are believed. */
  registrars: z.array(namedKey).max(64),
  /** Node and gateway keys believed without a registration. */
  nodes: z.array(namedKey).max(1024),
  gateways: z.array(namedKey).max(1024),
  /** Verifier keys of logs (C2SP signed-note form). */
  logs: z.array(z.string().max(512)).max(16),
  /** Which cosignatures a checkpoint needs: C2SP tlog-policy text. */
  witnesses: z.string().max(65_536),
  /** Monitors whose snapshots are believed, and how many of them must sign. */
  monitors: z.strictObject({ quorum: z.number().int().min(1).max(64), keys: z.array(namedKey).max(64) }),
  /** How old a snapshot may be for a verdict to be final, in seconds. */
  snapshotMaxAge: z.number().int().min(1),
  /** Publishers of model manifests. */
  publishers: z.array(namedKey).max(1024),
  /** Auditors and how many must agree. */
  auditors: z.strictObject({ quorum: z.number().int().min(1).max(64), keys: z.array(namedKey).max(64) }),
  /** Accepted attestation roots and measurements, by format; read by the hardware checker. */
  hardware: z.array(hardwareShape).max(64),
  /** Accepted proof systems, by format; read by the proof checker. */
  proof: z.array(z.strictObject({ format: name, parameters: z.string().max(512) })).max(64),
  /** Contracts by role: token, anchors, settlement. */
  contracts: z.partialRecord(z.enum(["token", "anchors", "settlement"]), address),
});
export type Trust = z.infer<typeof trustShape>;

/** Nobody: what is used when no trust file is named. Every claim stays unproven, with TRUST_MISSING as the reason. */
export const noTrust: Trust = {
  format: "countersign/trust/v1",
  name: "nobody",
  development: false,
  network: "eip155:1",
  registrars: [],
  nodes: [],
  gateways: [],
  logs: [],
  witnesses: "",
  monitors: { quorum: 1, keys: [] },
  snapshotMaxAge: 600,
  publishers: [],
  auditors: { quorum: 2, keys: [] },
  hardware: [],
  proof: [],
  contracts: {},
};

/** Reads a trust file. @throws TRUST_MALFORMED with the place at fault */
export function parseTrust(input: unknown): Trust {
  try {
    const trust = trustShape.parse(typeof input === "string" ? parseJson(input) : input);
    const simulated = trust.hardware.some((h) => h.assurance === "simulated");
    if (!simulated || trust.development) return trust;
    throw new CountersignError("TRUST_MALFORMED", {
      message: "The trust names a simulated enclave's root and does not say that it is for development.",
    });
  } catch (cause) {
    if (CountersignError.is(cause, "TRUST_MALFORMED")) throw cause;
    throw new CountersignError("TRUST_MALFORMED", {
      message: "This is not a countersign/trust/v1 file.",
      why: cause instanceof z.ZodError ? z.prettifyError(cause).split("\n").slice(0, 4).join(" ") : undefined,
      cause,
    });
  }
}
