import { parseReceipt, type Verdict } from "@countersign/core";
import { readBalance } from "@countersign/settlement";
import { verify } from "@countersign/verify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody, pay, send, startWorld, type World } from "./fixtures/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.close());

const judge = (receipt: unknown, body: string, answer: string, path = "/v1/chat/completions"): Verdict =>
  verify({
    receipt,
    delivered: {
      request: { method: "POST", path, body: new TextEncoder().encode(body) },
      output: { body: new TextEncoder().encode(answer) },
    },
    trust: world.trust,
    at: Date.now(),
    allowDevelopment: true,
  });

const balance = () => readBalance(world.chain.rpc, world.contracts.token.address, world.payer.address);

describe("a paid chat", () => {
  it("answers with a receipt that the client checks himself", async () => {
    const before = await balance();
    const body = chatBody({ model: "paid-model" });
    const { response } = await pay(world, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const answer = JSON.parse(text);
    expect(answer.choices[0].message.content).toBe("one two three");
    const verdict = judge(parseReceipt(answer.countersign.receipt), body, text);
    expect(verdict.outcome, verdict.summary).toBe("met");
    expect(response.headers.get("x-countersign-verdict")).toBe("met");
    expect(answer.countersign.payment.transaction).toMatch(/^0x/);
    expect(before - (await balance())).toBe(BigInt(answer.countersign.payment.amount));
    expect(world.faults).toEqual([]);
  });

  it("streams the same with the receipt on the usage chunk", async () => {
    const body = chatBody({ model: "paid-model", stream: true });
    const { response } = await pay(world, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    const chunks = text
      .split("\n\n")
      .filter((l) => l.startsWith("data: {"))
      .map((l) => JSON.parse(l.slice(6)));
    const last = chunks.at(-1);
    expect(last.choices).toEqual([]);
    const verdict = judge(last.countersign.receipt, body, text);
    expect(verdict.outcome, verdict.summary).toBe("met");
  });
});

void send;
