// The client libraries that people use, unmodified but for `fetch`, against a whole running network.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { Receipt, Verdict } from "@countersign/core";
import { type Client, countersign, type Options, privateKeyWallet } from "@countersign/sdk";
import { uncheckedClient } from "@countersign/sdk/unsafe";
import { ChatOpenAI } from "@langchain/openai";
import { embed, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startNetwork } from "./network.ts";

type Network = Awaited<ReturnType<typeof startNetwork>>;
type Extra = { readonly countersign: { readonly receipt: Receipt; readonly verdict: Verdict } };

let network: Network;
let baseURL: string;
let names: { chat: string; embedding: string };
const budget = { perRequest: 10n ** 12n, total: 10n ** 15n };
const clientOf = (more: Partial<Options> = {}): Client =>
  countersign({
    gateway: network.gatewayUrl,
    trust: network.trust,
    allowDevelopment: true,
    wallet: privateKeyWallet(network.walletKey),
    budget,
    ...more,
  });
const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
const extraOf = (value: unknown) => (value as Extra).countersign;

beforeAll(async () => {
  network = await startNetwork();
  baseURL = `${network.gatewayUrl}/v1`;
  const models = (await clientOf().models()) as unknown as { id: string; countersign: { tasks: readonly string[] } }[];
  const nameOf = (task: string) => {
    const found = models.find((m) => m.countersign.tasks.includes(task));
    if (!found) throw new Error(`The network serves no model for ${task}.`);
    return found.id;
  };
  names = { chat: nameOf("chat"), embedding: nameOf("embedding") };
}, 120_000);
afterAll(() => network?.stop());

describe("our own client", () => {
  test("chats, pays, verifies; the receipt checks alone and is found again", async () => {
    const client = clientOf();
    const answer = await client.chat(messages, { model: names.chat });
    expect(answer.text).not.toBe("");
    expect(answer.verdict.outcome).toBe("met");
    expect(client.verify(answer.receipt, undefined, "signature & logged").outcome).toBe("met");
    expect((await client.refresh(answer.receipt)).verdict.outcome).toBe("met");
    const { spent } = client.spending();
    expect(String(spent)).toBe(answer.payment?.amount ?? "0");
  });

  test("streams under every release rule", async () => {
    for (const release of ["met", "signed", "live"] as const) {
      const stream = await clientOf().stream({ model: names.chat, messages, max_tokens: 8 }, { release });
      let text = "";
      for await (const { choices } of stream)
        text += (choices as { delta: { content?: string } }[])[0]?.delta.content ?? "";
      expect(text).not.toBe("");
      expect((await stream.judged).verdict.outcome, release).not.toBe("refuted");
    }
  });

  test("completes and embeds", async () => {
    const { vectors, verdict } = await clientOf().embed({ model: names.embedding, input: ["one", "two"] });
    expect(vectors).toHaveLength(2);
    expect(vectors[0]).not.toEqual(vectors[1]);
    expect(verdict.outcome).toBe("met");
  });

  test("refuses what nobody offers before paying", async () => {
    const client = clientOf();
    const asked = client.chat(messages, { model: names.chat, policy: "zkml" });
    await expect(asked).rejects.toMatchObject({ code: "ASSURANCE_NOT_OFFERED" });
    expect(client.spending().held).toBe(0n);
  });

  test("does not believe this network without being told to", async () => {
    const asked = clientOf({ allowDevelopment: false }).chat(messages, { model: names.chat });
    await expect(asked).rejects.toMatchObject({ code: "DEVELOPMENT_TRUST_NOT_ALLOWED" });
  });

  test("stops at its budget", async () => {
    const asked = clientOf({ budget: { perRequest: 0, total: 0 } }).chat(messages, { model: names.chat });
    await expect(asked).rejects.toMatchObject({ code: "SPEND_CAP_EXCEEDED" });
  });
});

describe("openai", () => {
  const api = (client = clientOf()) => new OpenAI({ baseURL, apiKey: "unused", fetch: client.fetch });

  test("create and .stream() carry receipt and verdict", async () => {
    const whole = await api().chat.completions.create({ model: names.chat, messages, max_tokens: 8 });
    expect(whole.choices[0]?.message.content).not.toBe("");
    expect(extraOf(whole).verdict.outcome).toBe("met");
    const final = await api()
      .chat.completions.stream({ model: names.chat, messages, max_tokens: 8 })
      .finalChatCompletion();
    expect(extraOf(final).verdict.outcome).toBe("met");
  });

  test("responses, whole and streamed", async () => {
    const answer = await api().responses.create({ model: names.chat, input: "Hello", max_output_tokens: 8 });
    expect(extraOf(answer).verdict.outcome).toBe("met");
    const events = await api().responses.create({
      model: names.chat,
      input: "Hello",
      max_output_tokens: 8,
      stream: true,
    });
    let final: unknown;
    for await (const event of events) if ("response" in event) final = event.response;
    expect(extraOf(final).verdict.outcome).toBe("met");
  });

  test("embeddings, which the library asks for in base64", async () => {
    const { data } = await api().embeddings.create({ model: names.embedding, input: "one" });
    expect(data[0]?.embedding.every((n) => Number.isFinite(n))).toBe(true);
  });

  test("a level suffix that nobody can give is an API error with our code, paid for by nobody", async () => {
    const client = clientOf();
    await expect(api(client).chat.completions.create({ model: `${names.chat}:zkml`, messages })).rejects.toMatchObject({
      code: "ASSURANCE_NOT_OFFERED",
    });
    expect(client.spending()).toMatchObject({ spent: 0n, held: 0n });
  });

  test("works without our client too, where the gateway checks and somebody pays", async () => {
    const { fetch } = uncheckedClient({
      gateway: network.gatewayUrl,
      wallet: privateKeyWallet(network.walletKey),
      budget,
    });
    const plain = new OpenAI({ baseURL, apiKey: "unused", fetch });
    const answer = await plain.chat.completions.create({ model: names.chat, messages, max_tokens: 8 });
    expect(
      clientOf()
        .verify(extraOf(answer).receipt)
        .checks.find((c) => c.id === "statement.signature")?.status,
    ).toBe("passed");
  });
});

describe("the AI SDK", () => {
  const provider = (client: Client) => createOpenAICompatible({ name: "countersign", baseURL, fetch: client.fetch });

  test("generateText, streamText and embed; the receipts are in the store", async () => {
    const client = clientOf();
    const { text, response } = await generateText({
      model: provider(client)(names.chat),
      messages,
      maxOutputTokens: 8,
    });
    expect(text).not.toBe("");
    const id = response.headers?.["x-countersign-receipt"] as string;
    expect((await client.receipts.get(id))?.outcome).toBe("met");
    expect(await streamText({ model: provider(client)(names.chat), messages, maxOutputTokens: 8 }).text).not.toBe("");
    const { embedding } = await embed({ model: provider(client).embeddingModel(names.embedding), value: "one" });
    expect(embedding.length).toBeGreaterThan(1);
    expect(await client.receipts.list()).toHaveLength(3);
  });

  test("the openai provider, which uses /v1/responses", async () => {
    const openai = createOpenAI({ baseURL, apiKey: "unused", fetch: clientOf().fetch });
    const { text } = await generateText({ model: openai(names.chat), messages, maxOutputTokens: 16 });
    expect(text).not.toBe("");
  });
});

describe("LangChain", () => {
  test("invoke and stream", async () => {
    const model = new ChatOpenAI({
      model: names.chat,
      apiKey: "unused",
      maxTokens: 8,
      configuration: { baseURL, fetch: clientOf().fetch },
    });
    expect((await model.invoke("What is the capital of France?")).content).not.toBe("");
    let text = "";
    for await (const chunk of await model.stream("What is the capital of France?")) text += String(chunk.content);
    expect(text).not.toBe("");
  });
});
