import {
  type Authorization,
  authorizationDigest,
  CountersignError,
  domainSeparator,
  type Envelope,
  type Hex,
  isObject,
  type JsonObject,
  type Offer,
  offerDigest,
  paymentNonce,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";
import type { Hold } from "./budget.ts";
import { checkOffer } from "./offer-check.ts";
import type { PaymentOption, PaymentRequired } from "./payment-required.ts";
import type { SignedPayment } from "./receipt-store.ts";
import type { Prepared } from "./request.ts";
import type { Settings } from "./settings.ts";
import { signAuthorization, type Wallet } from "./wallet.ts";

/** An accepted offer and the payment that was signed for it. */
export type Accepted = {
  readonly offer: Offer;
  readonly offerDigest: Hex;
  readonly envelope: Envelope;
  readonly payment: SignedPayment;
  /** EIP-712 digest that was signed. */
  readonly paymentDigest: Hex;
  /** Value of PAYMENT-SIGNATURE. */
  readonly header: string;
  readonly hold: Hold;
};

/** The first way to pay that passes every check; when none does, why the first did not. */
async function chooseOffer(settings: Settings, required: PaymentRequired, prepared: Prepared) {
  let first: unknown;
  for (const option of required.options) {
    try {
      return { option, offer: await checkOffer(settings, option, prepared) };
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      first ??= error;
    }
  }
  throw first;
}

/**
 * Signs an EIP-3009 authorisation whose nonce commits to offer and request, and writes the x402 header.
 *
 * @throws SIGNATURE_NOT_CANONICAL, PAYER_MISMATCH
 */
export async function signPayment(args: {
  readonly wallet: Wallet;
  readonly option: Pick<PaymentOption, "requirements" | "raw">;
  readonly raw: JsonObject;
  readonly offerDigest: Hex;
  readonly requestDigest: Hex;
  readonly validBefore: number;
  readonly salt: Hex;
}): Promise<{ readonly header: string; readonly payment: SignedPayment; readonly paymentDigest: Hex }> {
  const { network, asset, payTo, amount, extra } = args.option.requirements;
  const authorization: Authorization = {
    from: args.wallet.address.toLowerCase(),
    to: payTo,
    value: amount,
    validAfter: 0,
    validBefore: args.validBefore,
    nonce: paymentNonce(args.offerDigest, args.requestDigest, args.salt),
  };
  const domain = {
    name: extra.name,
    version: extra.version,
    chainId: Number(network.slice("eip155:".length)),
    verifyingContract: asset,
  };
  const signature = await signAuthorization(args.wallet, authorization, domain);
  const { resource, extensions } = args.raw;
  const ours = isObject(extensions) && isObject(extensions.countersign) ? extensions.countersign : {};
  const payload = {
    x402Version: 2,
    ...(resource === undefined ? {} : { resource }),
    accepted: args.option.raw,
    payload: {
      signature: `0x${signature}`,
      authorization: {
        ...authorization,
        validAfter: String(authorization.validAfter),
        validBefore: String(authorization.validBefore),
        nonce: `0x${authorization.nonce}`,
      },
    },
    extensions: { countersign: { ...ours, info: { ...(isObject(ours.info) ? ours.info : {}), salt: args.salt } } },
  };
  return {
    header: toBase64(utf8(JSON.stringify(payload))),
    payment: {
      network,
      asset,
      from: authorization.from,
      amount,
      nonce: authorization.nonce,
      validBefore: args.validBefore,
    },
    paymentDigest: toHex(authorizationDigest(authorization, domainSeparator(domain))),
  };
}

/**
 * Answers a 402: checks its offers, sets the amount aside, signs.
 *
 * @throws WALLET_MISSING, SPEND_CAP_EXCEEDED and what `checkOffer` throws; in every case nothing was signed
 */
export async function pay(settings: Settings, required: PaymentRequired, prepared: Prepared): Promise<Accepted> {
  const { option, offer } = await chooseOffer(settings, required, prepared);
  const { wallet } = settings;
  if (!wallet) {
    throw new CountersignError("WALLET_MISSING", {
      message: `The request costs ${offer.amount} of ${offer.asset} on ${offer.network}, and the client has no wallet.`,
      remedy: "Give `wallet` and `budget`, or ask for a free deployment.",
    });
  }
  const hold = settings.ledger.reserve(offer.amount);
  const digest = offerDigest(offer);
  try {
    const signed = await signPayment({
      wallet,
      option,
      raw: required.raw,
      offerDigest: digest,
      requestDigest: prepared.requestDigest,
      validBefore: offer.validBefore,
      salt: toHex(settings.random(32)),
    });
    return { offer, offerDigest: digest, envelope: option.envelope, hold, ...signed };
  } catch (error) {
    hold.release();
    throw error;
  }
}
