import { type ErrorCode, noTrust, type Output, sha256, toHex, utf8, type Verdict } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { at, fakeGateway, fixtureRandom, type Lies, receiptId } from "../../../test/fixtures/fake-gateway.ts";
import { keyOf, payer, trust } from "../../../test/fixtures/receipt.ts";
import { CountersignError, countersign, type Options, privateKeyWallet } from "./index.ts";

const wallet = privateKeyWallet(toHex(sha256(utf8("payer"))));
const budget = { perRequest: 1000, total: 10_000 };
const messages = [
  { role: "system", content: "Answer in one word." },
  { role: "user", content: "Capital of France?" },
];
const body = { model: "pocket", messages, temperature: 0.7, max_tokens: 16 };

/** A client of a gateway that tells these lies. */
function meet(lies: Lies = {}, more: Partial<Options> = {}) {
  const gateway = fakeGateway(lies);
  const client = countersign({
    gateway: "https://gateway.test",
    trust,
    wallet,
    budget,
    allowDevelopment: true,
    fetch: gateway.fetch,
    random: fixtureRandom(),
    now: () => at,
    sleep: async () => undefined,
    suite: nodeSuite,
    ...more,
  });
  return { client, seen: gateway.seen, paid: () => gateway.seen.payments.length };
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

describe("an honest gateway", () => {
  test("is paid once, bound to offer and request, and its answer is handed on with receipt and verdict", async () => {
    const { client, seen } = meet();
    const answer = await client.chat(body);
    expect(answer.text).toBe("Paris");
    expect(answer.verdict.outcome).toBe("met");
    expect(answer.verdict.policy.demanded).toContain("logged:log");
    expect(answer.payment?.amount).toBe("150");
    expect(client.spending()).toEqual({ spent: 150n, held: 0n, left: 9850n });
    expect(seen.requests.map((r) => r.paid)).toEqual([false, false, true]);
    const [payment] = seen.payments as { payload: { authorization: Record<string, string> }; extensions: never }[];
    expect(payment?.payload.authorization).toMatchObject({ from: payer, value: "150", validAfter: "0" });
    // The fixture's statement commits to the same authorisation, so the claim `payment` holds.
    expect(answer.verdict.findings.find((f) => f.claim === "payment")?.status).toBe("proven");
  });

  test("gives a receipt that checks alone, without the content beside it (G3)", async () => {
    const { client } = meet();
    const { receipt } = await client.chat(body);
    expect(client.verify(receipt, undefined, "signature & logged").outcome).toBe("met");
    expect(client.verify({ ...receipt, leaves: [...receipt.leaves].reverse() }).outcome).not.toBe("met");
  });

  test("takes messages with the model in the options", async () => {
    const { client } = meet();
    expect((await client.chat(messages, { model: "pocket" })).text).toBe("Paris");
  });

  test("needs no wallet when it is free", async () => {
    const { client, paid } = meet({ free: true }, { wallet: undefined as never });
    expect((await client.chat(body)).text).toBe("Paris");
    expect(paid()).toBe(0);
  });

  test("streams after the verdict, with our own verdict in the place of the gateway's", async () => {
    const { client } = meet();
    const stream = await client.stream(body);
    let text = "";
    let verdict: Verdict | undefined;
    for await (const chunk of stream) {
      const [choice] = chunk.choices as { delta: { content?: string } }[];
      text += choice?.delta.content ?? "";
      if (chunk.countersign) verdict = (chunk.countersign as unknown as { verdict: Verdict }).verdict;
    }
    expect(text).toBe("Paris");
    expect(verdict?.checks.length).toBeGreaterThan(5);
    expect((await stream.judged).verdict.outcome).toBe("met");
  });
});

describe("before anything is sent", () => {
  const cases: [string, Partial<Options>, ErrorCode][] = [
    ["no trust file", { trust: noTrust }, "TRUST_MISSING"],
    ["no trust at all", { trust: undefined as never }, "TRUST_MISSING"],
    ["development trust that was not allowed by name", { allowDevelopment: false }, "DEVELOPMENT_TRUST_NOT_ALLOWED"],
  ];
  test.each(cases)("%s", async (_, options, code) => {
    const { client, seen } = meet({}, options);
    expect(await codeOf(client.chat(body))).toBe(code);
    expect(
      await (
        await client.fetch("https://gateway.test/v1/chat/completions", { method: "POST", body: JSON.stringify(body) })
      ).json(),
    ).toMatchObject({ error: { code } });
    expect(seen.requests).toEqual([]);
  });

  test("unknown options of client, budget, call and header", async () => {
    expect(() => meet({}, { polcy: "tee" } as never)).toThrow(/OPTION_UNKNOWN/);
    expect(() => meet({}, { budget: { ...budget, perDay: 3 } as never })).toThrow(/OPTION_UNKNOWN/);
    const { client, seen } = meet();
    expect(await codeOf(client.chat(body, { polcy: "tee" } as never).catch((e) => Promise.reject(e)))).toBe(
      "OPTION_UNKNOWN",
    );
    expect(await codeOf(client.chat({ ...body, stream: true }))).toBe("OPTION_UNKNOWN");
    const headers = { "x-countersign-nonce": "00".repeat(32) };
    const answer = await client.fetch("https://gateway.test/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify(body),
      headers,
    });
    expect(answer.status).toBe(400);
    expect(seen.requests).toEqual([]);
  });

  test("another address than the gateway's, and paths without receipts", async () => {
    const { client, seen } = meet();
    for (const url of [
      "https://gateway.test.evil/v1/chat/completions",
      "https://gateway.test/v1/images",
      "https://other.test/v1/models",
    ]) {
      expect((await client.fetch(url, { method: "POST", body: "{}" })).status).toBe(404);
    }
    expect((await client.fetch("https://gateway.test.evil/v1/models")).status).toBe(404);
    expect(seen.requests).toEqual([]);
  });
});

describe("a 402 that asks for more than was allowed is never signed", () => {
  const cases: [string, Lies, Partial<Options>, ErrorCode][] = [
    ["no wallet", {}, { wallet: undefined as never }, "WALLET_MISSING"],
    ["no budget", {}, { budget: undefined as never }, "SPEND_CAP_EXCEEDED"],
    ["1e24 units (P6)", { offer: (o) => ({ ...o, amount: "1000000000000000000000000" }) }, {}, "SPEND_CAP_EXCEEDED"],
    ["more than one request may cost", {}, { budget: { perRequest: 149, total: 10_000 } }, "SPEND_CAP_EXCEEDED"],
    ["more than is left", {}, { budget: { perRequest: 1000, total: 149 } }, "SPEND_CAP_EXCEEDED"],
    [
      "365 days in the offer (P6)",
      { offer: (o) => ({ ...o, validBefore: o.validBefore + 31_536_000 }) },
      {},
      "DEADLINE_TOO_FAR",
    ],
    [
      "365 days in the entry (P6)",
      { accepts: (e) => ({ ...e, maxTimeoutSeconds: 31_536_000 }) },
      {},
      "DEADLINE_TOO_FAR",
    ],
    ["longer than the caller's own limit", {}, { budget: { ...budget, maxDeadlineSeconds: 60 } }, "DEADLINE_TOO_FAR"],
    ["an expired offer", { offer: (o) => ({ ...o, expires: o.expires - 600 }) }, {}, "OFFER_EXPIRED"],
    [
      "a foreign gateway's key",
      { offer: (o) => ({ ...o, gateway: toHex(keyOf("mallory").publicKey) }), signer: keyOf("mallory") },
      {},
      "OFFER_SIGNATURE_INVALID",
    ],
    ["a signature by another key (O5)", { signer: keyOf("mallory") }, {}, "OFFER_SIGNATURE_INVALID"],
    ["an entry that differs from the offer", { accepts: (e) => ({ ...e, amount: "151" }) }, {}, "PAYMENT_MISMATCH"],
    [
      "another payee than the offer's",
      { accepts: (e) => ({ ...e, payTo: `0x${"33".repeat(20)}` }) },
      {},
      "PAYMENT_MISMATCH",
    ],
    [
      "another token than the trust's",
      { offer: (o) => ({ ...o, asset: `0x${"44".repeat(20)}` }) },
      {},
      "PAYMENT_MISMATCH",
    ],
    ["another chain", { offer: (o) => ({ ...o, network: "eip155:8453" }) }, {}, "CHAIN_MISMATCH"],
    ["another request's offer", { offer: (o) => ({ ...o, requestDigest: "00".repeat(32) }) }, {}, "REQUEST_MISMATCH"],
    [
      "a weaker guarantee (A12)",
      { offer: (o) => ({ ...o, guarantee: "issuer:signature" }) },
      {},
      "ASSURANCE_NOT_OFFERED",
    ],
    [
      "a guarantee with a weak branch (A12)",
      { offer: (o) => ({ ...o, guarantee: "signature & logged | issuer:signature" }) },
      {},
      "ASSURANCE_NOT_OFFERED",
    ],
    ["an earlier release", { offer: (o) => ({ ...o, release: "live" }) }, {}, "ASSURANCE_NOT_OFFERED"],
    ["another model", { offer: (o) => ({ ...o, model: { ...o.model, id: "smaller" } }) }, {}, "MODEL_MISMATCH"],
    ["an unreadable 402", { accepts: (e) => ({ ...e, surprise: 1 }) }, {}, "PAYMENT_MALFORMED"],
  ];
  test.each(cases)("%s", async (_, lies, options, code) => {
    const { client, paid } = meet(lies, options);
    expect(await codeOf(client.chat(body))).toBe(code);
    expect(paid()).toBe(0);
    expect(client.spending().held).toBe(0n);
    expect(client.spending().spent).toBe(0n);
  });
});

const lyon: Output = { kind: "message", content: "Lyon", tool_calls: [], finish: "stop" };
const altered: Lies["body"] = (b) => JSON.parse(JSON.stringify(b).replaceAll('"Paris"', '"Lyon"'));
const stripped: Lies["body"] = ({ countersign: _, ...b }) => b;

describe("an answer that is not what was bought is never handed on", () => {
  const cases: [string, Lies, ErrorCode, ErrorCode | undefined][] = [
    ["altered output (E6)", { body: altered }, "ASSURANCE_NOT_MET", "OUTPUT_MISMATCH"],
    [
      "a request changed on the way",
      { nodeBody: (b) => utf8(new TextDecoder().decode(b).replace("one word", "riddles")) },
      "ASSURANCE_NOT_MET",
      "REQUEST_MISMATCH",
    ],
    ["a stripped receipt (E1, C1)", { body: stripped }, "ASSURANCE_NOT_MET", "RECEIPT_MALFORMED"],
    ["only the gateway's word (E4)", { receipt: () => ({ verified: true }) }, "ASSURANCE_NOT_MET", "RECEIPT_MALFORMED"],
    [
      "an unsigned receipt",
      { receipt: (r) => ({ ...r, statement: { ...r.statement, signatures: [{ keyid: "", sig: "" }] } }) },
      "ASSURANCE_NOT_MET",
      undefined,
    ],
    [
      "a receipt that names less than was paid for (S5)",
      { bought: "issuer:signature" },
      "ASSURANCE_NOT_MET",
      "LEVEL_OVERSTATED",
    ],
    [
      "another deployment (O1)",
      { statement: { deployment: { id: "pocket", version: 2 } } },
      "ASSURANCE_NOT_MET",
      undefined,
    ],
    [
      "content that the receipt does not cover (S3)",
      {
        body: (b) => ({
          ...b,
          choices: [
            {
              ...(b.choices as object[])[0],
              message: { role: "assistant", content: "Paris", function_call: { name: "pay", arguments: "{}" } },
            },
          ],
        }),
      },
      "OUTPUT_MISMATCH",
      undefined,
    ],
    [
      "a body with two readings",
      {
        paidAnswer: () =>
          new Response('{"choices":[],"choices":[]}', { headers: { "content-type": "application/json" } }),
      },
      "STREAM_MALFORMED",
      undefined,
    ],
    [
      "an empty success (C4)",
      { paidAnswer: () => new Response("", { headers: { "content-type": "application/json" } }) },
      "STREAM_MALFORMED",
      undefined,
    ],
    [
      "events where an object was asked for",
      { paidAnswer: () => new Response("data: [DONE]\n\n", { headers: { "content-type": "text/event-stream" } }) },
      "STREAM_MALFORMED",
      undefined,
    ],
  ];
  test.each(cases)("%s", async (_, lies, code, found) => {
    const { client, paid } = meet(lies);
    const error = await errorOf(client.chat(body));
    expect(error.code).toBe(code);
    if (code === "ASSURANCE_NOT_MET") {
      expect((error.detail.facts as { verdict: Verdict }).verdict.outcome).not.toBe("met");
      if (found) expect(error.detail.facts?.codes).toContain(found);
    }
    expect(paid()).toBe(1);
    // Signed and refused: whoever holds the authorisation may still charge it (A10).
    expect(client.spending()).toMatchObject({ spent: 0n, held: 150n });
  });

  test("the amount of a refused answer comes back when its authorisation expires", async () => {
    let time = at;
    const { client } = meet({ body: altered }, { now: () => time });
    await errorOf(client.chat(body));
    time += 301_000;
    expect(client.spending()).toEqual({ spent: 0n, held: 0n, left: 10_000n });
  });

  test.each<[string, Lies, ErrorCode]>([
    ["deployment", { offer: (o) => ({ ...o, deployment: { id: "pocket", version: 2 } }) }, "DEPLOYMENT_SUBSTITUTED"],
    ["node", { offer: (o) => ({ ...o, node: toHex(keyOf("mallory").publicKey) }) }, "DEPLOYMENT_SUBSTITUTED"],
    ["price", { offer: (o) => ({ ...o, amount: "149" }) }, "PAYMENT_MISMATCH"],
  ])("a met receipt about another %s than was accepted (O1)", async (_, lies, code) => {
    const { client } = meet(lies);
    expect(await codeOf(client.chat(body))).toBe(code);
    expect(client.spending().spent).toBe(0n);
  });

  test("a charge above the price (P11)", async () => {
    const { client } = meet({ payment: { amount: "151", transaction: null } });
    expect(await codeOf(client.chat(body))).toBe("OVERCHARGED");
  });

  test("a payment that was taken all the same, seen by the watcher (A10)", async () => {
    const watched: string[] = [];
    const { client } = meet({ body: altered }, { watchCharge: async ({ nonce }) => watched.push(nonce) > 0 });
    const error = await errorOf(client.chat(body));
    expect(error.code).toBe("CHARGED_WHILE_UNMET");
    expect(CountersignError.is(error.cause, "ASSURANCE_NOT_MET")).toBe(true);
    expect(watched).toHaveLength(1);
  });

  test("a watcher that fails says nothing", async () => {
    const { client } = meet({ body: altered }, { watchCharge: () => Promise.reject(new Error("no chain")) });
    expect(await codeOf(client.chat(body))).toBe("ASSURANCE_NOT_MET");
  });
});

describe("streams", () => {
  const read = async (lies: Lies, release: "met" | "live" = "met") => {
    const seen: string[] = [];
    const { client } = meet(lies);
    const code = await codeOf(
      (async () => {
        for await (const chunk of await client.stream(body, { release })) seen.push(JSON.stringify(chunk));
      })(),
    );
    return { code, text: seen.join("") };
  };
  const cut: Lies["stream"] = (text) =>
    text.slice(0, text.indexOf('data: {"id":"chatcmpl-1","object":"chat.completion.chunk"', text.indexOf("Paris")));
  const beforeDone: Lies["stream"] = (text) => text.replace("data: [DONE]\n\n", "");
  const cases: [string, Lies, ErrorCode][] = [
    ["cut before the signed chunk (G2)", { stream: cut }, "STREAM_TRUNCATED"],
    ["cut within an event", { stream: (t) => t.slice(0, -40) }, "STREAM_TRUNCATED"],
    ["the connection breaks (G2)", { stream: cut, breaks: true }, "STREAM_TRUNCATED"],
    ["no [DONE]", { stream: beforeDone }, "STREAM_TRUNCATED"],
    ["nothing at all (C4)", { stream: () => "" }, "STREAM_TRUNCATED"],
    ["only [DONE]", { stream: () => "data: [DONE]\n\n" }, "STREAM_TRUNCATED"],
    ["a frame that is no JSON (C4)", { stream: (t) => t.replace("data: {", "data: {]") }, "STREAM_MALFORMED"],
    ["a line that is no field", { stream: (t) => t.replace("data: ", "garbage\ndata: ") }, "STREAM_MALFORMED"],
    ["a line end that some readers see", { stream: (t) => t.replace('{"id"', '{\r"id"') }, "STREAM_MALFORMED"],
    ["a second end", { stream: (t) => `${t}data: [DONE]\n\n` }, "STREAM_MALFORMED"],
    ["half an event behind the end", { stream: (t) => `${t}data: {"cho` }, "STREAM_TRUNCATED"],
    [
      "an object where events were asked for",
      { paidAnswer: () => new Response("{}", { headers: { "content-type": "application/json" } }) },
      "STREAM_MALFORMED",
    ],
    ["late garbage", { stream: (t) => `${t}data: {"choices":[]}\n\n` }, "STREAM_MALFORMED"],
    [
      "an event behind the signed one",
      { stream: (t) => t.replace("data: [DONE]", 'data: {"choices":[]}\n\ndata: [DONE]') },
      "STREAM_MALFORMED",
    ],
    [
      "a hidden event behind a carriage return",
      { stream: (t) => t.replace("data: ", 'data: {"choices":[]}\rdata: ') },
      "STREAM_MALFORMED",
    ],
    [
      "an error frame (G2)",
      { stream: (t) => `${cut(t)}data: {"error":{"code":"ENGINE_CRASHED","message":"It died."}}\n\n` },
      "ENGINE_CRASHED",
    ],
    ["an altered delta", { stream: (t) => t.replace("Paris", "Lyon") }, "ASSURANCE_NOT_MET"],
    [
      "an added delta",
      {
        stream: (t) =>
          t.replace(
            "data: ",
            'data: {"choices":[{"index":0,"delta":{"content":"Not "},"finish_reason":null}]}\n\ndata: ',
          ),
      },
      "ASSURANCE_NOT_MET",
    ],
    [
      "reasoning that nobody signed (S3)",
      { stream: (t) => t.replace('"content":"Paris"', '"content":"Paris","reasoning_content":"x"') },
      "OUTPUT_MISMATCH",
    ],
  ];
  test.each(cases)("%s", async (_, lies, code) => {
    const { code: found, text } = await read(lies);
    expect(found).toBe(code);
    // Held: not one event before the verdict.
    expect(text).toBe("");
  });
  test.each(cases)("%s, under live", async (_, lies, code) => {
    expect((await read(lies, "live")).code).toBe(code);
  });

  test("live hands deltas on at once, and fails at the end when the answer is not met", async () => {
    const { code, text } = await read({ output: lyon, receipt: () => null }, "live");
    expect(code).toBe("ASSURANCE_NOT_MET");
    expect(text).toContain("Lyon");
    expect(text).not.toContain("countersign");
  });

  test("live holds tool calls to the end", async () => {
    const output: Output = {
      kind: "message",
      content: "Wait. ",
      tool_calls: [{ id: "call_1", name: "pay", arguments: "{}" }],
      finish: "tool_calls",
    };
    const bad = await read({ output, receipt: () => null }, "live");
    expect(bad.code).toBe("ASSURANCE_NOT_MET");
    expect(bad.text).toContain("Wait.");
    expect(bad.text).not.toContain("tool_calls");
    const { client } = meet({ output });
    const chunks = [];
    for await (const chunk of await client.stream(body, { release: "live" })) chunks.push(JSON.stringify(chunk));
    expect(chunks.join("")).toContain('"name":"pay"');
  });
});

describe("errors of the gateway", () => {
  const envelope = (status: number, error: unknown) => new Response(JSON.stringify({ error }), { status });
  test("come back as typed errors", async () => {
    const { client } = meet({
      paidAnswer: () =>
        envelope(402, { code: "FUNDS_INSUFFICIENT", message: "Too little.\nWhy: 3 < 150.\nCode: FUNDS_INSUFFICIENT" }),
    });
    const error = await errorOf(client.chat(body));
    expect(error.code).toBe("FUNDS_INSUFFICIENT");
    expect(error.detail).toMatchObject({ message: "Too little.", why: "3 < 150." });
  });
  test("with a code that is not in the table become INTERNAL", async () => {
    const { client } = meet({ paidAnswer: () => envelope(500, { code: "constructor", message: "Boom." }) });
    const error = await errorOf(client.chat(body));
    expect(error.code).toBe("INTERNAL");
    expect(error.message).toContain("Boom.");
  });
  test("no answer is GATEWAY_UNREACHABLE; the same payment is tried once more and never twice signed", async () => {
    let calls = 0;
    const { client, seen } = meet({
      paidAnswer: () => {
        calls++;
        throw new TypeError("fetch failed");
      },
    });
    expect(await codeOf(client.chat(body))).toBe("GATEWAY_UNREACHABLE");
    expect(calls).toBe(2);
    expect(seen.payments[0]).toEqual(seen.payments[1]);
    expect(client.spending().held).toBe(150n);
  });
});

describe("one budget", () => {
  test("is shared by calls at once: no more is signed than allowed", async () => {
    let drawn = 0;
    const random = () => sha256(utf8(drawn++ < 8 ? "client nonce" : "salt"));
    const { client, paid } = meet({}, { budget: { perRequest: 150, total: 400 }, random });
    const done = await Promise.allSettled(Array.from({ length: 8 }, () => client.chat(body)));
    expect(done.filter((d) => d.status === "fulfilled")).toHaveLength(2);
    expect(paid()).toBe(2);
    expect(client.spending()).toEqual({ spent: 300n, held: 0n, left: 100n });
  });
});

describe("afterwards", () => {
  test("waits for the log's proof before it hands on", async () => {
    const { client, seen } = meet({ logsAfter: 2 });
    expect((await client.chat(body)).verdict.outcome).toBe("met");
    expect(seen.requests.filter((r) => r.path.startsWith("/v1/receipts/"))).toHaveLength(2);
  });

  test("refuses when the proof does not come in time", async () => {
    let time = at;
    const sleep = async (ms: number) => {
      time += ms;
    };
    const { client } = meet({ logsAfter: 1e9 }, { sleep, now: () => time });
    expect(await codeOf(client.chat(body))).toBe("ASSURANCE_NOT_MET");
  });

  test("release=signed hands on at once; refresh finds the proof later", async () => {
    const { client, seen } = meet({ logsAfter: 1 });
    const answer = await client.chat(body, { release: "signed" });
    expect(answer.text).toBe("Paris");
    expect(answer.verdict.outcome).not.toBe("met");
    expect(seen.requests.filter((r) => r.path.startsWith("/v1/receipts/"))).toHaveLength(0);
    expect((await client.refresh(receiptId)).verdict.outcome).toBe("met");
    expect((await client.waitFor(answer.receipt)).verdict.outcome).toBe("met");
  });

  test("refresh still shows that the draw was the client's", async () => {
    const { client } = meet({ logsAfter: 1 });
    const { receipt } = await client.chat(body, { release: "signed", policy: "audit" });
    expect((await client.refresh(receipt)).verdict.outcome).toBe("met");
  });

  test("release=signed is still nothing without the signature", async () => {
    const { client } = meet({ logsAfter: 1, body: altered });
    expect(await codeOf(client.chat(body, { release: "signed" }))).toBe("ASSURANCE_NOT_MET");
  });

  test("release=signed hands on nothing whose answer cannot be compared with what was signed", async () => {
    const { client } = meet({ logsAfter: 1, receipt: (r) => ({ ...r, holder: null }) });
    const asked = client.chat(body, { release: "signed", policy: "logged" });
    expect(await codeOf(asked)).toBe("ASSURANCE_NOT_MET");
  });

  test("an entry that the log withholds is INCLUSION_OVERDUE (L2)", async () => {
    let time = at;
    const { client } = meet({ logsAfter: 1e9 }, { now: () => time });
    const { receipt } = await client.chat(body, { release: "signed", policy: "signature" });
    await client.refresh(receipt);
    time += 3_600_001;
    expect(await codeOf(client.refresh(receipt))).toBe("INCLUSION_OVERDUE");
  });

  test("an answer weaker than before is ASSURANCE_DOWNGRADED (V5)", async () => {
    const { client } = meet();
    const [key, best] = ["eip155:31337001 pocket pocket", ["model:signature", "execution:hardware"]];
    const words = new Map<string, readonly string[]>();
    const store = {
      ...client.receipts,
      recall: (k: string) => (k.startsWith(key) ? (words.get(k) ?? best) : undefined),
      remember: (k: string, v: readonly string[]) => void words.set(k, v),
    };
    const weaker = meet({}, { receipts: store });
    const error = await errorOf(weaker.client.chat(body));
    expect(error.code).toBe("ASSURANCE_DOWNGRADED");
    expect(error.detail.facts?.missing).toEqual(["execution:hardware"]);
    expect((await weaker.client.chat(body, { acceptDowngrade: true })).text).toBe("Paris");
    // Accepting once does not lower what is remembered.
    expect(await codeOf(weaker.client.chat(body))).toBe("ASSURANCE_DOWNGRADED");
  });
});

describe("the drop-in fetch", () => {
  const post = (more: object = {}) => ({
    method: "POST",
    body: JSON.stringify({ ...body, ...more }),
    headers: { authorization: "Bearer secret" },
  });
  const url = "https://gateway.test/v1/chat/completions";

  test("gives the same body with receipt and our verdict, and passes no key on", async () => {
    const { client, seen } = meet();
    const answer = await client.fetch(url, post());
    expect(answer.headers.get("x-countersign-verdict")).toBe("met");
    expect(await answer.json()).toMatchObject({
      choices: [{ message: { content: "Paris" } }],
      countersign: { verdict: { outcome: "met" } },
    });
    expect(seen.requests.some((r) => r.headers.has("authorization"))).toBe(false);
  });

  test("takes a Request, and policies from body, header and suffix together", async () => {
    const { client, seen } = meet();
    const request = new Request(url, {
      ...post({ model: "pocket:signature", verification: { require: "logged" } }),
      headers: { "x-verification": "issuer; release=signed" },
    });
    const { countersign: found } = (await (await client.fetch(request)).json()) as {
      countersign: { verdict: Verdict };
    };
    expect(found.verdict.outcome).toBe("met");
    expect(seen.requests[0]?.headers.get("x-verification")).toBe(
      "issuer:signature & logged:log & model:signature & output:signature & prompt:signature & request:signature; release=signed",
    );
  });

  test("tells failures after a payment by statuses that no client retries: each retry would pay again", async () => {
    const { client } = meet({ body: altered });
    const answer = await client.fetch(url, post());
    expect(answer.status).toBe(403);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await answer.json()).toMatchObject({ error: { code: "ASSURANCE_NOT_MET", status: 422 } });
    const crashed = meet({
      paidAnswer: () => new Response('{"error":{"code":"NODE_BUSY","message":"Busy."}}', { status: 503 }),
    });
    expect((await crashed.client.fetch(url, post())).status).toBe(403);
  });

  test("refuses a stream as a whole while it is held", async () => {
    const { client } = meet({ stream: (t) => t.replace("Paris", "Lyon") });
    expect((await client.fetch(url, post({ stream: true }))).status).toBe(403);
  });
});
