import {
  CountersignError,
  type ErrorCode,
  type Offer,
  parsePolicy,
  printPolicy,
  readOffer,
  releases,
} from "@countersign/core";
import { requireGatewayKey } from "./gateway-keys.ts";
import { implies } from "./implication.ts";
import type { PaymentOption } from "./payment-required.ts";
import type { Prepared } from "./request.ts";
import { longestDeadline, type Settings } from "./settings.ts";

const refuse = (code: ErrorCode, message: string, why: string, remedy?: string): never => {
  throw new CountersignError(code, { message: `${message} Nothing was signed.`, why, remedy });
};

/** What a 402 asks beside what the signed offer says: they must agree, since only the offer is signed. */
function requireAgreement({ requirements: asked }: PaymentOption, offer: Offer): void {
  for (const name of ["network", "asset", "payTo", "amount"] as const) {
    if (asked[name] !== offer[name]) {
      refuse(
        "PAYMENT_MISMATCH",
        "The 402 and its signed offer differ.",
        `${name}: ${asked[name]} against ${offer[name]}.`,
      );
    }
  }
}

/** That the offer sells at least what was demanded, for this request. */
function requireGuarantee(offer: Offer, prepared: Prepared): void {
  const { demand } = prepared;
  if (offer.requestDigest !== prepared.requestDigest) {
    refuse(
      "REQUEST_MISMATCH",
      "The offer is for another request.",
      "Request, policy and nonce hash to another digest.",
    );
  }
  if (!implies(parsePolicy(offer.guarantee), demand.policy)) {
    refuse(
      "ASSURANCE_NOT_OFFERED",
      "The offer guarantees less than was demanded.",
      `It guarantees ${offer.guarantee}; demanded is ${printPolicy(demand.policy)}.`,
    );
  }
  if (releases.indexOf(offer.release) > releases.indexOf(demand.release)) {
    refuse(
      "ASSURANCE_NOT_OFFERED",
      "The offer releases content earlier than was demanded.",
      `${offer.release}, not ${demand.release}.`,
    );
  }
  if (demand.deadline !== null && offer.deadline !== null && offer.deadline > demand.deadline) {
    refuse(
      "ASSURANCE_NOT_OFFERED",
      "The offer's deadline for late evidence is later than was demanded.",
      `${offer.deadline}, not ${demand.deadline}.`,
    );
  }
  // Exactly the name asked for: `mallory/pocket` is not `pocket`.
  if (offer.model.id !== prepared.model) {
    refuse("MODEL_MISMATCH", `The offer is for the model ${offer.model.id}.`, `Asked was ${prepared.model}.`);
  }
}

/** That a sealed request is paid to the enclave that it is sealed to, and for a model that was measured into it. */
function requireAttested(offer: Offer, { sealed }: Prepared): void {
  if (!sealed) return;
  const { receiptKey, keyset } = sealed.keys;
  if (offer.node !== receiptKey) {
    refuse(
      "TEE_KEY_NOT_BOUND",
      "The offer is for another node than the enclave to which the request is sealed.",
      `${offer.node}, not ${receiptKey}.`,
    );
  }
  if (keyset.scope === "inference" && !keyset.models.includes(offer.model.digest)) {
    refuse(
      "TEE_MODEL_NOT_MEASURED",
      "The offered model is not among those that were measured into the enclave.",
      `${offer.model.digest} is not in its keyset.`,
    );
  }
}

/** That the payment cannot cost more, elsewhere or longer than the caller allowed. */
function requireBounds(settings: Settings, option: PaymentOption, offer: Offer): void {
  const { trust, budget } = settings;
  const second = Math.floor(settings.now() / 1000);
  if (offer.network !== trust.network) {
    refuse(
      "CHAIN_MISMATCH",
      "The offer is to be paid on another chain than the trust names.",
      `${offer.network}, not ${trust.network}.`,
    );
  }
  const asset = budget?.asset?.toLowerCase() ?? trust.contracts.token;
  if (offer.asset !== asset) {
    refuse(
      "PAYMENT_MISMATCH",
      "The offer asks for a token that is not allowed.",
      `${offer.asset}, not ${asset ?? "any"}.`,
      "Name the token in `budget.asset` if it is the right one.",
    );
  }
  const longest = budget?.maxDeadlineSeconds ?? longestDeadline;
  const lives = Math.max(offer.validBefore - second, option.requirements.maxTimeoutSeconds);
  if (lives > longest) {
    refuse(
      "DEADLINE_TOO_FAR",
      "The offer asks for an authorisation that lives too long.",
      `It would live ${lives} seconds; allowed are ${longest}. Until it expires it can be charged, whatever came of the answer.`,
    );
  }
  if (offer.expires < second || offer.validBefore <= second) {
    refuse(
      "OFFER_EXPIRED",
      "The offer has expired.",
      `It was good until ${Math.min(offer.expires, offer.validBefore)}; now is ${second}.`,
      "Ask again; check the clock.",
    );
  }
}

/**
 * Checks one way to pay before anything is signed (protocol-review A10, A12; silent failures O5, P6).
 *
 * @throws OFFER_SIGNATURE_INVALID, OFFER_EXPIRED, REQUEST_MISMATCH, ASSURANCE_NOT_OFFERED, MODEL_MISMATCH,
 * PAYMENT_MISMATCH, CHAIN_MISMATCH, DEADLINE_TOO_FAR, TEE_KEY_NOT_BOUND, TEE_MODEL_NOT_MEASURED
 */
export async function checkOffer(settings: Settings, option: PaymentOption, prepared: Prepared): Promise<Offer> {
  const offer = readOffer(option.envelope, settings.suite);
  await requireGatewayKey(settings, offer.gateway);
  requireAgreement(option, offer);
  requireGuarantee(offer, prepared);
  requireAttested(offer, prepared);
  requireBounds(settings, option, offer);
  return offer;
}
