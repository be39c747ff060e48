// The real client libraries over `client.fetch`, against a gateway in memory. The same libraries meet a real network in
// test/journeys/clients.test.ts.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { type Output, sha256, toHex, utf8, type Verdict } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { at, fakeGateway, fixtureRandom, type Lies, receiptId } from "../../../test/fixtures/fake-gateway.ts";
import { trust } from "../../../test/fixtures/receipt.ts";
import { countersign, type Options, privateKeyWallet } from "./index.ts";

const baseURL = "https://gateway.test/v1";
function meet(lies: Lies = {}, more: Partial<Options> = {}) {
  const gateway = fakeGateway(lies);
  const client = countersign({
    gateway: "https://gateway.test",
    trust,
    wallet: privateKeyWallet(toHex(sha256(utf8("payer")))),
    budget: { perRequest: 1000, total: 10_000 },
    allowDevelopment: true,
    fetch: gateway.fetch,
    random: fixtureRandom(),
    now: () => at,
    sleep: async () => undefined,
    suite: nodeSuite,
    ...more,
  });
  return { client, fetch: client.fetch, paid: () => gateway.seen.payments.length };
}
const lie: Lies = { body: (b) => JSON.parse(JSON.stringify(b).replaceAll('"Paris"', '"Lyon"')) };
const late: Lies = { stream: (t) => t.replace("Paris", "Lyon") };
const messages = [{ role: "user" as const, content: "Capital of France?" }];
const tool: Output = {
  kind: "message",
  content: null,
  tool_calls: [{ id: "call_1", name: "weather", arguments: '{"city":"Paris"}' }],
  finish: "tool_calls",
};
const failure = async (run: () => Promise<unknown>): Promise<Record<string, unknown>> => {
  try {
    await run();
  } catch (error) {
    return error as Record<string, unknown>;
  }
  throw new Error("It did not fail.");
};

describe("openai", () => {
  const openai = (lies: Lies = {}, more: Partial<Options> = {}) => {
    const met = meet(lies, more);
    return { ...met, api: new OpenAI({ baseURL, apiKey: "unused", fetch: met.fetch }) };
  };
  test("create: answer, receipt and verdict", async () => {
    const { api, client } = openai();
    const answer = await api.chat.completions.create({ model: "pocket", messages });
    expect(answer.choices[0]?.message.content).toBe("Paris");
    const { receipt, verdict } = (answer as unknown as { countersign: { receipt: unknown; verdict: Verdict } })
      .countersign;
    expect(verdict.outcome).toBe("met");
    expect(client.verify(receipt).outcome).toBe("met");
  });
  test("create: an altered answer throws with its code, is not retried and not paid twice", async () => {
    const { api, paid } = openai(lie);
    const error = await failure(() => api.chat.completions.create({ model: "pocket", messages }));
    expect(error).toMatchObject({ code: "ASSURANCE_NOT_MET", status: 403 });
    expect(paid()).toBe(1);
  });
  test("stream: the receipt is on the usage chunk", async () => {
    const { api } = openai();
    let text = "";
    let outcome: string | undefined;
    for await (const chunk of await api.chat.completions.create({ model: "pocket", messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
      outcome = (chunk as unknown as { countersign?: { verdict: Verdict } }).countersign?.verdict.outcome ?? outcome;
    }
    expect({ text, outcome }).toEqual({ text: "Paris", outcome: "met" });
  });
  test(".stream(): the final object keeps the receipt", async () => {
    const { api } = openai();
    const final = await api.chat.completions.stream({ model: "pocket", messages }).finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe("Paris");
    expect((final as unknown as { countersign: { verdict: Verdict } }).countersign.verdict.outcome).toBe("met");
  });
  test("stream held: an altered stream throws before the first chunk", async () => {
    const { api, paid } = openai(late);
    expect(await failure(() => api.chat.completions.create({ model: "pocket", messages, stream: true }))).toMatchObject(
      { code: "ASSURANCE_NOT_MET" },
    );
    expect(paid()).toBe(1);
  });
  test("stream live: deltas come, then iterating throws", async () => {
    const { api, paid } = openai(late, { release: "live" });
    let text = "";
    const error = await failure(async () => {
      for await (const chunk of await api.chat.completions.create({ model: "pocket", messages, stream: true }))
        text += chunk.choices[0]?.delta.content ?? "";
    });
    expect(text).toBe("Lyon");
    expect(error).toMatchObject({ code: "ASSURANCE_NOT_MET" });
    expect(paid()).toBe(1);
  });
  test("tool calls", async () => {
    const { api } = openai({ output: tool });
    const final = await api.chat.completions.stream({ model: "pocket", messages }).finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      function: { name: "weather", arguments: '{"city":"Paris"}' },
    });
  });
  test("models", async () => {
    const { api } = openai();
    expect((await api.models.list()).data.map((m) => m.id)).toEqual(["pocket"]);
  });
});

describe("the AI SDK", () => {
  const model = (fetch: typeof globalThis.fetch) =>
    createOpenAICompatible({ name: "countersign", baseURL, fetch })("pocket");
  test("generateText: the receipt's id is in the headers, the receipt in the store (C6)", async () => {
    const { client, fetch } = meet();
    const { text, response } = await generateText({ model: model(fetch), messages });
    expect(text).toBe("Paris");
    expect(response.headers?.["x-countersign-receipt"]).toBe(receiptId);
    expect((await client.receipts.get(receiptId))?.outcome).toBe("met");
  });
  test("generateText by @ai-sdk/openai's chat model", async () => {
    const { fetch } = meet();
    const { text } = await generateText({
      model: createOpenAI({ baseURL, apiKey: "unused", fetch }).chat("pocket"),
      messages,
    });
    expect(text).toBe("Paris");
  });
  test("generateText: an altered answer throws and is not paid twice", async () => {
    const { fetch, paid } = meet(lie);
    const error = await failure(() => generateText({ model: model(fetch), messages }));
    expect(JSON.stringify(error.responseBody)).toContain("ASSURANCE_NOT_MET");
    expect(paid()).toBe(1);
  });
  test("streamText", async () => {
    const { fetch } = meet();
    expect(await streamText({ model: model(fetch), messages }).text).toBe("Paris");
  });
  test.each(["met", "live"] as const)("streamText: an altered stream ends in an error (%s)", async (release) => {
    const { fetch, paid } = meet(late, { release });
    const parts: string[] = [];
    let found: unknown;
    try {
      const { fullStream } = streamText({
        model: model(fetch),
        messages,
        maxRetries: 2,
        onError: ({ error }) => {
          found = error;
        },
      });
      for await (const part of fullStream) if (part.type === "text-delta") parts.push(part.text);
    } catch (error) {
      found = error;
    }
    expect(parts.join("")).toBe(release === "met" ? "" : "Lyon");
    expect(`${found} ${(found as Error).cause}`).toContain("ASSURANCE_NOT_MET");
    expect(paid()).toBe(1);
  });
});

describe("LangChain", () => {
  const model = (fetch: typeof globalThis.fetch) =>
    new ChatOpenAI({ model: "pocket", apiKey: "unused", configuration: { baseURL, fetch } });
  test("invoke", async () => {
    const { fetch } = meet();
    expect((await model(fetch).invoke("Capital of France?")).content).toBe("Paris");
  });
  test("invoke: an altered answer throws and is not paid seven times", async () => {
    const { fetch, paid } = meet(lie);
    expect(String(await failure(() => model(fetch).invoke("Capital of France?")))).toContain("ASSURANCE_NOT_MET");
    expect(paid()).toBe(1);
  });
  test("stream", async () => {
    const { fetch } = meet();
    let text = "";
    for await (const chunk of await model(fetch).stream("Capital of France?")) text += String(chunk.content);
    expect(text).toBe("Paris");
  });
  test.each(["met", "live"] as const)("stream: an altered stream throws (%s)", async (release) => {
    const { fetch, paid } = meet(late, { release });
    const error = await failure(async () => {
      for await (const _ of await model(fetch).stream("Capital of France?"));
    });
    expect(String(error)).toContain("ASSURANCE_NOT_MET");
    expect(paid()).toBe(1);
  });
});
