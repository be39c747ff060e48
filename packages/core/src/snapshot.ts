import * as z from "zod";
import type { Hex } from "./bytes.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { hex32, milliseconds, name } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const snapshotType = "urn:countersign:snapshot:v1";
const size = z.number().int().min(0);
const set = z.strictObject({ size, root: hex32 });

/** A monitor's word for what the log held at one checkpoint: absence needs a witness (A2, spec/log.md §6). */
export const snapshotShape = z.strictObject({
  suite: z.literal("countersign/snapshot/v1"),
  monitor: hex32,
  origin: name,
  /** The checkpoint's tree. Its root hash is the statement's subject. */
  size,
  time: milliseconds,
  /** Receipt roots against which a refutation is logged. */
  refuted: set,
  /** Keys whose revocation is logged. */
  revoked: set,
  /** Receipt root → digest over its logged evidence, in log order. */
  evidence: set,
  /** Deployment id → its newest version. */
  deploymentHeads: set,
});
export type Snapshot = z.infer<typeof snapshotShape>;

export const signSnapshot = (root: Hex, snapshot: Snapshot, monitor: Signer): Envelope =>
  signStatement({ name: "checkpoint", subject: root, predicateType: snapshotType, predicate: snapshot }, monitor);

/** Reads a snapshot; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readSnapshot = (envelope: unknown) =>
  readStatement(envelope, { name: "checkpoint", predicateType: snapshotType, predicate: snapshotShape });
