import { CountersignError, type ErrorCode, type Hex, type Output, readRun, type Statement } from "@countersign/core";
import type { Served } from "./catalogue.ts";
import type { Order } from "./order.ts";
import { type Offered, tagOf } from "./quote.ts";
import type { Done } from "./receipt.ts";

/** A run whose statement is about this offer and this request. */
export type CheckedRun = { readonly statement: Statement; readonly receiptRoot: Hex };

/**
 * Compares what the node signed about a request in clear with what was offered.
 *
 * @throws what `checkStatement` throws
 */
export function checkRun(
  done: Done,
  outputs: readonly Output[],
  order: Order,
  offered: Offered,
  served: Served,
): CheckedRun {
  const run = checkStatement(done, order, offered, served);
  const refuse = (code: ErrorCode, message: string): never => {
    throw new CountersignError(code, { message, why: "The node's statement is not about what was offered and paid." });
  };
  if (run.statement.channel) refuse("REQUEST_MISMATCH", "The statement names a channel; the request came in clear.");
  if (outputs.length === 0) refuse("RUN_INCOMPLETE", "The run ended before a full answer was there.");
  return run;
}

/**
 * Compares what the node signed with what was offered: the node that answers is the one that was bought, with the model,
 * the deployment, the request and the rewrites of the offer.
 *
 * Signature, commitment and content are `verify`'s matter; this gives the exact code to a caller who gets nothing.
 *
 * @throws DEPLOYMENT_SUBSTITUTED, MODEL_MISMATCH, REQUEST_MISMATCH, LEVEL_OVERSTATED, REWRITE_UNDECLARED, RUN_INCOMPLETE
 */
export function checkStatement(done: Done, order: Order, offered: Offered, served: Served): CheckedRun {
  const { predicate: statement, subject } = readRun(done.statement);
  const { offer } = offered;
  const refuse = (code: ErrorCode, message: string): never => {
    throw new CountersignError(code, { message, why: "The node's statement is not about what was offered and paid." });
  };
  if (statement.issuer !== offer.node) refuse("DEPLOYMENT_SUBSTITUTED", "Another node signed than the offer names.");
  if (statement.model.id !== offer.model.id || statement.model.digest !== offer.model.digest) {
    refuse("MODEL_MISMATCH", `${statement.model.id} answered; the offer names ${offer.model.id}.`);
  }
  if (statement.deployment.id !== offer.deployment.id || statement.deployment.version !== offer.deployment.version) {
    refuse("DEPLOYMENT_SUBSTITUTED", "Another deployment, or another version of it, answered than the offer names.");
  }
  if (statement.scope !== served.deployment.scope) {
    refuse("LEVEL_OVERSTATED", "The statement's scope is not the deployment's.");
  }
  const asked: readonly boolean[] = [
    statement.network === offer.network,
    statement.endpoint === order.path,
    statement.requestDigest === offer.requestDigest,
    statement.requestTag === tagOf(offered),
    statement.nonceSource === offered.nonceSource,
  ];
  if (asked.includes(false)) refuse("REQUEST_MISMATCH", "The statement is about another request.");
  if (statement.policy.bought !== offer.guarantee || statement.policy.release !== offer.release) {
    refuse("LEVEL_OVERSTATED", "The statement names another guarantee than was bought.");
  }
  const undeclared = statement.rewrites.find((name) => !served.deployment.rewrites.includes(name));
  if (undeclared !== undefined) {
    refuse("REWRITE_UNDECLARED", `The node changed "${undeclared}", which its deployment does not declare.`);
  }
  if (statement.outcome !== "complete") {
    refuse("RUN_INCOMPLETE", "The run ended before a full answer was there.");
  }
  return { statement, receiptRoot: subject };
}
