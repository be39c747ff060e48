import {
  type Check,
  CountersignError,
  type Delivery,
  type Hex,
  isSignedBy,
  type Offer,
  type Opened,
  offerDigest,
  offerLeafShape,
  type Receipt,
  readDelivery,
  readOffer,
  type Statement,
  type Suite,
  type Trust,
} from "@countersign/core";
import { standingOfKey } from "@countersign/evidence-signature";
import { notRun, ran } from "./findings.ts";
import { readLeaf } from "./read-leaf.ts";

/** Milliseconds by which two honest clocks may differ. */
export const skew = 300_000;
/** Milliseconds that a run may go on after its offer expired. */
const longestRun = 3_600_000;

/** The accepted offer: signed by the gateway it names, and the one that the node committed to. Any other is an error and counts as absent. */
export function readAccepted(receipt: Receipt, opened: Opened, suite: Suite): Offer | CountersignError | undefined {
  if (!receipt.offer) return undefined;
  try {
    const offer = readOffer(receipt.offer, suite);
    if (readLeaf(offerLeafShape, opened, "offer")?.offer === offerDigest(offer)) return offer;
    return new CountersignError("OFFER_UNKNOWN", {
      message: "The attached offer is not the one that the receipt commits to.",
    });
  } catch (error) {
    if (CountersignError.is(error)) return error;
    throw error;
  }
}

/** What the gateway said: the offer it signed and its countersignature over this root. */
export type GatewaySide = {
  readonly checks: readonly Check[];
  /** The countersignature, when its key is known and it checks. */
  readonly delivery: Delivery | undefined;
  readonly key: Hex | undefined;
  /** Whether the accepted offer is attached: then the countersignature is by the gateway that made it. */
  readonly accepted: boolean;
  /** Whether somebody in the trust stands behind the gateway that made the offer. */
  readonly offerKnown: boolean;
};

/** Checks the gateway's side of a receipt (B8). */
export function checkGateway(args: {
  readonly receipt: Receipt;
  readonly receiptRoot: Hex;
  readonly statement: Statement;
  readonly opened: Opened;
  readonly offer: Offer | CountersignError | undefined;
  readonly trust: Trust;
  readonly at: number;
  readonly loggedAt: number | null;
  readonly suite: Suite;
}): GatewaySide {
  const { receipt, statement, offer, trust, suite } = args;
  const known = (key: Hex, time: number) =>
    standingOfKey({ key, role: "gateway", times: [time, args.loggedAt ?? args.at], keys: receipt.keys, trust, suite });
  const accepted = CountersignError.is(offer) ? undefined : offer;
  const offerKnown = accepted !== undefined && known(accepted.gateway, accepted.madeAt).status === "known";
  const { check, delivery, signer } = checkDelivery(args, accepted, known);
  return {
    delivery,
    accepted: accepted !== undefined,
    key: accepted?.gateway ?? delivery?.gateway ?? signer,
    offerKnown,
    checks: [...checkOffer(statement, offer, offerKnown), check],
  };
}

function checkDelivery(
  { receipt, receiptRoot, statement, opened, suite }: Parameters<typeof checkGateway>[0],
  accepted: Offer | undefined,
  known: (key: Hex, time: number) => ReturnType<typeof standingOfKey>,
): { readonly check: Check; readonly delivery?: Delivery; readonly signer?: Hex } {
  const title = "The gateway countersigned this root as delivered";
  const id = "delivery.countersigned";
  if (!receipt.delivery) return { check: notRun(id, title, "No countersignature is attached.") };
  try {
    const { subject, predicate } = readDelivery(receipt.delivery);
    const committed = readLeaf(offerLeafShape, opened, "offer")?.offer;
    const faults = [
      subject !== receiptRoot && "It is about another receipt.",
      !isSignedBy(receipt.delivery, predicate.gateway, suite) && "Its signature does not check.",
      predicate.network !== statement.network && "It is of another network.",
      (predicate.requestTag !== statement.requestTag || predicate.requestDigest !== statement.requestDigest) &&
        "It is about another request.",
      accepted && accepted.gateway !== predicate.gateway && "Another gateway made the offer.",
      committed !== undefined && committed !== predicate.offerDigest && "It is about another offer.",
    ].filter((f) => typeof f === "string");
    const standing = known(predicate.gateway, predicate.deliveredAt);
    if (faults[0]) return { check: ran(id, title, false, faults[0], "DOMAIN_MISMATCH") };
    if (standing.status === "unknown") {
      return { check: ran(id, title, false, standing.reason, "TRUST_MISSING"), signer: predicate.gateway };
    }
    return { check: ran(id, title, true, `By ${standing.operator}.`, "DOMAIN_MISMATCH"), delivery: predicate };
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return { check: ran(id, title, false, error.detail.message, error.code) };
  }
}

/** Whether the run is what the accepted offer promised: same request, node, model, deployment, guarantee (R2, O1). */
function checkOffer(statement: Statement, offer: Offer | CountersignError | undefined, gatewayKnown: boolean): Check[] {
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
    offer.deadline !== statement.policy.deadline && "another deadline",
    (statement.issuedAt < offer.madeAt - skew || statement.issuedAt > offer.expires * 1000 + longestRun) &&
      "another time",
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
