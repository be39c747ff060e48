// Unmodified clients of the OpenAI API: what they understand of an answer, and where they show the receipt.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type World } from "./fixtures/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterEach(() => world.node.behave({}));
afterAll(() => world.close());

const base = () => `${world.gateway.url}/v1`;
const model = "free-model";
const messages = [{ role: "user" as const, content: "Count to three." }];
const call = {
  kind: "message" as const,
  content: null,
  tool_calls: [{ id: "call_1", name: "add", arguments: '{"a":1}' }],
  finish: "tool_calls",
};
const tools = [
  {
    type: "function" as const,
    function: { name: "add", parameters: { type: "object", properties: { a: { type: "number" } } } },
  },
];

describe("openai", () => {
  const client = () => new OpenAI({ baseURL: base(), apiKey: "none", maxRetries: 0 });

  it("reads chats, with the receipt in the body and on the usage chunk", async () => {
    const answer = await client().chat.completions.create({ model, messages });
    expect(answer.choices[0]?.message.content).toBe("one two three");
    expect(answer).toHaveProperty("countersign.receipt.format", "countersign/receipt/v1");
    const stream = await client().chat.completions.create({ model, messages, stream: true });
    let text = "";
    let seen: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      seen = (chunk as { countersign?: unknown }).countersign ?? seen;
    }
    expect(text).toBe("one two three");
    expect(seen).toHaveProperty("receipt.format", "countersign/receipt/v1");
    const whole = await client().chat.completions.stream({ model, messages }).finalChatCompletion();
    expect(whole).toHaveProperty("countersign.receipt.format", "countersign/receipt/v1");
  });

  it("reads tool calls", async () => {
    world.node.behave({ outputs: [call] });
    const answer = await client().chat.completions.create({ model, messages, tools });
    expect(answer.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    const whole = await client().chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    expect(whole.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      function: { name: "add", arguments: '{"a":1}' },
    });
  });

  it("reads completions, embeddings and responses", async () => {
    const completion = await client().completions.create({ model, prompt: "Count." });
    expect(completion.choices[0]?.text).toBe("one two three");
    const vectors = await client().embeddings.create({ model, input: "x" });
    expect(vectors.data[0]?.embedding).toEqual([1, -2, -0]);
    const response = await client().responses.create({ model, input: "Count." });
    expect(response.output_text).toBe("one two three");
    const stream = client().responses.stream({ model, input: "Count." });
    expect((await stream.finalResponse()).output_text).toBe("one two three");
  });

  it("lists models, and understands errors", async () => {
    expect((await client().models.list()).data.map((m) => m.id)).toEqual(["free-model", "paid-model"]);
    expect(await client().models.retrieve(model)).toHaveProperty("countersign.levels", ["signature"]);
    await expect(client().chat.completions.create({ model: "nothing", messages })).rejects.toMatchObject({
      status: 404,
      code: "MODEL_UNKNOWN",
    });
    await expect(client().chat.completions.create({ model: "paid-model", messages })).rejects.toMatchObject({
      status: 402,
      code: "PAYMENT_REQUIRED",
    });
  });
});

describe("AI SDK", () => {
  it("generates and streams over chat completions", async () => {
    const provider = createOpenAICompatible({ name: "countersign", baseURL: base(), includeUsage: true });
    expect((await generateText({ model: provider(model), prompt: "Count." })).text).toBe("one two three");
    expect(await streamText({ model: provider(model), prompt: "Count." }).text).toBe("one two three");
  });

  it("generates and streams over responses, which its openai provider uses by default", async () => {
    const provider = createOpenAI({ baseURL: base(), apiKey: "none" });
    expect((await generateText({ model: provider(model), prompt: "Count." })).text).toBe("one two three");
    const streamed = streamText({ model: provider(model), prompt: "Count." });
    expect(await streamed.text).toBe("one two three");
    expect(await streamed.finishReason).toBe("stop");
    expect((await streamed.usage).outputTokens).toBe(3);
  });
});

describe("LangChain", () => {
  it("invokes and streams", async () => {
    const chat = new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: base() }, maxRetries: 0 });
    expect((await chat.invoke("Count.")).content).toBe("one two three");
    let text = "";
    for await (const chunk of await chat.stream("Count.")) text += chunk.content;
    expect(text).toBe("one two three");
  });
});
