import {
  authorizationDigest,
  CountersignError,
  domainSeparator,
  type Hex,
  type Offer,
  offerDigest,
  paymentNonce,
  portableSuite,
  signOffer,
  toHex,
} from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { openStore } from "@countersign/store";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openWallet } from "../chain/wallet.ts";
import { loadNativeRecover } from "./recover-native.ts";
import { checkPayment, loadOffer } from "./verify-payment.ts";
import { decodePayment, encodePayment, type PaymentPayload, requirementsOf } from "./wire.ts";

const hex = (n: number): Hex => n.toString(16).padStart(64, "0");
const now = 1_900_000_000_000;
const second = now / 1000;
const gateway = ed25519Signer(new Uint8Array(32).fill(7));
const payer = openWallet(hex(0xabc));
const stranger = openWallet(hex(0xdef));
const asset = `0x${"a1".repeat(20)}`;
const domain = { name: "Test USD", version: "1", chainId: 2_000_000_000_077, verifyingContract: asset };
const recover = loadNativeRecover();
const requestDigest = hex(42);
const offer: Offer = {
  suite: "countersign/offer/v1",
  network: `eip155:${domain.chainId}`,
  gateway: toHex(gateway.publicKey),
  node: hex(2),
  model: { id: "smol", digest: hex(3) },
  deployment: { id: "smol", version: 1 },
  guarantee: "signature",
  release: "met",
  unmet: "promised",
  scheme: "exact",
  asset,
  payTo: `0x${"b2".repeat(20)}`,
  amount: "1000",
  validBefore: second + 420,
  requestDigest,
  deadline: null,
  madeAt: now,
  expires: second + 120,
};
const digest = offerDigest(offer);
const salt = hex(99);

type Change = {
  readonly authorization?: Record<string, unknown>;
  readonly accepted?: Record<string, unknown>;
  readonly salt?: Hex | null;
  readonly wallet?: typeof payer;
  readonly signature?: (signature: string) => string;
};

/** A payment for the offer, signed over whatever was changed. */
async function pay(change: Change = {}): Promise<PaymentPayload> {
  const accepted = requirementsOf(offer, digest, domain);
  const authorization = {
    from: payer.address,
    to: offer.payTo,
    value: offer.amount,
    validAfter: 0,
    validBefore: second + 300,
    nonce: paymentNonce(digest, requestDigest, salt),
    ...change.authorization,
  };
  const signed = await (change.wallet ?? payer).signDigest(authorizationDigest(authorization, domainSeparator(domain)));
  const info = { offerDigest: digest, requestDigest };
  const required = {
    x402Version: 2,
    resource: { url: "http://x/" },
    accepts: [accepted],
    extensions: { countersign: { info } },
  } as const;
  const sent = change.salt === undefined ? salt : change.salt;
  return decodePayment(
    encodePayment({
      required: required as never,
      accepted: { ...accepted, ...change.accepted } as never,
      authorization,
      signature: (change.signature ?? ((s) => s))(signed),
      ...(sent === null ? {} : { salt: sent }),
    }),
  );
}
const check = (payload: PaymentPayload, change: { now?: number; requestDigest?: Hex; offer?: Offer } = {}) =>
  checkPayment({ payload, offer, requestDigest, now, domain, recover, ...change });
const code = async (run: () => unknown) => {
  try {
    await run();
    return "nothing thrown";
  } catch (error) {
    return CountersignError.is(error) ? error.code : error;
  }
};

describe("a payment", () => {
  test("that is right gives the payer and says that it is bound", async () => {
    const checked = check(await pay());
    expect(checked).toMatchObject({ payer: payer.address, bound: true });
    expect(checked.key).toEqual({
      network: offer.network,
      asset,
      from: payer.address,
      nonce: checked.payment.authorization.nonce,
    });
    expect(checked.payment).toMatchObject({ salt, chargeable: "1000", network: offer.network });
  });

  test("of a stock client has a nonce of its own and is not bound", async () => {
    expect(check(await pay({ salt: null, authorization: { nonce: hex(5) } }))).toMatchObject({ bound: false });
  });

  test("for another request or another offer is not bound (P5)", async () => {
    expect(await code(async () => check(await pay(), { requestDigest: hex(43) }))).toBe("PAYMENT_NOT_BOUND");
    expect(await code(async () => check(await pay({ authorization: { nonce: hex(5) } })))).toBe("PAYMENT_NOT_BOUND");
    const stock = await pay({ salt: null, authorization: { nonce: hex(5) } });
    expect(await code(() => check(stock, { requestDigest: hex(43) }))).toBe("PAYMENT_NOT_BOUND");
    const other = { ...offer, deadline: 5 };
    expect(await code(async () => check(await pay(), { offer: other }))).toBe("PAYMENT_MISMATCH");
    const echoed = { extra: { name: domain.name, version: domain.version, offer: offerDigest(other) } };
    const moved = await pay({ accepted: echoed });
    expect(await code(async () => check(moved, { offer: other }))).toBe("PAYMENT_NOT_BOUND");
  });

  test("with the second spelling of its signature is refused (P3)", async () => {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const flip = (s: string) => {
      const high = (order - BigInt(`0x${s.slice(64, 128)}`)).toString(16).padStart(64, "0");
      return `${s.slice(0, 64)}${high}${s.slice(128) === "1b" ? "1c" : "1b"}`;
    };
    expect(await code(async () => check(await pay({ signature: flip })))).toBe("SIGNATURE_NOT_CANONICAL");
    const lax = async () =>
      checkPayment({
        payload: await pay({ signature: flip }),
        offer,
        requestDigest,
        now,
        domain,
        recover: () => payer.address,
      });
    expect(await code(lax), "whatever recovers the key").toBe("SIGNATURE_NOT_CANONICAL");
    for (const spell of [
      (s: string) => `${s.slice(0, 128)}00`,
      (s: string) => `${s}00`,
      (s: string) => s.slice(0, 128),
      (s: string) => `${"00".repeat(32)}${s.slice(64)}`,
    ]) {
      expect(await code(async () => check(await pay({ signature: spell })))).toBe("SIGNATURE_NOT_CANONICAL");
    }
  });

  test("signed by another key than `from` is nobody's (P7)", async () => {
    expect(await code(async () => check(await pay({ wallet: stranger })))).toBe("PAYER_MISMATCH");
    const proxy = await pay();
    const changed = { ...proxy.payload, authorization: { ...proxy.payload.authorization, from: asset } };
    expect(await code(() => check({ ...proxy, payload: changed }))).toBe("PAYER_MISMATCH");
  });

  test("signed over another token's domain is nobody's", async () => {
    const payload = await pay();
    const other = { ...domain, chainId: 1 };
    const signature = await payer.signDigest(
      authorizationDigest(payload.payload.authorization, domainSeparator(other)),
    );
    expect(await code(() => check({ ...payload, payload: { ...payload.payload, signature } }))).toBe("PAYER_MISMATCH");
  });

  test("that differs from the offer in any field is refused", async () => {
    const differences: Change[] = [
      { authorization: { to: stranger.address } },
      { authorization: { value: "999" } },
      { authorization: { value: "1001" } },
      { accepted: { amount: "1" } },
      { accepted: { asset: stranger.address } },
      { accepted: { payTo: stranger.address } },
      { accepted: { network: "eip155:1" } },
      { accepted: { extra: { name: "Other", version: "1", offer: digest } } },
      { accepted: { extra: { name: domain.name, version: "1", offer: hex(1) } } },
    ];
    for (const one of differences) {
      expect(await code(async () => check(await pay(one))), JSON.stringify(one)).toBe("PAYMENT_MISMATCH");
    }
    const missing = await pay({ accepted: { extra: { name: domain.name, version: "1" } } });
    expect(await code(() => check(missing))).toBe("OFFER_UNKNOWN");
  });

  test("is judged by the clock: offer, start, end, and a life that is too long (O5, P6)", async () => {
    expect(await code(async () => check(await pay(), { now: now + 121_000 }))).toBe("OFFER_EXPIRED");
    expect(await code(async () => check(await pay(), { now: now + 120_000 }))).toBe("nothing thrown");
    expect(await code(async () => check(await pay({ authorization: { validAfter: second } })))).toBe("PAYMENT_INVALID");
    expect(await code(async () => check(await pay({ authorization: { validBefore: second + 6 } })))).toBe(
      "PAYMENT_INVALID",
    );
    const long = { validBefore: offer.validBefore + 1 };
    expect(await code(async () => check(await pay({ authorization: long })))).toBe("DEADLINE_TOO_FAR");
    const year = { validBefore: second + 365 * 86_400 };
    expect(await code(async () => check(await pay({ authorization: year })))).toBe("DEADLINE_TOO_FAR");
  });

  test("with one bit changed anywhere in what is signed is never accepted", async () => {
    const payload = await pay({ salt: null });
    const { authorization, signature } = payload.payload;
    const flip = (text: string, bit: number) => {
      const nibble = (Number.parseInt(text[bit >> 2] as string, 16) ^ (1 << (bit & 3))).toString(16);
      return text.slice(0, bit >> 2) + nibble + text.slice((bit >> 2) + 1);
    };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("nonce", "from", "to", "signature"), fc.nat(), async (field, n) => {
        const changed =
          field === "signature"
            ? { authorization, signature: flip(signature, n % 520) }
            : field === "nonce"
              ? { authorization: { ...authorization, nonce: flip(authorization.nonce, n % 256) }, signature }
              : {
                  authorization: {
                    ...authorization,
                    [field]: `0x${flip(authorization[field as "from"].slice(2), n % 160)}`,
                  },
                  signature,
                };
        expect(await code(() => check({ ...payload, payload: changed }))).not.toBe("nothing thrown");
      }),
      { numRuns: 200 },
    );
  });
});

test("native recovery gives what core gives, or refuses what core refuses", async () => {
  const { recoverAddress, sha256, utf8 } = await import("@countersign/core");
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.string(),
      fc.boolean(),
      async (key, text, noise) => {
        if (key.every((b) => b === 0)) return;
        const message = sha256(utf8(text.toWellFormed()));
        const signature = noise
          ? `${toHex(key)}${toHex(message).replace(/^./, "1")}1b`
          : await openWallet(toHex(key)).signDigest(message);
        const of = async (by: typeof recover) => {
          try {
            return by(message, signature);
          } catch {
            return "refused";
          }
        };
        expect(await of(recover)).toBe(await of(recoverAddress));
      },
    ),
    { numRuns: 60 },
  );
});

test("native recovery that does not load is an error, not a slow stand-in (X7)", async () => {
  const hidden = () => {
    throw new Error("no native build was found");
  };
  expect(await code(() => loadNativeRecover(hidden))).toBe("NATIVE_MODULE_MISSING");
});

describe("the stored offer", () => {
  const suite = portableSuite;
  test("is found by digest and its signature checked again (O5)", async () => {
    const store = openStore({ file: ":memory:" });
    const args = { offers: store.offers, gateway: offer.gateway, suite };
    expect(await code(() => loadOffer(digest, args))).toBe("OFFER_UNKNOWN");
    await store.offers.put(digest, signOffer(offer, gateway), null, offer.expires);
    expect((await loadOffer(digest, args)).offer).toEqual(offer);
    expect(await code(() => loadOffer(digest, { ...args, gateway: hex(1) }))).toBe("OFFER_SIGNATURE_INVALID");
    const cheap = { ...offer, amount: "1" };
    await store.offers.put(hex(8), signOffer(cheap, gateway), null, offer.expires);
    expect(await code(() => loadOffer(hex(8), args))).toBe("OFFER_SIGNATURE_INVALID");
    const forged = signOffer(cheap, ed25519Signer(new Uint8Array(32).fill(8)));
    await store.offers.put(offerDigest(cheap), forged, null, offer.expires);
    expect(await code(() => loadOffer(offerDigest(cheap), args))).toBe("OFFER_SIGNATURE_INVALID");
    await store.close();
  });
});
