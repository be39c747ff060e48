import { noTrust } from "@countersign/core";
import { expect, test } from "vitest";
import { trust } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { honest, judgeIt } from "./receipts.ts";

test("C2: without a trust file nothing is sent, paid or believed, whatever the gateway's address", async () => {
  for (const given of [undefined, noTrust, { ...trust, registrars: [], gateways: [] }]) {
    const { client, seen } = meet({}, { trust: given as never });
    expect(await refusalOf(client.chat(question))).toEqual(["TRUST_MISSING"]);
    expect(seen.requests).toEqual([]);
  }
  expect(judgeIt(honest.receipt, { trust: noTrust }).outcome).not.toBe("met");
});

test("C2: what the network says of itself adds nobody to the trust", async () => {
  const { client } = meet({}, { trust: { ...trust, registrars: [{ name: "other", key: "ab".repeat(32) }] } });
  expect(await refusalOf(client.chat(question))).toEqual(["OFFER_SIGNATURE_INVALID"]);
});
