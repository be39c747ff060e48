import { portableSuite, readOffer, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { openStore } from "@countersign/store";
import { expect, test } from "vitest";
import { makeOffer } from "./offers.ts";
import { requirementsOf } from "./x402/wire.ts";

test("an offer is quoted, signed and stored, and a client that pays in its last second is within it", async () => {
  const store = openStore({ file: ":memory:" });
  const gateway = ed25519Signer(new Uint8Array(32).fill(3));
  const now = 1_900_000_000_500;
  const { offer, digest, envelope } = await makeOffer({
    facts: {
      node: "1".repeat(64),
      model: { id: "smol", digest: "2".repeat(64) },
      deployment: { id: "smol", version: 4 },
      prices: { base: "100", perInputKiB: "10", perOutputToken: "3" },
    },
    usage: { inputBytes: 2000, maxTokens: 50 },
    guarantee: "tee & signature",
    release: "met",
    unmet: "promised",
    requestDigest: "3".repeat(64),
    deadline: null,
    network: "eip155:5",
    asset: `0x${"a".repeat(40)}`,
    payTo: `0x${"b".repeat(40)}`,
    gateway,
    now,
    store,
    remember: { clientNonce: "4".repeat(64) },
  });
  expect(offer.amount).toBe("270");
  expect(readOffer(envelope, portableSuite)).toEqual(offer);
  expect(offer.gateway).toBe(toHex(gateway.publicKey));
  expect(await store.offers.get(digest)).toEqual({
    envelope,
    facts: { clientNonce: "4".repeat(64) },
    expires: offer.expires,
  });
  const { maxTimeoutSeconds } = requirementsOf(offer, digest, { name: "Test USD", version: "1" });
  expect(maxTimeoutSeconds).toBeLessThanOrEqual(600);
  expect(offer.expires + maxTimeoutSeconds).toBeLessThanOrEqual(offer.validBefore);
  await store.close();
});
