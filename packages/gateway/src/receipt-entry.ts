import {
  type Assurance,
  bucket,
  type Entry,
  type EntryFlag,
  type Envelope,
  envelopeDigest,
  fromHex,
  type Hex,
  levelBits,
  maskOf,
  masksOf,
  originBit,
  parsePolicy,
  type Statement,
  taggedHash,
  toHex,
  type Usage,
  utf8,
  ways,
} from "@countersign/core";
import { flagOf } from "./plain-entry.ts";

/** Blinded id of a deployment: counts of one deployment add up in public, its name needs the node's key and a guess. */
export const blindDeployment = (node: Hex, id: string): Hex =>
  toHex(taggedHash("countersign/deployment-id/v1", fromHex(node), utf8(id)));

/** The public entry of a run: levels, buckets and digests; nothing that a prompt or an answer could be guessed from. */
export function receiptEntry(args: {
  readonly receiptRoot: Hex;
  readonly envelope: Envelope;
  readonly statement: Statement;
  readonly usage: Usage;
  /** In the asset's smallest unit. */
  readonly price: string;
  /** Whether the own check found the operator's part missing. */
  readonly unmet: boolean;
  /** What the attached attestation shows under the gateway's own trust, or null. */
  readonly hardware: Assurance | null;
}): Entry {
  const { statement } = args;
  const flags: EntryFlag[] = [];
  if (statement.labels.includes("synthetic")) flags.push("synthetic");
  if (statement.labels.includes("development")) flags.push("development");
  if (statement.outcome === "aborted") flags.push("aborted");
  if (statement.scope === "origin") flags.push("origin");
  if (args.unmet) flags.push("unmet");
  const hardware = args.unmet ? null : args.hardware;
  if (hardware) flags.push(flagOf[hardware]);
  // The first way of the guarantee: an offer buys one guarantee, and monitors recount it from the statement.
  const bought = maskOf(ways(parsePolicy(statement.policy.bought))[0] ?? []);
  const signed = args.unmet ? 0 : levelBits.signature | (statement.scope === "origin" ? originBit : 0);
  return {
    kind: "receipt",
    flags,
    subject: args.receiptRoot,
    envelope: envelopeDigest(args.envelope),
    issuer: statement.issuer,
    model: statement.model.digest,
    tag: statement.requestTag,
    deployment: blindDeployment(statement.issuer, statement.deployment.id),
    demanded: masksOf(parsePolicy(statement.policy.demanded)),
    bought,
    delivered: signed | (hardware ? levelBits.hardware : 0),
    tokens: bucket(args.usage.total_tokens),
    value: bucket(BigInt(args.price)),
    hour: Math.floor(statement.issuedAt / 3_600_000),
  };
}
