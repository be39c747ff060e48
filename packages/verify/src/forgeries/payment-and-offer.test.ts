// Forgeries of price, payment and offer.
import { authorizationDigest, domainSeparator, type Payment, signDelivery, toHex } from "@countersign/core";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { describe, expect, test } from "vitest";
import { judge, real, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { hexOf, keys, payerKey } from "../../../../test/fixtures/network.ts";
import { makeReceipt, network, now, payFor } from "../../../../test/fixtures/receipt.ts";

/** The payment with another authorisation, signed again by its payer. */
const signAgain =
  (change: Partial<Payment["authorization"]>) =>
  (payment: Payment): Payment => {
    const { token } = payment;
    const authorization = { ...payment.authorization, ...change };
    const separator = domainSeparator({
      name: token.name,
      version: token.version,
      chainId: Number(network.slice(7)),
      verifyingContract: token.address,
    });
    const signature = secp256k1.sign(authorizationDigest(authorization, separator), payerKey, {
      prehash: false,
      format: "recovered",
    });
    return {
      ...payment,
      authorization,
      signature: toHex(signature.subarray(1)) + (27 + (signature[0] as number)).toString(16),
    };
  };
const mismatch = unmet(["PAYMENT_MISMATCH"], "payment");
const delivery = (made: ReturnType<typeof makeReceipt>, more: object) =>
  signDelivery(
    made.receiptRoot,
    {
      suite: "countersign/delivery/v1",
      network,
      gateway: hexOf(keys.gateway),
      offerDigest: "ab".repeat(32),
      requestTag: made.statement.requestTag,
      requestDigest: made.statement.requestDigest,
      paymentDigest: null,
      paymentBound: false,
      deliveredAt: now,
      ...more,
    },
    keys.gateway,
  );

describe("a payment", () => {
  test.each([
    ["valid only after the year 9999", signAgain({ validAfter: 253_402_300_799 })],
    ["that expired before the run", signAgain({ validBefore: 1 })],
    ["that lives longer than offered", signAgain({ validBefore: now / 1000 + 301 })],
    ["of another price", signAgain({ value: "1" })],
    ["to another payee", signAgain({ to: `0x${"33".repeat(20)}` })],
    ["with another request's nonce", signAgain({ nonce: "ab".repeat(32) })],
    ["signed by nobody", (p: Payment) => ({ ...p, signature: `${"11".repeat(64)}1b` })],
    ["on another network", (p: Payment) => ({ ...p, network: "eip155:1" })],
    ["that charges more than offered", (p: Payment) => ({ ...p, chargeable: "151" })],
    ["whose salt the node dropped although the gateway says it is bound", (p: Payment) => ({ ...p, salt: null })],
  ])("%s is not proven", (_, payment) => {
    expect(view(judge(makeReceipt({ payment }), { policy: "payment" }))).toEqual(mismatch);
  });
  test("that charges less is honest", () => {
    expect(view(judge(makeReceipt({ payment: (p) => ({ ...p, chargeable: "0" }) }), { policy: "audit" }))).toEqual(
      sound,
    );
  });
  test("in another token than the trust names", () => {
    const trust = { ...real, contracts: { token: `0x${"99".repeat(20)}` } };
    expect(view(judge(makeReceipt(), { policy: "audit", trust }))).toEqual(mismatch);
  });
  test("for an offer that is left out, or closed, is not proven", () => {
    const made = makeReceipt();
    expect(view(judge({ ...made, receipt: { ...made.receipt, offer: null } }, { policy: "payment" }))).toEqual(
      unmet([], "payment"),
    );
    const openings = made.receipt.openings.filter((o) => o.path !== "payment");
    expect(view(judge({ ...made, receipt: { ...made.receipt, openings } }, { policy: "payment" }))).toEqual(
      unmet([], "payment"),
    );
  });
  test("of a stock client rests on a known gateway's word alone", () => {
    const made = makeReceipt({ payment: (p) => payFor({ ...makeReceipt().offer, payTo: p.authorization.to }, null) });
    expect(view(judge({ ...made, receipt: { ...made.receipt, delivery: null } }, { policy: "payment" }))).toEqual(
      unmet(["PAYMENT_NOT_BOUND"], "payment"),
    );
  });
  test("none for a priced offer is not proven, nor one for a free offer that the gateway countersigned", () => {
    expect(view(judge(makeReceipt({ contents: { payment: undefined } }), { policy: "payment" }))).toEqual(
      unmet([], "payment"),
    );
    const free = makeReceipt({ offer: { amount: "0" } });
    const { offerDigest } = JSON.parse(
      Buffer.from(free.receipt.delivery?.payload ?? "", "base64").toString(),
    ).predicate;
    const charged = delivery(free, { offerDigest, paymentDigest: "cd".repeat(32) });
    expect(view(judge(free, { policy: "payment" }))).toEqual(sound);
    expect(view(judge({ ...free, receipt: { ...free.receipt, delivery: charged } }, { policy: "payment" }))).toEqual(
      unmet([], "payment"),
    );
  });
});

describe("an offer", () => {
  test.each([
    ["that expired before the run", { expires: now / 1000 - 5000, madeAt: now - 900_000 }],
    ["with another deadline", { deadline: 1_700_000_000 }],
    ["for another request", { requestDigest: "ab".repeat(32) }],
    ["by another node", { node: hexOf(keys.gateway) }],
    ["for another version", { deployment: { id: "pocket", version: 2 } }],
    ["with another release rule", { release: "live" as const }],
  ])("%s is refuted: the node committed to it", (_, offer) => {
    const verdict = judge(makeReceipt({ offer }), { policy: "signature" });
    expect(verdict).toMatchObject({ outcome: "refuted", final: true });
    expect(view(verdict).codes).toContain("DEPLOYMENT_SUBSTITUTED");
  });
  test("of another receipt, pinned to this one, counts as absent", () => {
    const made = makeReceipt();
    const foreign = makeReceipt({ guarantee: "execution:proof" }).receipt.offer;
    expect(view(judge({ ...made, receipt: { ...made.receipt, offer: foreign } }))).toEqual({
      ...sound,
      final: false,
      codes: ["OFFER_UNKNOWN"],
      lacks: ["payment"],
    });
  });
  test("whose guarantee is no policy gives a verdict", () => {
    const verdict = judge(makeReceipt({ guarantee: "no policy", bought: "issuer:signature" }));
    expect(view(verdict)).toMatchObject({ outcome: "unmet", final: false, codes: ["LEVEL_UNKNOWN"] });
  });
});

describe("a countersignature", () => {
  const made = makeReceipt();
  const attach = (more: object, offer = made.receipt.offer) =>
    view(judge({ ...made, receipt: { ...made.receipt, offer, delivery: delivery(made, more) } }));
  test("about another offer counts as absent, with the offer attached or not", () => {
    expect(attach({}).codes).toEqual(["DOMAIN_MISMATCH"]);
    expect(attach({}, null)).toEqual({ ...sound, final: false, codes: ["DOMAIN_MISMATCH"], lacks: ["payment"] });
  });
  test("about another request, or by another gateway than made the offer, too", () => {
    expect(attach({ requestTag: "ab".repeat(32) }).codes).toEqual(["DOMAIN_MISMATCH"]);
    expect(attach({ gateway: hexOf(keys.node) }).codes).toEqual(["DOMAIN_MISMATCH"]);
  });
});
