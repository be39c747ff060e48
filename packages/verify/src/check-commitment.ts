import {
  type Check,
  canonicalBytes,
  equalBytes,
  fromHexList,
  type Hex,
  modelLeafShape,
  type Opened,
  offerLeafShape,
  openedBytes,
  parseCanonical,
  type Receipt,
  requestTag,
  rootsOf,
  type Statement,
  toHex,
} from "@countersign/core";
import { demandOf } from "./compare.ts";
import { notRun, ran } from "./findings.ts";
import { readLeaf } from "./read-leaf.ts";

/** Whether the sixteen leaves hash to the root that was signed. Without it nothing else means anything. */
export function checkRoot(receipt: Receipt, subject: Hex): Check {
  const { receiptRoot } = rootsOf(fromHexList(receipt.leaves));
  return ran(
    "commitment.root",
    "The committed fields hash to the signed root",
    receiptRoot === subject,
    `Recomputed ${receiptRoot.slice(0, 16)}…, signed ${subject.slice(0, 16)}….`,
    "STATEMENT_ROOT_MISMATCH",
  );
}

/** Whether the opened leaves say what the statement says in clear. */
export function checkClearCopies(statement: Statement, opened: Opened): Check[] {
  const compare = (
    id: string,
    title: string,
    field: "policy" | "model",
    agrees: (bytes: Uint8Array) => boolean,
  ): Check => {
    const bytes = openedBytes(opened, field);
    if (!bytes) return notRun(id, title, `The field ${field} is closed.`);
    let holds = false;
    try {
      holds = agrees(bytes);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return ran(id, title, false, `The field ${field} cannot be read.`, "STATEMENT_MALFORMED");
    }
    return ran(id, title, holds, holds ? "They agree." : "They contradict each other.", "STATEMENT_ROOT_MISMATCH");
  };
  return [
    compare("leaf.policy", "The committed policy is the stated one", "policy", (bytes) =>
      equalBytes(bytes, canonicalBytes(demandOf(statement))),
    ),
    compare("leaf.model", "The committed model is the stated one", "model", (bytes) => {
      const leaf = modelLeafShape.parse(parseCanonical(bytes));
      return (
        leaf.manifest === statement.model.digest &&
        leaf.deployment.id === statement.deployment.id &&
        leaf.deployment.version === statement.deployment.version &&
        (statement.scope === "origin" || leaf.served === null)
      );
    }),
    checkTag(statement, opened),
  ];
}

/** Whether the request tag is that of the committed nonce and offer: one request, one receipt (A4). */
function checkTag(statement: Statement, opened: Opened): Check {
  const id = "leaf.tag";
  const title = "The public request tag is that of this nonce and offer";
  const nonce = openedBytes(opened, "clientNonce");
  const leaf = openedBytes(opened, "offer");
  if (!nonce || !leaf) return notRun(id, title, "The nonce or the offer is closed.");
  const data = readLeaf(offerLeafShape, opened, "offer");
  const holds = data !== undefined && toHex(requestTag(nonce, data.offer)) === statement.requestTag;
  return ran(id, title, holds, holds ? "They agree." : "The tag is of another request.", "STATEMENT_ROOT_MISMATCH");
}
