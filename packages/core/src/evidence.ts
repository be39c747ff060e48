import * as z from "zod";
import type { Hex } from "./bytes.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { hex32, milliseconds, name, network } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const evidenceType = "urn:countersign:evidence:v1";

/** Kinds of evidence. `signature` is the statement's own; the others arrive as items about a `receiptRoot`. */
export const evidenceKinds = ["signature", "reexecution", "tee", "zkml", "payment"] as const;
export type EvidenceKind = (typeof evidenceKinds)[number];

/** One separately signed item about a `receiptRoot`, its subject; may arrive late (spec/receipt.md §7). */
export const evidenceShape = z.strictObject({
  suite: z.literal("countersign/evidence/v1"),
  network,
  kind: z.enum(evidenceKinds),
  /** The format of the blob: one fixed set of algorithms. */
  format: name,
  issuer: hex32,
  /** Whether it speaks for or against the receipt; a refutation needs standing (spec/claims.md §4). */
  says: z.enum(["supports", "refutes"]),
  blob: z.strictObject({ digest: hex32, size: z.number().int().min(0), mediaType: z.string().max(128) }).nullable(),
  /** Where in the blob the receipt root, or the attested key that signed it, stands; a checker that can't find it says `unproven`. */
  binds: z.string().max(256),
  /** Facts small enough to need no blob, by name. */
  facts: z.record(name, z.string().max(1024)),
  /** The issuer's word for when; what counts is when it was logged. */
  producedAt: milliseconds,
});
export type Evidence = z.infer<typeof evidenceShape>;

export const signEvidence = (receiptRoot: Hex, evidence: Evidence, issuer: Signer): Envelope =>
  signStatement({ name: "receipt", subject: receiptRoot, predicateType: evidenceType, predicate: evidence }, issuer);

/** Reads an evidence item; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readEvidence = (envelope: unknown) =>
  readStatement(envelope, { name: "receipt", predicateType: evidenceType, predicate: evidenceShape });
