import {
  type Envelope,
  type ErrorCode,
  fromBase64,
  fromUtf8,
  isSignedBy,
  type JsonObject,
  type Output,
  readDelivery,
  readRun,
  sha256,
  toHex,
  utf8,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { at } from "../../../../test/fixtures/fake-gateway.ts";
import { keyOf, trust } from "../../../../test/fixtures/receipt.ts";
import { type SealedLies, sealedGateway, sealedTrust } from "../../../../test/fixtures/sealed-gateway.ts";
import { CountersignError, countersign, type Options, privateKeyWallet } from "../index.ts";
import { innerBody } from "./seal.ts";

const messages = [{ role: "user", content: "Capital of France?" }];
const body = { model: "pocket", messages, max_tokens: 16 };
const demanded = "signature & logged & confidential:hardware";

/** Different bytes at each draw. */
function countingRandom() {
  let drawn = 0;
  return () => sha256(utf8(`draw ${drawn++}`));
}

async function meet(lies: SealedLies = {}, more: Partial<Options> = {}) {
  const gateway = await sealedGateway(lies);
  const client = countersign({
    gateway: "https://gateway.test",
    trust: sealedTrust,
    wallet: privateKeyWallet(toHex(sha256(utf8("payer")))),
    budget: { perRequest: 1000, total: 10_000 },
    policy: demanded,
    allowDevelopment: true,
    fetch: gateway.fetch,
    random: countingRandom(),
    now: () => at,
    sleep: async () => undefined,
    suite: nodeSuite,
    ...more,
  });
  const posts = () => gateway.seen.requests.filter((r) => r.body !== "");
  return {
    client,
    seen: gateway.seen,
    keyset: gateway.keyset,
    posts,
    paid: () => posts().filter((r) => r.paid).length,
  };
}

async function errorOf(promise: Promise<unknown>): Promise<CountersignError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!CountersignError.is(error)) throw new Error(`expected a CountersignError, got ${String(error)}`);
  return error;
}
const codeOf = async (promise: Promise<unknown>) => (await errorOf(promise)).code;

const message = (content: string): Output => ({ kind: "message", content, tool_calls: [], finish: "stop" });
const long = message("Paris is the capital of France and has been for long.");

async function collect(stream: AsyncIterable<JsonObject>): Promise<{ text: string; chunks: JsonObject[] }> {
  const chunks: JsonObject[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks
    .flatMap((c) => (c.choices as { delta: { content?: string } }[]).map((choice) => choice.delta.content ?? ""))
    .join("");
  return { text, chunks };
}

describe("a sealed call", () => {
  test("checks the enclave, sends nothing in clear, and proves `confidential`", async () => {
    const { client, seen, posts } = await meet();
    const answer = await client.chat(body);
    expect(answer.text).toBe("Paris");
    expect(answer.verdict.outcome).toBe("met");
    const found = answer.verdict.findings.find((f) => f.claim === "confidential");
    expect(found).toMatchObject({ status: "proven", ground: "hardware", development: true });
    expect(seen.requests.map((r) => `${r.path} ${r.paid}`)).toEqual([
      "/v1/nodes/attestation false",
      "/v1/chat/completions false",
      "/v1/network false",
      "/v1/chat/completions true",
    ]);
    for (const { body: sent } of posts()) {
      expect(sent).not.toMatch(/France|messages/);
      expect(Object.keys(JSON.parse(sent))).toEqual(["model", "max_tokens", "sealed"]);
    }
    expect(seen.opened).toEqual([JSON.stringify(body)]);
    expect(client.spending()).toMatchObject({ spent: 150n, held: 0n });
  });

  test("is not disturbed by what a gateway writes over what the enclave opened", async () => {
    const stray = { path: "output", salt: "00".repeat(32), value: "absent" } as const;
    const { client } = await meet({ receipt: (r) => ({ ...r, openings: [stray, ...r.openings] }) });
    const { verdict } = await client.chat(body);
    expect(verdict.outcome).toBe("met");
    expect(verdict.checks.filter((c) => c.status === "failed")).toEqual([]);
  });

  test("gives a receipt that checks alone, with what was sealed beside it", async () => {
    const { client, posts } = await meet();
    const { receipt } = await client.chat(body);
    expect(fromUtf8(fromBase64(receipt.sealed as string))).toBe(posts().at(-1)?.body);
    expect(client.verify(receipt, undefined, demanded).outcome).toBe("met");
    const { sealed: _, ...without } = receipt;
    expect(client.verify(without, undefined, demanded).outcome).toBe("unmet");
    expect(client.verify({ ...receipt, sealed: btoa("{}") }, undefined, demanded).outcome).toBe("unmet");
    const stored = await client.receipts.get(receipt.holder?.receiptId as string);
    expect(stored?.receipt).toEqual(receipt);
  });

  test("has no sealing where nobody asks, and by the call's own word without the claim", async () => {
    const clear = await meet({}, { policy: "signature & logged" });
    expect(await codeOf(clear.client.chat(body))).toBe("REQUEST_MALFORMED");
    expect(clear.posts()[0]?.body).toContain("France");
    const { client, posts } = await meet({}, { policy: "signature & logged" });
    const answer = await client.chat(body, { channel: "sealed" });
    expect(answer.text).toBe("Paris");
    expect(posts().every((r) => !r.body.includes("France"))).toBe(true);
    expect(await codeOf(client.chat(body, { channel: "Sealed" as never }))).toBe("OPTION_UNKNOWN");
  });

  test("needs no payment where it is free", async () => {
    const { client, paid } = await meet({ free: true }, { wallet: undefined as never });
    expect((await client.chat(body)).text).toBe("Paris");
    expect(paid()).toBe(0);
  });

  test("streams: held until the verdict, or event by event under `live`", async () => {
    for (const release of ["met", "signed", "live"] as const) {
      const { client, seen } = await meet({ outputs: [long] });
      const stream = await client.stream(body, { release });
      const iterator = stream[Symbol.asyncIterator]();
      const first = await iterator.next();
      if (release === "live") expect(seen.events.length).toBeLessThan(6);
      else expect(seen.events.at(-1)).toBe("data: [DONE]\n\n");
      expect(first.done).toBe(false);
      const { text, chunks } = await collect({ [Symbol.asyncIterator]: () => iterator });
      expect(text).toBe((long as { content: string }).content);
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 4 } });
      expect((await stream.judged).verdict.outcome).toBe("met");
      expect(seen.events.join("")).not.toMatch(/capital|delta/);
    }
  });

  test("is the same wherever the text is cut into chunks", async () => {
    for (const cut of [
      (text: string) => [text],
      (text: string) => text.match(/[\s\S]{1,37}/g) ?? [],
      (text: string) => ["", ...text.split(/(?=\n)/), ""],
    ]) {
      const { client } = await meet({ outputs: [long], cut });
      expect((await client.chat(body)).text).toBe((long as { content: string }).content);
      const { text } = await collect(await client.stream(body));
      expect(text).toBe((long as { content: string }).content);
    }
  });

  test("works for every endpoint", async () => {
    const text: Output = { kind: "text", text: "Paris", finish: "stop" };
    const embedding: Output = { kind: "embedding", data: "AACAPwAAAEA=" };
    const tensor: Output = { kind: "tensor", name: "y", type: "float32", dims: [1], data: "AACAPw==" };
    const complete = await meet({ outputs: [text] });
    expect((await complete.client.complete({ model: "pocket", prompt: "France?" })).text).toBe("Paris");
    const embed = await meet({ outputs: [embedding] });
    expect((await embed.client.embed({ model: "pocket", input: "France" })).vectors).toEqual([[1, 2]]);
    const infer = await meet({ outputs: [tensor] });
    const x = { type: "float32", dims: [1], data: new Float32Array([3]) } as const;
    expect((await infer.client.infer("pocket", { x })).outputs.y).toMatchObject({ dims: [1] });
    for (const stream of [false, true]) {
      const { client, posts } = await meet();
      const response = await client.fetch("https://gateway.test/v1/responses", {
        method: "POST",
        body: JSON.stringify({ model: "pocket", input: "France?", stream, max_output_tokens: 5 }),
      });
      const told = await response.text();
      expect(response.status, told).toBe(200);
      expect(told).toContain("Paris");
      expect(told).toContain('"countersign":{"receipt"');
      expect(Object.keys(JSON.parse(posts()[0]?.body as string)).sort()).toEqual([
        "max_output_tokens",
        "model",
        "sealed",
        "stream",
      ]);
    }
  });

  test("works behind the drop-in fetch, with level and policy taken out of what is sealed", async () => {
    const { client, seen } = await meet({}, { policy: undefined as never });
    const sent = `{"model":"pocket:signature","seed":12345678901234567,"verification":"confidential:hardware","messages":[{"role":"user","content":"a\\u0062c"}] , "temperature":0.70}`;
    const response = await client.fetch("https://gateway.test/v1/chat/completions", {
      method: "POST",
      body: sent.replace("12345678901234567", "1234567"),
    });
    const answer = (await response.json()) as JsonObject;
    expect(response.status, JSON.stringify(answer)).toBe(200);
    expect(response.headers.get("x-countersign-verdict")).toBe("met");
    expect(seen.opened).toEqual([
      `{"model":"pocket","seed":1234567,"messages":[{"role":"user","content":"a\\u0062c"}],"temperature":0.70}`,
    ]);
    expect(seen.requests.at(-1)?.headers.get("x-verification")).toContain("confidential:hardware");
  });

  test("takes the bytes as they are where nothing has to go", () => {
    const plain = utf8('{ "model":"pocket", "x": 1.0 }');
    expect(innerBody({ plain, model: "pocket", value: { model: "pocket", x: 1 } })).toBe(plain);
  });
});

describe("the enclave's keys", () => {
  test("are asked for once, and again when they may have ended", async () => {
    let time = at;
    const { client, seen } = await meet({ free: true }, { now: () => time });
    const asked = () => seen.requests.filter((r) => r.path === "/v1/nodes/attestation").length;
    await client.chat(body);
    await client.chat(body);
    expect(asked()).toBe(1);
    time += 3_600_001;
    await errorOf(client.chat(body)).catch(() => undefined);
    expect(asked()).toBe(2);
    const nonces = seen.requests.map((r) => r.headers.get("x-countersign-nonce")).filter((n) => n !== null);
    expect(new Set(nonces).size).toBe(nonces.length);
  });

  test("are asked for anew, once, when the gateway says that they are others", async () => {
    const once = await meet({ stale: { unpaid: 1 } });
    expect((await once.client.chat(body)).text).toBe("Paris");
    expect(once.seen.requests.filter((r) => r.path === "/v1/nodes/attestation")).toHaveLength(2);
    const [first, second] = once.posts();
    expect(first?.headers.get("x-countersign-nonce")).not.toBe(second?.headers.get("x-countersign-nonce"));
    const always = await meet({ stale: { unpaid: 9 } });
    expect(await codeOf(always.client.chat(body))).toBe("TEE_CHANNEL_NOT_BOUND");
    expect(always.posts()).toHaveLength(2);
  });

  test("after a payment are only forgotten: whoever asked again would pay again", async () => {
    const { client, paid, seen } = await meet({ stale: { paid: 1 } });
    expect(await codeOf(client.chat(body))).toBe("TEE_CHANNEL_NOT_BOUND");
    expect(paid()).toBe(1);
    expect(client.spending()).toMatchObject({ spent: 0n, held: 150n });
    expect((await client.chat(body)).text).toBe("Paris");
    expect(seen.requests.filter((r) => r.path === "/v1/nodes/attestation")).toHaveLength(2);
  });
});

describe("nothing of the prompt leaves", () => {
  const without = (use: string): SealedLies => ({
    keyset: (k) => ({ ...k, keys: k.keys.filter((key) => key.use !== use) }),
  });
  const flipped: SealedLies = {
    attestation: (bytes) => utf8(fromUtf8(bytes).replace(/"madeAt":(\d)/, '"madeAt" :$1')),
  };
  test.each<[string, SealedLies, Partial<Options>, ErrorCode]>([
    ["without trust in such hardware", {}, { trust }, "TEE_SIMULATED_NOT_ALLOWED"],
    [
      "to an enclave of another code",
      {},
      { trust: changedHardware({ measurements: ["00".repeat(32)] }) },
      "TEE_MEASUREMENT_UNKNOWN",
    ],
    [
      "to one whose code nobody accepts",
      {},
      { trust: changedHardware({ measurements: [] }) },
      "TEE_MEASUREMENT_POLICY_EMPTY",
    ],
    [
      "to a machine that stands elsewhere",
      {},
      { trust: changedHardware({ custody: ["hyperscaler"] }) },
      "TEE_CUSTODY_NOT_ALLOWED",
    ],
    ["on an attestation that was changed", flipped, {}, "TEE_TRAILING_DATA"],
    ["on an attestation for another nonce", { nonce: () => "00".repeat(32) }, {}, "TEE_NONCE_MISMATCH"],
    ["to keys that have ended", { keyset: (k) => ({ ...k, notAfter: at - 1 }) }, {}, "TEE_KEYSET_EXPIRED"],
    ["to keys of another network", { keyset: (k) => ({ ...k, network: "eip155:1" }) }, {}, "TEE_KEY_NOT_BOUND"],
    ["to an enclave without a channel key", without("channel"), {}, "TEE_CHANNEL_NOT_BOUND"],
    ["to an enclave without a receipt key", without("receipt"), {}, "TEE_CUSTODY_NOT_ALLOWED"],
    [
      "to an enclave that asks another host",
      { keyset: (k) => ({ ...k, scope: "proxy", models: [] }) },
      {},
      "TEE_SCOPE_PROXY_ONLY",
    ],
    [
      "to a place that the policy does not name",
      {},
      { policy: "signature & confidential:hardware(custody=hyperscaler)" },
      "ASSURANCE_NOT_OFFERED",
    ],
    [
      "to a place that the policy names in another claim's name",
      {},
      { policy: "signature & origin:hardware(custody=hyperscaler) & confidential:hardware" },
      "ASSURANCE_NOT_OFFERED",
    ],
    ["on an answer without an attestation", { shown: () => ({ attestation: 3 }) }, {}, "TEE_EVIDENCE_MALFORMED"],
    ["on one that is not base64", { shown: (b) => ({ ...b, attestation: "Zh==" }) }, {}, "TEE_EVIDENCE_MALFORMED"],
    ["without a trust file", {}, { trust: undefined as never }, "TRUST_MISSING"],
    ["to a stand-in that was not allowed by name", {}, { allowDevelopment: false }, "DEVELOPMENT_TRUST_NOT_ALLOWED"],
  ])("%s", async (_, lies, options, code) => {
    const { client, posts } = await meet(lies, options);
    expect(await codeOf(client.chat(body))).toBe(code);
    expect(posts()).toEqual([]);
  });

  test("for a request that cannot be sealed as it is", async () => {
    const { client, posts } = await meet();
    expect(await codeOf(client.chat({ ...body, max_tokens: "many" }))).toBe("CHANNEL_MALFORMED");
    expect(posts()).toEqual([]);
  });

  function changedHardware(change: Partial<(typeof sealedTrust.hardware)[number]>) {
    return { ...sealedTrust, hardware: sealedTrust.hardware.map((h) => ({ ...h, ...change })) };
  }
});

describe("nothing is paid", () => {
  test.each<[string, SealedLies, ErrorCode]>([
    [
      "to another node than the enclave",
      { offer: (o) => ({ ...o, node: toHex(keyOf("mallory").publicKey) }) },
      "TEE_KEY_NOT_BOUND",
    ],
    [
      "for a model that was not measured",
      { offer: (o) => ({ ...o, model: { ...o.model, digest: "00".repeat(32) } }) },
      "TEE_MODEL_NOT_MEASURED",
    ],
    ["for another sealed body", { offer: (o) => ({ ...o, requestDigest: "00".repeat(32) }) }, "REQUEST_MISMATCH"],
    ["under a weaker policy", { demand: () => "signature" }, "REQUEST_MISMATCH"],
  ])("%s", async (_, lies, code) => {
    const { client, paid } = await meet(lies);
    expect(await codeOf(client.chat(body))).toBe(code);
    expect(paid()).toBe(0);
  });
});

const flip = (bytes: Uint8Array): Uint8Array => {
  const out = bytes.slice();
  out[7] = (out[7] as number) ^ 1;
  return out;
};
/** Another nonce, in an answer in one piece and in a stream. */
const otherNonce = (event: JsonObject, index: number): JsonObject =>
  index === 0 ? { ...event, sealed: { ...(event.sealed as JsonObject), nonce: "00".repeat(32) } } : event;
const said = [{ index: 0, message: { role: "assistant", content: "Lyon" }, delta: { content: "Lyon" } }];
const channelOf = (change: object): SealedLies => ({
  statement: (s) => ({ ...s, channel: { ...(s.channel as NonNullable<typeof s.channel>), ...change } }),
});

describe("an answer that is not what was sealed is never handed on", () => {
  const chunks = (change: (list: readonly Uint8Array[]) => readonly Uint8Array[]): SealedLies => ({
    outputs: [long],
    cut: (text) => [text.slice(0, 100), text.slice(100)],
    chunks: change,
  });
  const both: [string, SealedLies, ErrorCode][] = [
    ["in clear", { event: (e) => ({ choices: said, countersign: e.countersign ?? {} }) }, "CHANNEL_PLAINTEXT"],
    ["with text in clear beside it", { event: (e) => ({ ...e, choices: said }) }, "CHANNEL_MALFORMED"],
    ["a flipped bit", chunks((list) => list.map((c, i) => (i === 1 ? flip(c) : c))), "CHANNEL_UNOPENED"],
    [
      "a flipped bit in the last chunk",
      chunks((list) => list.map((c, i) => (i === 2 ? flip(c) : c))),
      "CHANNEL_UNOPENED",
    ],
    ["a chunk too few", chunks(([a, , c]) => [a, c] as Uint8Array[]), "CHANNEL_UNOPENED"],
    ["a chunk twice", chunks(([a, b, c]) => [a, a, b, c] as Uint8Array[]), "CHANNEL_UNOPENED"],
    ["another order", chunks(([a, b, c]) => [b, a, c] as Uint8Array[]), "CHANNEL_UNOPENED"],
    ["cut before its end", chunks(([a, b]) => [a, b] as Uint8Array[]), "CHANNEL_TRUNCATED"],
    [
      "a request changed in clear on the way",
      { body: (b) => utf8(fromUtf8(b).replace('"max_tokens":16', '"max_tokens":17')) },
      "CHANNEL_UNOPENED",
    ],
    ["no receipt in it", { privatePart: () => ({ receiptSecret: "00" }) }, "CHANNEL_MALFORMED"],
    ["a foreign secret", { privatePart: (p) => ({ ...p, receiptSecret: "00".repeat(32) }) }, "ASSURANCE_NOT_MET"],
    ["a text that is not the committed one", { text: (t) => t.replaceAll("Paris", "Lyon") }, "ASSURANCE_NOT_MET"],
    ["a statement without a channel", { statement: () => ({ labels: ["development"] }) }, "ASSURANCE_NOT_MET"],
    ["a statement about another keyset", channelOf({ keyset: "00".repeat(32) }), "ASSURANCE_NOT_MET"],
    ["a statement about another key", channelOf({ key: "00".repeat(32) }), "ASSURANCE_NOT_MET"],
    ["a statement about another sealed request", channelOf({ request: "00".repeat(32) }), "ASSURANCE_NOT_MET"],
    ["a statement about another sealed answer", channelOf({ answer: "00".repeat(32) }), "OUTPUT_MISMATCH"],
    ["a gateway that saw it in clear", { delivery: ({ saw: _, ...d }) => d }, "ASSURANCE_NOT_MET"],
    ["no evidence of the enclave", { receipt: (r) => ({ ...r, evidence: [] }) }, "ASSURANCE_NOT_MET"],
    ["no receipt", { receipt: () => null }, "ASSURANCE_NOT_MET"],
  ];
  test.each(both)("%s", async (_, lies, code) => {
    for (const stream of [false, true]) {
      const { client, paid } = await meet(lies);
      const error = await errorOf(stream ? client.stream(body) : client.chat(body));
      expect(error.code, `stream ${stream}: ${error.message}`).toBe(code);
      expect(paid()).toBe(1);
      expect(client.spending()).toMatchObject({ spent: 0n, held: 150n });
      // Neither what was said nor what was asked stands in what may end up in a log.
      expect(`${error.message}${JSON.stringify(error.detail)}`).not.toMatch(/Lyon|France/);
    }
  });

  test.each<[string, SealedLies]>([
    ["the last chunk", chunks((list) => list.map((c, i) => (i === 2 ? flip(c) : c)))],
    ["the first chunk", chunks((list) => list.map((c, i) => (i === 0 ? flip(c) : c)))],
    ["a chunk that is left out", chunks(([a, , c]) => [a, c] as Uint8Array[])],
    ["the nonce", { event: otherNonce }],
  ])("shows who changed it, by two signatures over other bytes than came: %s", async (_, lies) => {
    for (const stream of [false, true]) {
      const { client } = await meet(lies);
      const { code, detail } = await errorOf(stream ? client.stream(body) : client.chat(body));
      expect(code).toBe("CHANNEL_UNOPENED");
      expect(detail.why).toContain("changed after the gateway countersigned");
      const { came, signed, statement, delivery } = detail.facts as Record<"statement" | "delivery", Envelope> &
        Record<string, unknown>;
      const run = readRun(statement);
      expect(run.predicate.channel?.answer).toBe(signed);
      expect(came).not.toBe(signed);
      expect(readDelivery(delivery)).toMatchObject({ subject: run.subject, predicate: { saw: "ciphertext" } });
      expect(isSignedBy(delivery, toHex(keyOf("gateway").publicKey), nodeSuite)).toBe(true);
      expect(isSignedBy(statement, toHex(keyOf("node").publicKey), nodeSuite)).toBe(true);
    }
  });

  test("says that the node sealed what does not open, where the chunks are those that it signed", async () => {
    const { client } = await meet({ sealed: (list) => list.map((c, i) => (i === 1 ? flip(c) : c)) });
    const { code, detail } = await errorOf(client.chat(body));
    expect(code).toBe("CHANNEL_UNOPENED");
    expect(detail.why).toContain("the node answers for it");
    expect(detail.facts?.came).toBe(detail.facts?.signed);
  });

  test("is refused as it is where its receipt shows nothing", async () => {
    const broken = chunks((list) => list.map((c, i) => (i === 2 ? flip(c) : c)));
    for (const receipt of [() => null, (r: object) => ({ ...r, statement: { payload: "" } })]) {
      const { client } = await meet({ ...broken, receipt });
      const { code, detail } = await errorOf(client.chat(body));
      expect(code).toBe("CHANNEL_UNOPENED");
      expect(detail.facts).toBeUndefined();
    }
  });

  test.each<[string, SealedLies, ErrorCode]>([
    [
      "a second beginning",
      { event: (e, i) => (i === 1 ? { sealed: { nonce: "00".repeat(32) } } : e) },
      "STREAM_MALFORMED",
    ],
    ["a chunk before the nonce", { event: (e, i) => (i === 0 ? null : e) }, "STREAM_MALFORMED"],
    ["nothing in it", { event: () => null }, "STREAM_TRUNCATED"],
    ["another nonce", { event: (e, i) => (i === 0 ? { sealed: { nonce: "00".repeat(32) } } : e) }, "CHANNEL_UNOPENED"],
    ["no `[DONE]`", { end: "" }, "STREAM_TRUNCATED"],
    ["something behind its end", { end: "data: [DONE]\n\ndata: [DONE]\n\n" }, "STREAM_MALFORMED"],
    [
      "another chunk behind its last",
      { end: `data: {"sealed":{"chunk":"AAAA"}}\n\ndata: [DONE]\n\n` },
      "CHANNEL_MALFORMED",
    ],
    ["a rest inside behind its end", { text: (t) => `${t}data: {"choices":[{"index":0,` }, "STREAM_TRUNCATED"],
    [
      "an end that only the gateway marks",
      { event: (e, i) => (i === 2 ? { ...e, choices: [], countersign: {} } : e) },
      "CHANNEL_TRUNCATED",
    ],
    [
      "a receipt inside",
      { text: (t) => t.replace('"choices":[]', '"choices":[],"countersign":{}') },
      "CHANNEL_MALFORMED",
    ],
    [
      "no event inside that ends it",
      { text: (t) => t.replace(/data: [^\n]*"choices":\[\][^\n]*\n\n/, "").replace("data: [DONE]\n\n", "") },
      "STREAM_MALFORMED",
    ],
    ["an event cut off inside", { text: (t) => t.slice(0, -1) }, "STREAM_TRUNCATED"],
    ["an error event", { event: () => ({ error: { code: "RUN_TIMEOUT", message: "Too long." } }) }, "RUN_TIMEOUT"],
  ])("a stream with %s", async (_, lies, code) => {
    const { client } = await meet(lies);
    expect(await codeOf(client.stream(body))).toBe(code);
    const live = await meet(lies);
    const stream = await live.client.stream(body, { release: "live" });
    expect(await codeOf(collect(stream))).toBe(code);
    expect(live.client.spending()).toMatchObject({ spent: 0n, held: 150n });
  });

  test.each<[string, Partial<SealedLies>, ErrorCode]>([
    ["another key", channelOf({ key: "00".repeat(32) }), "TEE_CHANNEL_NOT_BOUND"],
    ["another keyset", channelOf({ keyset: "00".repeat(32) }), "TEE_CHANNEL_NOT_BOUND"],
    ["another sealed request", channelOf({ request: "00".repeat(32) }), "ASSURANCE_NOT_MET"],
    ["another sealed answer", channelOf({ answer: "00".repeat(32) }), "OUTPUT_MISMATCH"],
    ["no channel", { statement: () => ({ labels: ["development"] }) }, "ASSURANCE_NOT_MET"],
    ["another node's signature", { signer: keyOf("mallory"), free: true }, "TEE_KEY_NOT_BOUND"],
  ])("also under a policy that asks for little: %s", async (_, lies, code) => {
    const { client } = await meet(lies, { policy: "issuer:signature" });
    expect(await codeOf(client.chat(body, { channel: "sealed" }))).toBe(code);
  });

  test("a receipt inside does not take the place of the one that was countersigned", async () => {
    const { client } = await meet({ text: (t) => `${t.slice(0, -1)},"countersign":{"receipt":null}}` });
    expect(await codeOf(client.chat(body))).toBe("CHANNEL_MALFORMED");
  });

  test("under `live` what came before a fault is out, and nothing after it", async () => {
    const { client } = await meet({
      outputs: [long],
      chunks: (list) => list.map((c, i) => (i === 4 ? flip(c) : c)),
    });
    const stream = await client.stream(body, { release: "live" });
    let text = "";
    const error = await errorOf(
      (async () => {
        for await (const chunk of stream) {
          const [choice] = chunk.choices as { delta: { content?: string } }[];
          text += choice?.delta.content ?? "";
        }
      })(),
    );
    expect(error.code).toBe("CHANNEL_UNOPENED");
    expect((long as { content: string }).content.startsWith(text)).toBe(true);
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThan(30);
  });
});
