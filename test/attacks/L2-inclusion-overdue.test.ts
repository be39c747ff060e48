import { expect, test } from "vitest";
import { at } from "../fixtures/fake-gateway.ts";
import { meet, question, refusalOf } from "./clients.ts";

test("L2: an entry that the log withholds past its promise is told, also to who comes back later", async () => {
  let time = at;
  const { client } = meet({ logsAfter: 1e9 }, { now: () => time });
  const { receipt } = await client.chat(question, { release: "signed", policy: "signature" });
  await client.refresh(receipt);
  time += 3_600_001;
  expect(await refusalOf(client.refresh(receipt))).toEqual(["INCLUSION_OVERDUE"]);
  // From the store, after the answer is long gone.
  expect(await refusalOf(client.refresh(receipt.holder?.receiptId ?? ""))).toEqual(["INCLUSION_OVERDUE"]);
});

test("L2: an entry that came in time is not", async () => {
  let time = at;
  const { client } = meet({ logsAfter: 1 }, { now: () => time });
  const { receipt } = await client.chat(question, { release: "signed", policy: "signature" });
  time += 3_600_001;
  expect((await client.refresh(receipt)).verdict.outcome).toBe("met");
});
