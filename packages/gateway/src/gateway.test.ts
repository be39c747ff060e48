import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseReceipt, type Verdict } from "@countersign/core";
import { readBalance } from "@countersign/settlement";
import { verify } from "@countersign/verify";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Served } from "./catalogue.ts";
import { challengeOverHttp } from "./challenge.ts";
import { chatBody, codeOf, defaultLimits, pay, send, signPayment, startWorld, type World } from "./fixtures/world.ts";

let world: World;
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-page-"));
  const page = join(folder, "page");
  mkdirSync(page);
  writeFileSync(join(page, "index.html"), "<!doctype html>the page");
  writeFileSync(join(folder, "secret.txt"), "secret");
  world = await startWorld({
    config: { explorer: page, limits: { ...defaultLimits, heartbeatMs: 20, concurrent: 4 } },
  });
}, 60_000);
afterEach(() => world.node.behave({}));
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

it("asks an enclave for no more attestations than it bears, whoever asks", async () => {
  const { deps, url } = world.gateway;
  const own = deps.challenge;
  const attested = [
    { nodeUrl: "http://node.test", attestation: {}, registration: {}, deployment: { model: { id: "pocket" } } },
  ] as unknown as readonly Served[];
  let asked = 0;
  const challenge = challengeOverHttp({
    served: () => attested,
    token: null,
    now: () => 0,
    fetch: async () => {
      asked++;
      return new Response(new Uint8Array([1]));
    },
  });
  Object.assign(deps, { challenge });
  try {
    const ask = () => fetch(`${url}/v1/nodes/attestation?model=pocket&nonce=${"ab".repeat(32)}`);
    const statuses: number[] = [];
    for (let i = 0; i < 64; i++) statuses.push((await ask()).status);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(await codeOf(refused)).toBe("RATE_LIMITED");
    expect(asked).toBe(64);
  } finally {
    Object.assign(deps, { challenge: own });
  }
});

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

const url = () => world.gateway.url;
const get = (path: string, init?: RequestInit) => fetch(new URL(path, url()), init);

/** A door that tests open. */
function door() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, wait: () => promise };
}

describe("release", () => {
  it("met: heartbeats until the verdict, and no content before it", async () => {
    const gate = door();
    let waiting = 0;
    world.node.behave({
      pause: () => {
        waiting++;
        return waiting === 3 ? gate.wait() : Promise.resolve();
      },
    });
    const response = await send(url(), chatBody({ stream: true }));
    expect(response.status).toBe(200);
    expect(response.headers.get("x-countersign-receipt")).toMatch(/^[0-9a-f]{64}$/);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const early = new TextDecoder().decode((await reader.read()).value);
    expect(early.replaceAll(": held until the verdict\n\n", "")).toBe("");
    gate.open();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read())
      rest += new TextDecoder().decode(part.value);
    expect(rest).toContain("one ");
    expect(rest.endsWith("data: [DONE]\n\n")).toBe(true);
  });

  it("live: pieces flow at once, tool calls wait for the end", async () => {
    const gate = door();
    let waiting = 0;
    const tool = { id: "c", name: "act", arguments: "{}" };
    world.node.behave({
      outputs: [{ kind: "message", content: "one two", tool_calls: [tool], finish: "tool_calls" }],
      pause: () => {
        waiting++;
        return waiting === 2 ? gate.wait() : Promise.resolve();
      },
    });
    const response = await send(url(), chatBody({ stream: true, verification: { release: "live" } }));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    expect(first).toContain('"content":"one "');
    expect(first).not.toContain("tool_calls");
    gate.open();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read())
      rest += new TextDecoder().decode(part.value);
    expect(rest).toContain('"tool_calls"');
  });

  it("an error after heartbeats ends the stream without a proper end", async () => {
    const gate = door();
    world.node.behave({
      pause: gate.wait,
      recommit: (c) => ({ ...c, output: [new TextEncoder().encode("other"), new Uint8Array()] }),
    });
    const response = await send(url(), chatBody({ stream: true }));
    gate.open();
    let text = "";
    const decoder = new TextDecoder();
    await expect(
      (async () => {
        for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) text += decoder.decode(part);
      })(),
    ).rejects.toThrow();
    expect(text).toContain('"code":"OUTPUT_MISMATCH"');
    expect(text).not.toContain("one ");
    expect(text).not.toContain("[DONE]");
  });

  it("refuses more than it can run at once", async () => {
    const gate = door();
    world.node.behave({ pause: gate.wait });
    const asked = Array.from({ length: 6 }, () => send(url(), chatBody()));
    const refused: string[] = [];
    for (const one of asked) {
      void one.then(async (r) => {
        if (r.status === 429) refused.push(await codeOf(r));
        if (refused.length === 2) gate.open();
      });
    }
    await Promise.all(asked);
    expect(refused).toEqual(["RATE_LIMITED", "RATE_LIMITED"]);
  });
});

describe("a kept answer", () => {
  it("is settled and given when its caller, who left at the end, comes back with the payment", async () => {
    const before = await balance();
    const body = chatBody({ model: "paid-model" });
    const first = await send(url(), body);
    const { decodeRequired } = await import("@countersign/settlement");
    const payment = await signPayment(world, decodeRequired(first.headers.get("payment-required") as string));
    const headers = { "payment-signature": payment };
    const runs = world.node.runs();
    // The node's last words are out when the caller leaves: the run is whole, and nobody is there to take it.
    const left = new AbortController();
    const { log } = world.gateway.deps;
    const { append } = log;
    const arrived = Promise.withResolvers<void>();
    (log as { append: typeof append }).append = async (entry) => {
      left.abort();
      // Two round trips on the same loop: by then the gateway has seen the connection close.
      for (let i = 0; i < 2; i++) await (await get("/healthz")).text();
      arrived.resolve();
      return append(entry);
    };
    try {
      await expect(send(url(), body, { headers, signal: left.signal })).rejects.toThrow();
      await arrived.promise;
    } finally {
      (log as { append: typeof append }).append = append;
    }
    let again = await send(url(), body, { headers });
    for (let i = 0; again.status === 409 && i < 1000; i++) again = await send(url(), body, { headers });
    expect(again.status).toBe(200);
    expect(world.node.runs() - runs).toBe(1);
    const text = await again.text();
    expect(judge(JSON.parse(text).countersign.receipt, body, text).outcome).toBe("met");
    expect(before - (await balance())).toBe(BigInt(JSON.parse(text).countersign.payment.amount));
  });
});

describe("routes", () => {
  it("lists models with what can be bought", async () => {
    const { data } = (await (await get("/v1/models")).json()) as { data: { id: string; countersign: object }[] };
    expect(data.map((m) => m.id)).toEqual(["free-model", "paid-model"]);
    expect(data[1]?.countersign).toMatchObject({
      levels: ["signature"],
      guarantees: ["signature"],
      price: { base: "1000" },
      scope: "inference",
      deployment: { id: "paid-model@fake", version: 1, node: world.node.key },
    });
    expect((await get("/v1/models/paid-model")).status).toBe(200);
    const near = await get("/v1/models/paid-modle");
    expect(await near.json()).toMatchObject({ error: { code: "MODEL_UNKNOWN", facts: { near: ["paid-model"] } } });
  });

  it("says in one envelope what is not there, and keeps its inside to itself", async () => {
    const missing = await get("/v1/modells");
    expect(`${missing.status} ${await codeOf(missing)}`).toBe("404 ENDPOINT_UNKNOWN");
    const method = await get("/v1/chat/completions");
    expect(`${method.status} ${await codeOf(method)}`).toBe("405 METHOD_NOT_ALLOWED");
    const index = await get("/v1/log/entries?from=-1");
    expect(`${index.status} ${await codeOf(index)}`).toBe("400 REQUEST_FIELD_INVALID");
  });

  it("lets pages of other origins ask, pay and read the receipt", async () => {
    const preflight = await get("/v1/chat/completions", { method: "OPTIONS" });
    expect(preflight.status).toBe(204);
    for (const response of [preflight, await send(url(), chatBody()), await get("/v1/models"), await get("/nothing")]) {
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(response.headers.get("access-control-expose-headers")).toBe("*");
      if (response !== preflight) expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it("gives receipts by id, entries by root, proofs by index, and tells how far a receipt has come", async () => {
    const response = await send(url(), chatBody());
    const id = response.headers.get("x-countersign-receipt");
    await response.text();
    const events = await (await get(`/v1/receipts/${id}/events`)).text();
    expect(events).toContain('{"logged":true,"witnessed":true,"searched":false}');
    const { receipt } = (await (await get(`/v1/receipts/${id}`)).json()) as {
      receipt: { openings: { path: string }[]; holder: null; inclusion: { entry: string; proof: string }[] };
    };
    expect(receipt.openings.map((o) => o.path).sort()).toEqual([
      "model",
      "offer",
      "policy",
      "profile",
      "promptVersion",
    ]);
    expect(receipt.holder).toBe(null);
    expect(receipt.inclusion.length).toBe(1);
    const entries = (await (await get("/v1/log/entries?from=0&count=1000")).json()) as {
      entries: { index: number; subject: string; kind: string }[];
    };
    const last = entries.entries.at(-1) as (typeof entries.entries)[number];
    const byRoot = (await (await get(`/v1/receipts/by-root/${last.subject}`)).json()) as object;
    expect(byRoot).toMatchObject({ index: last.index, entry: receipt.inclusion[0]?.entry });
    expect(JSON.stringify(byRoot)).not.toContain("payment");
    expect(await (await get(`/log/proof/${last.index}`)).text()).toContain("c2sp.org/tlog-proof@v1");
    const none = await get("/log/proof/1000000");
    expect(`${none.status} ${await codeOf(none)}`).toBe("422 INCLUSION_MISSING");
    expect(await (await get("/log/checkpoint")).text()).toMatch(/^gateway\.test\/log\n/);
  });

  it("recounts levels from the log, and leaves out synthetic traffic", async () => {
    type Stats = { receipts: number; synthetic: number };
    const read = async () => (await (await get("/v1/stats")).json()) as Stats;
    const before = await read();
    const answer = await send(url(), chatBody({ verification: "signature & logged" }), {
      headers: { "x-countersign-synthetic": "1" },
    });
    await answer.text();
    await (await send(url(), chatBody({ verification: "signature & logged" }))).text();
    const after = await read();
    expect(after.synthetic - before.synthetic).toBe(1);
    expect(after.receipts - before.receipts).toBe(1);
  });

  it("streams new entries", async () => {
    const left = new AbortController();
    const feed = await get("/v1/log/events?from=0", { signal: left.signal });
    const { value } = await (feed.body as ReadableStream<Uint8Array>).getReader().read();
    expect(new TextDecoder().decode(value)).toContain("event: entry");
    left.abort();
  });

  it("describes the network, its health and its refusals", async () => {
    await (await send(url(), chatBody({ model: "nothing" }))).text();
    const network = (await (await get("/v1/network")).json()) as { refusals: { counts: Record<string, number> }[] };
    expect(network).toMatchObject({
      development: true,
      chainRpc: null,
      gateway: { key: world.gateway.deps.identity.key },
      log: { origin: "gateway.test/log", witnesses: 1 },
      nodes: [{ state: "up", faults: [] }],
    });
    expect(network.refusals[0]?.counts.MODEL_UNKNOWN).toBeGreaterThan(0);
    expect(await (await get("/healthz")).json()).toEqual({ ready: true, missing: [] });
  });

  it("serves the page, and nothing beside it", async () => {
    const page = await get("/");
    expect(await page.text()).toContain("the page");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    const outside = await get("/assets/..%2f..%2fsecret.txt");
    expect(`${outside.status} ${await codeOf(outside)}`).toBe("404 ENDPOINT_UNKNOWN");
  });
});
