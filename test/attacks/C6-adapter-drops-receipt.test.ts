import type { Verdict } from "@countersign/core";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { meet, question } from "./clients.ts";

type Carried = { countersign: { receipt: object; verdict: Verdict } };
const messages = question.messages as { role: "user"; content: string }[];

test("C6: an OpenAI client over our fetch has receipt and verdict in its answer", async () => {
  const { client } = meet();
  const api = new OpenAI({ baseURL: "https://gateway.test/v1", apiKey: "unused", fetch: client.fetch });
  const answer = (await api.chat.completions.create({ ...question, messages })) as unknown as Carried;
  expect(answer.countersign.verdict.outcome).toBe("met");
  expect(client.verify(answer.countersign.receipt).outcome).toBe("met");
});

test("C6: so has its stream, at the end", async () => {
  const { client } = meet();
  const api = new OpenAI({ baseURL: "https://gateway.test/v1", apiKey: "unused", fetch: client.fetch });
  let carried: Carried["countersign"] | undefined;
  for await (const chunk of await api.chat.completions.create({ ...question, messages, stream: true }))
    carried = (chunk as unknown as Partial<Carried>).countersign ?? carried;
  expect(carried?.verdict.outcome).toBe("met");
});

test("C6: and the header tells the level to whoever shows the answer", async () => {
  const { client } = meet();
  const response = await client.fetch("https://gateway.test/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify(question),
  });
  expect(response.headers.get("x-countersign-verdict")).toBe("met");
  expect(response.headers.get("x-countersign-receipt")).toMatch(/^[0-9a-f]{64}$/);
});
