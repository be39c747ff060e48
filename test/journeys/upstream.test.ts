// Somebody's OpenAI-compatible server, sold at the level `origin`: what its receipts say, and what they refuse to say.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError, type JsonObject } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { type Client, countersign, privateKeyWallet } from "@countersign/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Network, startNetwork, upstreamId } from "../../packages/cli/src/network/start.ts";

let vendor: Server;
let network: Network;
let client: Client;
let home: string;
let named = "vendor-model-1";
const messages = [{ role: "user", content: "What is the capital of France?" }];
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

beforeAll(async () => {
  vendor = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const { stream } = JSON.parse(text) as { stream?: boolean };
    const frame = { id: "v", created: 1, model: named };
    if (!stream) {
      const choice = { index: 0, message: { role: "assistant", content: "Paris." }, finish_reason: "stop" };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ ...frame, object: "chat.completion", choices: [choice], usage }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (value: object) =>
      response.write(`data: ${JSON.stringify({ ...frame, object: "chat.completion.chunk", ...value })}\n\n`);
    send({ choices: [{ index: 0, delta: { role: "assistant", content: "Par" }, finish_reason: null }] });
    send({ choices: [{ index: 0, delta: { content: "is." }, finish_reason: null }] });
    send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
    send({ choices: [], usage });
    response.end("data: [DONE]\n\n");
  });
  await new Promise<void>((resolve) => vendor.listen(0, "127.0.0.1", resolve));
  home = await mkdtemp(join(tmpdir(), "countersign-upstream-"));
  const url = `http://127.0.0.1:${(vendor.address() as AddressInfo).port}/v1`;
  network = await startNetwork({
    home,
    port: 0,
    models: ["countersign-pocket"],
    upstream: { url, model: "vendor-model-1" },
  });
  client = countersign({
    gateway: network.gatewayUrl,
    trust: network.trust,
    allowDevelopment: true,
    wallet: privateKeyWallet(network.walletKey),
    budget: { perRequest: 100_000, total: 1_000_000 },
    suite: nodeSuite,
  });
});
afterAll(async () => {
  await network?.stop();
  await new Promise((resolve) => vendor?.close(resolve));
  await rm(home, { recursive: true, force: true });
});

const codeOf = async (run: () => Promise<unknown>) => {
  try {
    await run();
  } catch (error) {
    return CountersignError.is(error) ? error.code : String(error);
  }
  return "no error";
};

test.each([false, true])(
  "an answer is sold as origin, streamed %s: this host returned these bytes, and no more",
  async (streamed) => {
    const input: JsonObject = { model: upstreamId, messages };
    const options = { policy: "origin" };
    let verdict: Awaited<ReturnType<Client["chat"]>>["verdict"];
    if (streamed) {
      const stream = await client.stream(input, options);
      for await (const _ of stream);
      ({ verdict } = await stream.judged);
    } else {
      const answer = await client.chat(input, options);
      expect(answer.text).toBe("Paris.");
      ({ verdict } = answer);
    }
    const status = (claim: string) => verdict.findings.find((f) => f.claim === claim)?.status;
    expect(verdict.outcome).toBe("met");
    expect(status("origin")).toBe("proven");
    expect(status("output")).toBe("proven");
    expect(status("model")).toBe("unproven");
    expect(status("execution")).toBe("unproven");
  },
);

test("a model behind somebody's server is never sold at a level above origin", async () => {
  for (const policy of ["signature", "reexecution", "tee", "zkml", "execution:signature"]) {
    expect(await codeOf(() => client.chat({ model: upstreamId, messages }, { policy }))).toBe("ASSURANCE_NOT_OFFERED");
  }
});

test("an upstream that answers with another model than it was asked for is refused, and nothing is charged", async () => {
  named = "vendor-model-mini";
  const before = client.spending().spent;
  expect(await codeOf(() => client.chat({ model: upstreamId, messages }, { policy: "origin" }))).toBe("MODEL_MISMATCH");
  expect(client.spending().spent).toBe(before);
  named = "vendor-model-1";
});
