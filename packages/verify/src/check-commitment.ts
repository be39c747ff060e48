import {
  type Check,
  CountersignError,
  canonicalBytes,
  equalBytes,
  fromHexList,
  type Hex,
  modelLeafShape,
  type Offer,
  type Opened,
  offerLeafShape,
  parseCanonical,
  type Receipt,
  requestTag,
  rootsOf,
  type Statement,
  toHex,
} from "@countersign/core";
import { demandOf } from "./compare.ts";
import { notRun, ran } from "./findings.ts";

const bytesOf = (opened: Opened, field: "policy" | "offer" | "model" | "clientNonce"): Uint8Array | undefined => {
  const value = opened.fields.get(field);
  return value?.kind === "bytes" ? value.bytes : undefined;
};

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
    const bytes = bytesOf(opened, field);
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
  const nonce = bytesOf(opened, "clientNonce");
  const leaf = bytesOf(opened, "offer");
  if (!nonce || !leaf) return notRun(id, title, "The nonce or the offer is closed.");
  const { data } = offerLeafShape.safeParse(parseCanonical(leaf));
  const holds = data !== undefined && toHex(requestTag(nonce, data.offer)) === statement.requestTag;
  return ran(id, title, holds, holds ? "They agree." : "The tag is of another request.", "STATEMENT_ROOT_MISMATCH");
}

/** Whether the run is what the accepted offer promised: same request, node, model, deployment, guarantee (R2, O1). */
export function checkOffer(
  statement: Statement,
  offer: Offer | CountersignError | undefined,
  gatewayKnown: boolean,
): Check[] {
  const title = "The run is the one that was offered and bought";
  if (offer === undefined) return [notRun("offer.kept", title, "The offer is not attached.")];
  // A wrong offer pinned to the container counts as absent: it must not defeat a sound receipt.
  if (CountersignError.is(offer)) {
    return [
      ran("offer.attached", "The attached offer is the accepted one", false, offer.detail.message, offer.code),
      notRun("offer.kept", title, "The accepted offer is not attached."),
    ];
  }
  const faults = [
    offer.requestDigest !== statement.requestDigest && "another request",
    offer.network !== statement.network && "another network",
    offer.node !== statement.issuer && "another node",
    (offer.model.digest !== statement.model.digest || offer.model.id !== statement.model.id) && "another model",
    (offer.deployment.id !== statement.deployment.id || offer.deployment.version !== statement.deployment.version) &&
      "another deployment",
    offer.release !== statement.policy.release && "another release rule",
  ].filter((f) => f !== false);
  const weaker = offer.guarantee !== statement.policy.bought;
  return [
    ran(
      "offer.gateway",
      "Somebody in the trust stands behind the gateway that made the offer",
      gatewayKnown,
      gatewayKnown ? "Known." : "Nobody in the trust stands behind the gateway's key.",
      "TRUST_MISSING",
    ),
    ran(
      "offer.kept",
      title,
      faults.length === 0,
      faults.length === 0 ? "They agree." : `The offer was for ${faults.join(", ")}.`,
      "DEPLOYMENT_SUBSTITUTED",
    ),
    ran(
      "offer.guarantee",
      "The guarantee that was bought is the one the receipt names",
      !weaker,
      weaker ? `Offered and paid: ${offer.guarantee}. In the receipt: ${statement.policy.bought}.` : offer.guarantee,
      "LEVEL_OVERSTATED",
    ),
  ];
}
