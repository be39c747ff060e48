import { type Commitment, type Envelope, type Signer, type Statement, signRun } from "@countersign/core";

/** Signs a run's statement over its commitment: the evidence kind `signature` is the statement's own envelope. */
export function makeSignature(commitment: Pick<Commitment, "roots">, statement: Statement, node: Signer): Envelope {
  return signRun(commitment.roots.receiptRoot, statement, node);
}
