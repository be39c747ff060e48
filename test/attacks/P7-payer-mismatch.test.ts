import { fromBase64Url, openFields } from "@countersign/core";
import { generatePrivateKey, openWallet } from "@countersign/settlement";
import { completeReceipt } from "@countersign/verify";
import { expect, test } from "vitest";
import { makeReceipt, payer } from "../fixtures/receipt.ts";
import { find, honest, judgeIt } from "./receipts.ts";
import { paid, useWorld } from "./worlds.ts";

const world = useWorld();

test("P7: an authorisation that somebody else signed than it names is not taken", async () => {
  const asked = await world.required(paid());
  const stranger = openWallet(generatePrivateKey());
  const header = await world.sign(asked, { wallet: stranger });
  expect(await world.refused(paid(), { "payment-signature": header })).toBe("402 PAYER_MISMATCH");
});

test("P7: the receipt commits to the payer who signed; another `from` proves no payment", () => {
  const full = completeReceipt(honest.receipt, honest.delivered);
  const leaf = openFields(full).fields.get("payment");
  const opening = full.openings.find((o) => o.path === "payment");
  expect(leaf?.kind).toBe("bytes");
  const bytes = opening && typeof opening.value === "object" && "bytes" in opening.value ? opening.value.bytes : "";
  expect(JSON.parse(new TextDecoder().decode(fromBase64Url(bytes))).authorization.from).toBe(payer);
  const { receipt, delivered } = makeReceipt({
    payment: (p) => ({ ...p, authorization: { ...p.authorization, from: `0x${"99".repeat(20)}` } }),
  });
  expect(find(judgeIt(receipt, { delivered }), "payment")).not.toBe("proven");
});
