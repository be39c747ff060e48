import type { Output } from "@countersign/core";
import { expect, test } from "vitest";
import { answer, answerBody, makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, judgeIt } from "./receipts.ts";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

test("X4: a run that broke off is no answer", async () => {
  world.get().node.behave({ restate: (s) => ({ ...s, outcome: "aborted" }) });
  expect(await world.refused(chatBody())).toBe("502 RUN_INCOMPLETE");
  world.get().node.behave({ send: (e) => (e.type === "output" ? [] : e) });
  expect(await world.refused(chatBody())).toBe("502 RUN_INCOMPLETE");
});

test("X4: why an answer ended is committed: `length` delivered as `stop` is another answer", () => {
  const cut: Output = { ...(answer as Extract<Output, { kind: "message" }>), finish: "length" };
  const { receipt, delivered } = makeReceipt({ answer: cut });
  expect(judgeIt(receipt, { delivered }).outcome).toBe("met");
  const verdict = judgeIt(receipt, { delivered: { ...delivered, output: { body: answerBody(answer) } } });
  expect(verdict.outcome).toBe("refuted");
  expect(codesOf(verdict)).toContain("OUTPUT_MISMATCH");
});
