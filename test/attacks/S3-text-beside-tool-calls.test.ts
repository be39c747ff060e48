import { type Output, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { makeReceipt } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { codesOf, judgeIt } from "./receipts.ts";

const call = { id: "call_1", name: "pay", arguments: '{"to":"alice"}' };
const output: Output = { kind: "message", content: "I will pay Alice.", tool_calls: [call], finish: "tool_calls" };
const { receipt, delivered } = makeReceipt({ answer: output });

const bodyOf = (message: object, more: readonly object[] = []) =>
  utf8(
    JSON.stringify({
      object: "chat.completion",
      choices: [{ index: 0, message, finish_reason: "tool_calls" }, ...more],
    }),
  );
const toolCalls = [{ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }];
const message = {
  role: "assistant",
  content: output.kind === "message" ? output.content : null,
  tool_calls: toolCalls,
};
const verdictOf = (body: Uint8Array) => judgeIt(receipt, { delivered: { ...delivered, output: { body } } });

test("S3: the whole message is committed: text beside a tool call, its arguments, its name, its number", () => {
  expect(verdictOf(bodyOf(message)).outcome).toBe("met");
  const changed = (fn: object) => ({
    ...message,
    tool_calls: [{ ...toolCalls[0], function: { name: "pay", arguments: call.arguments, ...fn } }],
  });
  for (const other of [
    { ...message, content: "I will pay Bob." },
    { ...message, content: null },
    changed({ arguments: '{"to":"mallory"}' }),
    changed({ name: "pay_all" }),
    { ...message, tool_calls: [...toolCalls, ...toolCalls] },
    { ...message, tool_calls: [] },
  ]) {
    const verdict = verdictOf(bodyOf(other));
    expect(verdict.outcome).toBe("refuted");
    expect(codesOf(verdict)).toContain("OUTPUT_MISMATCH");
  }
});

test("S3: a second choice that nobody committed to is no answer", () => {
  const verdict = verdictOf(bodyOf(message, [{ index: 1, message, finish_reason: "stop" }]));
  expect(verdict.outcome).toBe("refuted");
  expect(codesOf(verdict)).toContain("OUTPUT_MISMATCH");
});

test("S3: content that the receipt does not cover is not handed on", async () => {
  for (const extra of [
    { function_call: { name: "pay", arguments: "{}" } },
    { reasoning_content: "trust me" },
    { audio: { data: "AAAA" } },
  ]) {
    const { client } = meet({
      body: (b) => ({
        ...b,
        choices: [{ ...(b.choices as object[])[0], message: { role: "assistant", content: "Paris", ...extra } }],
      }),
    });
    expect(await refusalOf(client.chat(question))).toEqual(["OUTPUT_MISMATCH"]);
  }
});
