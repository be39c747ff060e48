import { expect, test } from "vitest";
import { keyOf } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { paid, useWorld } from "./worlds.ts";

const world = useWorld();
const mallory = Buffer.from(keyOf("mallory").publicKey).toString("hex");

test("O5: an offer that is not signed by the gateway it names, or by nobody's gateway, is not paid", async () => {
  for (const lies of [
    { signer: keyOf("mallory") },
    { signer: keyOf("mallory"), offer: (o: object) => ({ ...o, gateway: mallory }) as never },
  ]) {
    const { client, paid } = meet(lies);
    expect(await refusalOf(client.chat(question))).toEqual(["OFFER_SIGNATURE_INVALID"]);
    expect(paid()).toBe(0);
  }
});

test("O5: an old offer is not paid", async () => {
  const { client, paid } = meet({ offer: (o) => ({ ...o, expires: o.expires - 600 }) });
  expect(await refusalOf(client.chat(question))).toEqual(["OFFER_EXPIRED"]);
  expect(paid()).toBe(0);
});

test("O5: the gateway takes no payment for terms that it did not sign", async () => {
  const asked = await world.required(paid());
  const [entry] = asked.accepts as [(typeof asked.accepts)[number]];
  const cheaper = { ...asked, accepts: [{ ...entry, amount: "1" }] };
  expect(await world.refused(paid(), { "payment-signature": await world.sign(cheaper) })).toBe("402 PAYMENT_MISMATCH");
  const foreign = { ...asked, accepts: [{ ...entry, extra: { ...entry.extra, offer: "cd".repeat(32) } }] };
  expect(await world.refused(paid(), { "payment-signature": await world.sign(foreign) })).toBe("402 OFFER_UNKNOWN");
});
