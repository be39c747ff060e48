import { parsePolicy } from "@countersign/core";
import { expect, test } from "vitest";
import { demandSignature, makeReceipt } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { codesOf, judgeIt } from "./receipts.ts";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

test("S5: a receipt that names another level than the offer that was paid contradicts it", () => {
  for (const bought of ["issuer:signature", "execution:proof & issuer:signature & model:signature"]) {
    const { receipt, delivered } = makeReceipt({ guarantee: "execution:proof & issuer:signature", bought });
    const verdict = judgeIt(receipt, { delivered });
    expect(verdict.outcome).toBe("refuted");
    expect(codesOf(verdict)).toContain("LEVEL_OVERSTATED");
  }
});

test("S5: the gateway does not pass such a one on, nor does the client read its answer", async () => {
  world.get().node.behave({ restate: (s) => ({ ...s, policy: { ...s.policy, bought: "issuer:signature" } }) });
  expect(await world.refused(chatBody())).toBe("422 LEVEL_OVERSTATED");
  const codes = await refusalOf(meet({ bought: "issuer:signature" }).client.chat(question));
  expect(codes[0]).toBe("ASSURANCE_NOT_MET");
  expect(codes).toContain("LEVEL_OVERSTATED");
});

test("S5: what was achieved is computed: a level in the statement that no evidence carries is not met", () => {
  const demand = { ...demandSignature, policy: parsePolicy("zkml | signature") };
  const { receipt, delivered } = makeReceipt({ demand, guarantee: "execution:proof" });
  expect(judgeIt(receipt, { delivered }).outcome).toBe("unmet");
});
