import { CountersignError, parseRequest, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { readChat } from "../../packages/node/src/tasks/chat.ts";
import { makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, judgeIt } from "./receipts.ts";

const bodyWith = (more: object) =>
  utf8(JSON.stringify({ model: "pocket", messages: [{ role: "user", content: "Hello" }], ...more }));

const readIt = (more: object): string => {
  try {
    readChat(parseRequest("/v1/chat/completions", bodyWith(more)), { maxOutput: 64 });
    return "read";
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return error.code;
  }
};

test.each([
  { best_of: 3 },
  { tool_choice: "required", tools: [], parallel_tool_calls: true },
  { modalities: ["audio"] },
  { prediction: { type: "content", content: "x" } },
  { reasoning_effort: "high" },
  { web_search_options: {} },
  { store: true },
  { service_tier: "flex" },
  { max_tokens: 100_000 },
])("R5: the node honours %j or refuses it", (more) => {
  expect(["PARAMETER_NOT_SUPPORTED", "REQUEST_FIELD_INVALID"]).toContain(readIt(more));
});

test.each([
  { seed: 7 },
  { top_p: 0.5 },
  { n: 2 },
  { stop: ["."] },
  { frequency_penalty: 1 },
  { presence_penalty: 0.5 },
  { logit_bias: { "5": -100 } },
  { temperature: 0.1 },
])("R5: %j is honoured, and where it does not stand among those in effect the receipt is refuted", (more) => {
  expect(readIt(more)).toBe("read");
  const body = bodyWith(more);
  const { params } = parseRequest("/v1/chat/completions", body);
  const honest = makeReceipt({ body, effective: { ...params } });
  const dropped = makeReceipt({ body, effective: { max_tokens: 16 } });
  const verdictOf = ({ receipt, delivered }: typeof honest) => judgeIt(receipt, { delivered });
  expect(codesOf(verdictOf(honest))).not.toContain("REWRITE_UNDECLARED");
  expect(codesOf(verdictOf(dropped))).toContain("REWRITE_UNDECLARED");
  expect(verdictOf(dropped).outcome).toBe("refuted");
});
