import * as z from "zod";
import type { Hex } from "./bytes.ts";
import { toHex } from "./bytes.ts";
import { canonicalBytes } from "./canonical.ts";
import { type Envelope, readStatement, signStatement } from "./envelope.ts";
import { taggedHash } from "./hash.ts";
import { amount, hex32, name, network } from "./shapes.ts";
import type { Signer } from "./signature.ts";

export const deploymentType = "urn:countersign:deployment:v1";

/** Jobs that a deployment does; the endpoints that serve it follow from them. */
export const tasks = ["chat", "completion", "responses", "embedding", "tensors"] as const;
export type Task = (typeof tasks)[number];

/** One model as one node serves it; versions chain, so that a change shows (spec/receipt.md §10). */
export const deploymentShape = z.strictObject({
  suite: z.literal("countersign/deployment/v1"),
  network,
  node: hex32,
  id: name,
  /** Counts up by one with every change. */
  version: z.number().int().min(1),
  /** Digest of the version before, or null for the first. */
  previous: hex32.nullable(),
  model: z.strictObject({ id: name, digest: hex32 }),
  scope: z.enum(["inference", "origin"]),
  tasks: z.array(z.enum(tasks)).min(1),
  /** What it can deliver, each a canonical policy text; an offer guarantees one of them. */
  guarantees: z.array(z.string().min(1).max(2048)).min(1).max(16),
  /** Price in the asset's smallest unit: `base + perInputKiB · ⌈bytes/1024⌉ + perOutputToken · max_tokens`. */
  price: z.strictObject({ base: amount, perInputKiB: amount, perOutputToken: amount }),
  /** Tokens of context and the most it gives out, or null where the task has no tokens. */
  limits: z.strictObject({
    context: z.number().int().min(1).nullable(),
    maxOutput: z.number().int().min(1).nullable(),
  }),
  /** Digest of the registered system prompt that it injects, or null when it injects none. */
  promptVersion: hex32.nullable(),
  rewrites: z.array(z.string().max(64)).max(32),
  labels: z.array(z.enum(["development", "synthetic"])).max(2),
});
export type Deployment = z.infer<typeof deploymentShape>;

export function deploymentDigest(deployment: Deployment): Hex {
  return toHex(taggedHash("countersign/deployment/v1", canonicalBytes(deployment)));
}

export const signDeployment = (deployment: Deployment, node: Signer): Envelope =>
  signStatement(
    { name: "deployment", subject: deploymentDigest(deployment), predicateType: deploymentType, predicate: deployment },
    node,
  );

/** Reads a deployment; checks its form, not its signature. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED */
export const readDeployment = (envelope: unknown) =>
  readStatement(envelope, { name: "deployment", predicateType: deploymentType, predicate: deploymentShape });
