import { sha256, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";

const year = 31_536_000;

test.each([
  ["1e24 units", { offer: (o: object) => ({ ...o, amount: "1000000000000000000000000" }) }, "SPEND_CAP_EXCEEDED"],
  [
    "365 days in the offer",
    { offer: (o: { validBefore: number }) => ({ ...o, validBefore: o.validBefore + year }) },
    "DEADLINE_TOO_FAR",
  ],
  ["365 days beside the offer", { accepts: (e: object) => ({ ...e, maxTimeoutSeconds: year }) }, "DEADLINE_TOO_FAR"],
] as const)("P6: %s are never signed", async (_, lies, code) => {
  const { client, paid } = meet(lies as never);
  expect(await refusalOf(client.chat(question))).toEqual([code]);
  expect(paid()).toBe(0);
  expect(client.spending()).toMatchObject({ spent: 0n, held: 0n });
});

test("P6: many small offers do not add up past the cap, also when they come at once", async () => {
  const { client, paid } = meet({}, { budget: { perRequest: 150, total: 400 }, random: drawn(8) });
  const done = await Promise.allSettled(Array.from({ length: 8 }, () => client.chat(question)));
  expect(done.filter((d) => d.status === "fulfilled")).toHaveLength(2);
  expect(paid()).toBe(2);
  expect(await refusalOf(client.chat(question))).toContain("SPEND_CAP_EXCEEDED");
});

test("P6: without a budget nothing is signed at all", async () => {
  const { client, paid } = meet({}, { budget: undefined as never });
  expect(await refusalOf(client.chat(question))).toEqual(["SPEND_CAP_EXCEEDED"]);
  expect(paid()).toBe(0);
});

/** The fixture's nonce for the first draws, its salt after. */
function drawn(nonces: number): (bytes: number) => Uint8Array {
  let n = 0;
  return () => sha256(utf8(n++ < nonces ? "client nonce" : "salt"));
}
