import {
  CountersignError,
  type Hex,
  type Offer,
  offerDigest,
  portableSuite,
  readOffer,
  signOffer,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodePayment,
  decodeRequired,
  decodeSettlement,
  encodePayment,
  encodeRequired,
  encodeSettlement,
  largestRequiredHeader,
  paymentHeaderOf,
} from "./wire.ts";

const hex = (n: number): Hex => n.toString(16).padStart(64, "f");
const gateway = ed25519Signer(new Uint8Array(32).fill(7));
const address = (n: number) => `0x${n.toString(16).padStart(40, "e")}`;
const offer = (change: Partial<Offer> = {}): Offer => ({
  suite: "countersign/offer/v1",
  network: "eip155:2000000000077",
  gateway: toHex(gateway.publicKey),
  node: hex(2),
  model: { id: "some-publisher/some-model-1b-instruct", digest: hex(3) },
  deployment: { id: "some-model-1b-instruct", version: 12 },
  guarantee: "tee & signature",
  release: "met",
  unmet: "promised",
  scheme: "exact",
  asset: address(1),
  payTo: address(2),
  amount: "123456789",
  validBefore: 1_900_000_420,
  requestDigest: hex(5),
  deadline: null,
  madeAt: 1_900_000_000_000,
  expires: 1_900_000_120,
  ...change,
});
const signed = (change: Partial<Offer> = {}) => {
  const one = offer(change);
  return { offer: one, digest: offerDigest(one), envelope: signOffer(one, gateway) };
};
const token = { name: "Test USD", version: "1" };
const required = (offers = [signed()]) =>
  encodeRequired({
    url: "https://gateway.example/v1/chat/completions",
    requestDigest: hex(5),
    clientNonce: hex(6),
    token,
    offers,
  });
const code = (run: () => unknown) => {
  try {
    run();
    return "nothing thrown";
  } catch (error) {
    return CountersignError.is(error) ? error.code : error;
  }
};

describe("PAYMENT-REQUIRED", () => {
  test("carries the signed offer in at most 4 KiB", () => {
    const { header } = required();
    console.info(`PAYMENT-REQUIRED with one signed offer: ${header.length} bytes`);
    expect(header.length).toBeLessThanOrEqual(largestRequiredHeader);
    const read = decodeRequired(header);
    const entry = read.accepts[0];
    const info = read.extensions?.countersign?.info;
    expect(readOffer(info?.offer, portableSuite)).toEqual(offer());
    expect(entry?.extra.offer).toBe(info?.offerDigest);
    expect(entry?.maxTimeoutSeconds).toBe(300);
    expect(info).toMatchObject({ requestDigest: hex(5), clientNonce: hex(6) });
  });

  test("keeps to 4 KiB with several offers: the envelopes are in the body", () => {
    const offers = [
      signed(),
      signed({ guarantee: "signature", amount: "5" }),
      signed({ guarantee: "tee", amount: "6" }),
    ];
    const { header, body } = required(offers);
    expect(header.length).toBeLessThanOrEqual(largestRequiredHeader);
    expect(decodeRequired(header).accepts.map((entry) => entry.extra.offer)).toEqual(offers.map((o) => o.digest));
    expect(body.offers).toEqual(offers.map((o) => o.envelope));
    const long = required([signed({ guarantee: "signature ".repeat(200).trim() })]);
    expect(long.header.length).toBeLessThanOrEqual(largestRequiredHeader);
    expect(() => required(Array.from({ length: 16 }, () => signed()))).toThrow(RangeError);
  });
});

const payment = () => {
  const read = decodeRequired(required().header);
  return encodePayment({
    required: read,
    accepted: read.accepts[0] as never,
    authorization: {
      from: address(7),
      to: address(2),
      value: "123456789",
      validAfter: 0,
      validBefore: 1_900_000_300,
      nonce: hex(9),
    },
    signature: "ab".repeat(65),
    salt: hex(4),
  });
};
/** The payment with members of the object at a dotted path replaced; `undefined` removes one. */
const change = (path: string, members: Record<string, unknown>): string => {
  const value = JSON.parse(atob(payment()));
  const target = path === "" ? value : path.split(".").reduce((at, name) => at[name], value);
  Object.assign(target, members);
  return toBase64(utf8(JSON.stringify(value)));
};

describe("PAYMENT-SIGNATURE", () => {
  test("decodes what was encoded, in core's spelling", () => {
    const header = payment();
    console.info(`PAYMENT-SIGNATURE that echoes the offer: ${header.length} bytes`);
    const read = decodePayment(header);
    expect(read.payload.authorization).toEqual({
      from: address(7),
      to: address(2),
      value: "123456789",
      validAfter: 0,
      validBefore: 1_900_000_300,
      nonce: hex(9),
    });
    expect(read.extensions?.countersign?.info.salt).toBe(hex(4));
  });

  test("is read under either name, never under two that differ", () => {
    const headers = (h: Record<string, string>) => new Headers(h);
    expect(paymentHeaderOf(headers({}))).toBeUndefined();
    expect(paymentHeaderOf(headers({ "X-PAYMENT": "a" }))).toBe("a");
    expect(paymentHeaderOf(headers({ "X-PAYMENT": "a", "PAYMENT-SIGNATURE": "a" }))).toBe("a");
    expect(code(() => paymentHeaderOf(headers({ "X-PAYMENT": "a", "PAYMENT-SIGNATURE": "b" })))).toBe(
      "PAYMENT_MALFORMED",
    );
  });

  test.each<readonly [string, () => string]>([
    ["no base64", () => "%%%"],
    ["base64 with white space", () => ` ${payment()}`],
    ["a cut header", () => payment().slice(0, 400)],
    ["too large a header", () => toBase64(utf8(" ".repeat(9000)))],
    ["a duplicate key", () => toBase64(utf8(atob(payment()).replace("{", '{"x402Version":2,')))],
    ["version 1", () => change("", { x402Version: 1 })],
    ["an unknown field in the authorisation", () => change("payload.authorization", { extra: 1 })],
    ["an unknown field in our extension", () => change("extensions.countersign.info", { more: 1 })],
    ["a value with a leading zero", () => change("payload.authorization", { value: "01" })],
    ["a value past 2^256", () => change("payload.authorization", { value: "9".repeat(78) })],
    ["a negative value", () => change("payload.authorization", { value: "-1" })],
    ["a time that is no integer", () => change("payload.authorization", { validBefore: "1e9" })],
    ["a time past 2^53", () => change("payload.authorization", { validBefore: "9".repeat(16) })],
    ["a short nonce", () => change("payload.authorization", { nonce: "0x12" })],
    ["an empty signature", () => change("payload", { signature: "0x" })],
    ["another scheme", () => change("accepted", { scheme: "upto" })],
    ["a life of a year", () => change("accepted", { maxTimeoutSeconds: 31_536_000 })],
    ["no payload", () => change("", { payload: undefined })],
  ])("refuses %s", (_, header) => expect(code(() => decodePayment(header()))).toBe("PAYMENT_MALFORMED"));

  test("never throws anything else, whatever it is given", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.boolean(), (text, wrap) => {
        const header = wrap ? toBase64(utf8(text.toWellFormed())) : text;
        expect(code(() => decodePayment(header))).toBe("PAYMENT_MALFORMED");
      }),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(code(() => decodePayment(toBase64(utf8(text.toWellFormed()))))).toBe("PAYMENT_MALFORMED");
      }),
    );
  });
});

test("PAYMENT-RESPONSE decodes what was encoded", () => {
  const result = { success: true, transaction: `0x${hex(1)}`, network: "eip155:5", payer: address(7), amount: "5" };
  expect(decodeSettlement(encodeSettlement(result))).toEqual(result);
});
