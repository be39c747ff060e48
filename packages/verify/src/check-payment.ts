import {
  authorizationDigest,
  type Check,
  CountersignError,
  type Delivery,
  domainSeparator,
  type Finding,
  type Offer,
  type Opened,
  offerDigest,
  type Payment,
  parseCanonical,
  paymentNonce,
  paymentShape,
  recoverAddress,
  type Statement,
  toHex,
} from "@countersign/core";
import { find, notRun, ran } from "./findings.ts";

const id = "payment.bound";
const title = "The payer's authorisation is for this request at this price";

/** Whether the committed payment was signed by its payer, for this offer and this request. */
export function checkPayment(args: {
  readonly statement: Statement;
  readonly opened: Opened;
  readonly offer: Offer | undefined;
  /** The gateway's countersignature, when its key is known and it checks. */
  readonly delivery: Delivery | undefined;
  /** Whether the operator's word stands: only then is the committed payment anybody's. */
  readonly word: boolean;
  /** Whether somebody in the trust stands behind the gateway that made the offer. */
  readonly gatewayKnown: boolean;
  /** The token that the trust names, if it names one. */
  readonly token: string | undefined;
  readonly development: boolean;
}): { readonly check: Check; readonly finding: Finding } {
  const unproven = (reason: string, code?: "PAYMENT_NOT_BOUND") => ({
    check: notRun(id, title, reason, code),
    finding: find("payment", "signature", "unproven", reason, args.development),
  });
  const { offer, delivery } = args;
  if (!args.word) return unproven("The operator's word does not stand.");
  if (!args.gatewayKnown) return unproven("Nobody in the trust stands behind the gateway that made the offer.");
  if (!offer) return unproven("The accepted offer is not attached.");
  const leaf = args.opened.fields.get("payment");
  if (!leaf) return unproven("The payment is closed.");
  const proven = (reason: string, facts: Record<string, string>) => ({
    check: ran(id, title, true, reason, "PAYMENT_NOT_BOUND"),
    finding: find("payment", "signature", "proven", reason, args.development, { facts }),
  });
  if (leaf.kind === "absent") {
    if (delivery && delivery.paymentDigest !== null)
      return unproven("The gateway countersigned a payment that the receipt does not commit to.");
    return offer.amount === "0"
      ? proven("The deployment is free: nothing may be charged.", {})
      : unproven("No payment is committed for a priced offer.");
  }
  const fault = faultOf(leaf.kind === "bytes" ? leaf.bytes : new Uint8Array(), args, offer);
  if (typeof fault === "string") {
    return {
      check: ran(id, title, false, fault, "PAYMENT_MISMATCH"),
      finding: find("payment", "signature", "unproven", fault, args.development, { code: "PAYMENT_MISMATCH" }),
    };
  }
  if (fault.salt !== null) return proven(`${fault.authorization.from} signed for this request.`, {});
  if (delivery) return proven("The payer's nonce does not name the request; the gateway's word ties them.", {});
  return unproven("The payer's nonce does not name the request, and no known gateway ties them.", "PAYMENT_NOT_BOUND");
}

function faultOf(bytes: Uint8Array, args: Parameters<typeof checkPayment>[0], offer: Offer): Payment | string {
  const { statement, delivery } = args;
  let payment: Payment;
  try {
    payment = paymentShape.parse(parseCanonical(bytes));
  } catch {
    return "The committed payment cannot be read.";
  }
  const { authorization: a, token } = payment;
  const issued = Math.floor(statement.issuedAt / 1000);
  if (args.token !== undefined && token.address !== args.token)
    return "The payment is in another token than the trust names.";
  if (a.validAfter > issued || a.validBefore <= Math.floor(offer.madeAt / 1000))
    return "The authorisation was not in force when the answer was made.";
  if (payment.salt === null && delivery?.paymentBound)
    return "The gateway says that the nonce is bound, and its salt is missing.";
  if (payment.network !== statement.network || payment.network !== offer.network)
    return "The payment is on another network.";
  if (token.address !== offer.asset || a.to !== offer.payTo)
    return "The payment is in another asset or to another payee than offered.";
  if (a.value !== offer.amount || BigInt(payment.chargeable) > BigInt(offer.amount))
    return "The payment is not the price that was offered.";
  if (a.validBefore > offer.validBefore) return "The authorisation lives longer than offered.";
  const separator = domainSeparator({
    name: token.name,
    version: token.version,
    chainId: Number(payment.network.slice(7)),
    verifyingContract: token.address,
  });
  const digest = authorizationDigest(a, separator);
  if (delivery && delivery.paymentDigest !== toHex(digest)) return "The gateway countersigned another payment.";
  try {
    if (recoverAddress(digest, payment.signature) !== a.from) return "The authorisation is not signed by its payer.";
  } catch (error) {
    return CountersignError.is(error) ? error.detail.message : "The payer's signature cannot be read.";
  }
  if (payment.salt !== null && paymentNonce(offerDigest(offer), statement.requestDigest, payment.salt) !== a.nonce) {
    return "The payer's nonce was made for another offer or request.";
  }
  return payment;
}
