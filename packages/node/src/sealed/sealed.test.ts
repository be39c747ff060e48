import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type EndpointPath,
  fieldLeaf,
  fieldSalt,
  fields,
  fromHex,
  type Hex,
  type JsonObject,
  type Opening,
  openedBytes,
  openFields,
  parseJson,
  plain,
  type RunEvent,
  readDelivered,
  readRun,
  requestDigest,
  sha256Hex,
  toHex,
  utf8,
} from "@countersign/core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { makeJob, pick, startTestNode, token } from "../fixtures/job.ts";
import { drawNonce, jobAround, keyset, makeChannelKey, makeSealedJob, openEvents } from "../fixtures/sealed-job.ts";
import { type NodeContext, run } from "../run.ts";
import { nodeApp } from "../serve.ts";
import type { ChannelKey } from "./channel-key.ts";

const model = "countersign-pocket";
/** Words that stand nowhere but in requests. */
const secret = "Zanzibar marmalade";
let started: Awaited<ReturnType<typeof startTestNode>>;
let node: NodeContext;
let channel: ChannelKey;
const said: string[] = [];

beforeAll(async () => {
  started = await startTestNode([model, "lande-50", "glove-words-100d"]);
  channel = await makeChannelKey();
  node = { ...started.context, channel };
  for (const name of ["error", "log", "warn", "info"] as const)
    vi.spyOn(console, name).mockImplementation((...words: unknown[]) => void said.push(words.map(String).join(" ")));
}, 60_000);
afterEach(() => {
  expect(said.join("\n")).not.toContain(secret);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await started.close();
});

const chat = (over: object = {}): JsonObject => ({
  model,
  messages: [{ role: "user", content: `Hello! ${secret}` }],
  max_tokens: 12,
  ...over,
});
async function play(job: unknown, context: NodeContext = node): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of run(job, context, new AbortController().signal)) events.push(event);
  return events;
}
const refusal = (events: readonly RunEvent[]) => {
  expect(events.filter((e) => e.type === "done" || e.type === "delta" || e.type === "output")).toEqual([]);
  const { code, message, param } = pick(events, "error");
  expect(`${message} ${param}`).not.toContain(secret);
  return code;
};
const make = (path: EndpointPath, value: JsonObject, change = {}) =>
  makeSealedJob(started, channel, path, value, change);

/** All that the node wrote to disk. */
function filesOf(folder: string): string {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .map((path) => (statSync(path).isDirectory() ? filesOf(path) : readFileSync(path, "latin1")))
    .join("\n");
}

describe("a sealed request", () => {
  const cases: readonly (readonly [string, EndpointPath, JsonObject])[] = [
    ["chat", "/v1/chat/completions", chat()],
    ["chat as events", "/v1/chat/completions", chat({ stream: true, stream_options: { include_usage: true } })],
    ["a chat with log probabilities", "/v1/chat/completions", chat({ logprobs: true, top_logprobs: 2 })],
    ["completions", "/v1/completions", { model, prompt: `Say: ${secret}`, max_tokens: 8, stream: true }],
    ["responses", "/v1/responses", { model, input: `Say: ${secret}`, max_output_tokens: 8, stream: true }],
    ["embeddings", "/v1/embeddings", { model: "glove-words-100d", input: [`the ${secret} house`] }],
  ];
  it.each(cases)("%s: is answered sealed, and the receipt is about what was inside", async (_, path, value) => {
    const { job, sealed, body } = await make(path, value);
    const events = await play(job);
    const done = pick(events, "done");
    expect(events.map((e) => e.type).slice(-2)).toEqual(["done", "sealed"]);
    expect(events.filter((e) => e.type !== "sealed" && e.type !== "done")).toEqual([]);
    const { text, part, digest } = await openEvents(events, sealed);
    const { predicate: statement } = readRun(done.statement);
    expect(statement.channel).toEqual({
      suite: "countersign/channel/v1",
      keyset,
      key: channel.key,
      request: sha256Hex(utf8(JSON.stringify(body))),
      answer: digest,
    });
    // Both halves of the openings fit, and only the inner body is committed.
    const opened = openFields({ leaves: done.leaves, openings: [...done.openings, ...part.openings] });
    expect(opened.faults).toEqual([]);
    const closed = fields.filter((f) => !opened.fields.has(f));
    expect(closed.filter((f) => f !== "rawRequest" && f !== "system")).toEqual([]);
    const salt = fieldSalt(fromHex(part.receiptSecret), "rawRequest");
    expect(toHex(fieldLeaf("rawRequest", salt, plain(utf8(JSON.stringify(value)))))).toBe(done.leaves[0]);
    expect(readDelivered(path, utf8(text)).length).toBe(1);
    const policy = openedBytes(opened, "policy") as Uint8Array;
    const outer = {
      clientNonce: fromHex(job.clientNonce),
      method: "POST",
      path,
      policy,
      body: utf8(JSON.stringify(body)),
    };
    expect(toHex(requestDigest(outer))).toBe(statement.requestDigest);
    if (value.stream === true) expect(text).toContain("data: ");
    else expect(parseJson(text)).toHaveProperty("model", value.model);
    // What travels in clear: names and numbers, and the fields that hold nothing of the conversation.
    expect(done.receiptSecret).toBeNull();
    expect(done.openings.map((o) => o.path).sort()).toEqual(
      ["clientNonce", "model", "offer", "payment", "policy", "promptVersion", "result"].sort(),
    );
  });

  it("tensors: is answered sealed", async () => {
    const info = started.context.served.find((s) => s.deployment.model.id === "lande-50");
    if (info?.engine.kind !== "onnx") throw new Error("lande-50 runs on another engine");
    const [input] = info.engine.inputs;
    const dims = (input?.dims ?? []).map((d) => (typeof d === "number" ? d : 1));
    const size = dims.reduce((a, b) => a * b, 1);
    const bytes = input?.type === "float32" || input?.type === "int32" ? 4 : 8;
    const value = {
      model: "lande-50",
      inputs: {
        [input?.name ?? ""]: { type: input?.type ?? "", dims, base64: Buffer.alloc(size * bytes).toString("base64") },
      },
    } as JsonObject;
    const { job, sealed } = await make("/v1/infer", value);
    const { text } = await openEvents(await play(job), sealed);
    expect(parseJson(text)).toMatchObject({ object: "inference", model: "lande-50" });
  });

  it("leaves in few pieces when nobody reads before the end, in more when it is read along", async () => {
    const value = chat({ stream: true, max_tokens: 24 });
    const chunks = async (release: "met" | "live") => {
      const { job, sealed } = await make("/v1/chat/completions", value, { release });
      return openEvents(await play(job), sealed);
    };
    const [held, live] = [await chunks("met"), await chunks("live")];
    expect(held.chunks).toBe(1);
    expect(live.chunks).toBeGreaterThan(2);
    const bare = (text: string) => readDelivered("/v1/chat/completions", utf8(text));
    expect(bare(held.text)).toEqual(bare(live.text));
  });

  it("says nothing of it in clear: no event, no file, no log line", async () => {
    const { job, sealed } = await make("/v1/chat/completions", chat({ stream: true }));
    const events = await play(job);
    const { text } = await openEvents(events, sealed);
    const [output] = readDelivered("/v1/chat/completions", utf8(text));
    const answer = output?.kind === "message" ? (output.content ?? "") : "";
    expect(answer.length).toBeGreaterThan(3);
    const clear = [
      JSON.stringify(events),
      ...pick(events, "done").openings.map((o: Opening) =>
        typeof o.value === "object" && "bytes" in o.value
          ? Buffer.from(o.value.bytes, "base64url").toString("latin1")
          : "",
      ),
      Buffer.from(pick(events, "done").statement.payload, "base64").toString("latin1"),
      filesOf(started.config.state),
      said.join("\n"),
    ].join("\n");
    for (const word of [secret, "Zanzibar", "Hello!", answer]) expect(clear).not.toContain(word);
  });
});

describe("is refused", () => {
  it("where the node has no attested key", async () => {
    const { job } = await make("/v1/chat/completions", chat());
    expect(refusal(await play(job, started.context))).toBe("NODE_NOT_ATTESTED");
  });

  it.each<[string, object, string]>([
    ["sealed for another path", { path: "/v1/responses" }, "CHANNEL_UNOPENED"],
    ["sealed under another nonce", { sealedNonce: "ab".repeat(32) }, "CHANNEL_UNOPENED"],
    ["sealed for a stronger policy", { policy: "signature & logged:log" }, "CHANNEL_UNOPENED"],
    ["sealed to another keyset", { keyset: "5f".repeat(32) }, "TEE_CHANNEL_NOT_BOUND"],
  ])("%s", async (_, change, code) => {
    const { job } = await make("/v1/chat/completions", chat(), change);
    expect(refusal(await play(job))).toBe(code);
  });

  it.each<[string, (body: JsonObject) => JsonObject, string]>([
    ["a cap that was raised on the way", (b) => ({ ...b, max_tokens: 24 }), "CHANNEL_UNOPENED"],
    ["a stream that was taken out", ({ stream: _, ...b }) => b, "CHANNEL_UNOPENED"],
    ["more choices than were sealed", (b) => ({ ...b, n: 2 }), "CHANNEL_UNOPENED"],
    ["messages beside it", (b) => ({ ...b, messages: [] }), "CHANNEL_MALFORMED"],
    ["another suite", (b) => ({ ...b, sealed: { ...(b.sealed as JsonObject), suite: "x" } }), "CHANNEL_MALFORMED"],
  ])("%s", async (_, alter, code) => {
    const { job, body } = await make("/v1/chat/completions", chat({ stream: true }));
    const altered = jobAround(started, "/v1/chat/completions", alter(body), job.clientNonce);
    expect(refusal(await play(altered))).toBe(code);
  });

  it("with any bit of ciphertext or key changed", async () => {
    const { job, body } = await make("/v1/chat/completions", chat());
    const sealed = body.sealed as { readonly ciphertext: string; readonly enc: Hex };
    const flip = (bytes: Buffer, at: number) => Buffer.from(bytes.map((b, i) => (i === at ? b ^ 1 : b)));
    const cipher = Buffer.from(sealed.ciphertext, "base64");
    for (const at of [0, 7, cipher.length - 17, cipher.length - 1]) {
      const changed = { ...body, sealed: { ...sealed, ciphertext: flip(cipher, at).toString("base64") } };
      expect(refusal(await play(jobAround(started, job.path, changed, job.clientNonce)))).toBe("CHANNEL_UNOPENED");
    }
    const enc = { ...body, sealed: { ...sealed, enc: flip(Buffer.from(sealed.enc, "hex"), 3).toString("hex") } };
    expect(refusal(await play(jobAround(started, job.path, enc, job.clientNonce)))).toBe("CHANNEL_UNOPENED");
    // None of these spent the request itself.
    expect((await play(job)).some((e) => e.type === "done")).toBe(true);
  });

  it.each<[string, JsonObject, JsonObject]>([
    ["another model inside", chat({ model: "lande-50" }), { model, max_tokens: 12 }],
    ["a higher cap inside", chat({ max_tokens: 64 }), { model, max_tokens: 12 }],
    [
      "a cap under another name inside",
      chat({ max_tokens: null, max_completion_tokens: 64 }),
      { model, max_tokens: 12 },
    ],
    ["more choices inside", chat({ n: 4 }), { model, max_tokens: 12 }],
    ["events inside", chat({ stream: true }), { model, max_tokens: 12 }],
    ["a policy inside", chat({ verification: "signature" }), { model, max_tokens: 12 }],
    ["a level inside", chat({ model: `${model}:signature` }), { model, max_tokens: 12 }],
    ["a sealed part inside", chat({ sealed: {} }), { model, max_tokens: 12 }],
  ])("%s, without a word of what is inside", async (_, value, clear) => {
    const { job } = await make("/v1/chat/completions", value, { clear });
    const events = await play(job);
    expect(refusal(events)).toBe("CHANNEL_MALFORMED");
    expect(pick(events, "error")).toEqual({
      type: "error",
      code: "CHANNEL_MALFORMED",
      message: "The sealed request or answer cannot be read.",
    });
  });

  it.each<[string, JsonObject]>([
    ["REQUEST_FIELD_INVALID", chat({ messages: [{ role: secret, content: secret }] })],
    ["PARAMETER_NOT_SUPPORTED", chat({ [secret.replace(" ", "_")]: secret })],
    ["CONTEXT_TOO_LONG", chat({ messages: [{ role: "user", content: `${secret} `.repeat(2000) }] })],
  ])("for what is inside: %s, without a word or a name of it", async (code, value) => {
    const { job } = await make("/v1/chat/completions", value);
    const events = await play(job);
    expect(refusal(events)).toBe(code);
    const clear = JSON.stringify(events);
    for (const word of ["Zanzibar", "messages", '"param"']) expect(clear).not.toContain(word);
  });

  it("when the gateway drew the nonce", async () => {
    const { job } = await make("/v1/chat/completions", chat());
    expect(refusal(await play({ ...job, nonceSource: "gateway" }))).toBe("CHANNEL_MALFORMED");
  });

  it("without words also for a fault that nobody knows", async () => {
    const { job } = await make("/v1/chat/completions", chat());
    const engines = { ...node.engines, runLanguage: () => Promise.reject(new TypeError(`bad: ${secret}`)) };
    const events = await play(job, { ...node, engines: engines as never });
    expect(refusal(events)).toBe("INTERNAL");
    expect(said.length).toBeGreaterThan(0);
  });
});

describe("a body that was sealed once", () => {
  it("runs once, under whatever offer it comes again", async () => {
    const { job, body } = await make("/v1/chat/completions", chat());
    expect((await play(job)).some((e) => e.type === "done")).toBe(true);
    expect(refusal(await play(job))).toBe("NONCE_REPLAYED");
    const again = jobAround(started, job.path, body, job.clientNonce);
    expect(again.offer).not.toEqual(job.offer);
    expect(refusal(await play(again))).toBe("NONCE_REPLAYED");
  });

  it("runs once also when it comes twice at one time", async () => {
    const { job, body } = await make("/v1/chat/completions", chat());
    const other = jobAround(started, job.path, body, job.clientNonce);
    const ends = (await Promise.all([play(job), play(other)])).map((events) => events.at(-1)?.type);
    expect(ends.sort()).toEqual(["error", "sealed"]);
  });

  it("runs once also after a restart, whatever became of the node's files: the key that opened it is gone", async () => {
    const { job, body } = await make("/v1/chat/completions", chat());
    await play(job);
    expect(readdirSync(started.config.state)).not.toContain("sealed-requests.txt");
    const again = jobAround(started, job.path, body, job.clientNonce);
    const restarted = { ...node, channel: await makeChannelKey(new Uint8Array(32).fill(78)) };
    expect(refusal(await play(again, restarted))).toBe("TEE_CHANNEL_NOT_BOUND");
  });
});

describe("the question before a payment", () => {
  const check = async (body: JsonObject, context = node) => {
    const app = nodeApp(context, { operator: "x", registration: started.config.registration, token });
    const response = await app.request("/check", {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({
        path: "/v1/chat/completions",
        body: Buffer.from(JSON.stringify(body)).toString("base64"),
        deployment: model,
      }),
    });
    const answer = (await response.json()) as { readonly error?: { readonly code: string } };
    return answer.error?.code ?? "ok";
  };

  it("is answered without opening: what is inside makes no difference", async () => {
    const good = await make("/v1/chat/completions", chat());
    const bad = await make("/v1/chat/completions", chat({ messages: 7 }));
    const foreign = await make("/v1/chat/completions", chat(), { sealedNonce: "ab".repeat(32) });
    const opens = vi.fn();
    const deaf = { ...node, channel: { ...channel, open: opens } };
    for (const { body } of [good, bad, foreign]) expect(await check(body, deaf)).toBe("ok");
    expect(opens).not.toHaveBeenCalled();
    await play(good.job);
    expect(await check(good.body)).toBe("ok");
  });

  it("is refused for another key, another model or an open body with a sealed part", async () => {
    const { body } = await make("/v1/chat/completions", chat());
    expect(await check(body, started.context)).toBe("NODE_NOT_ATTESTED");
    expect(await check({ ...body, sealed: { ...(body.sealed as JsonObject), key: "00".repeat(32) } })).toBe(
      "TEE_CHANNEL_NOT_BOUND",
    );
    expect(await check({ ...body, model: "lande-50" })).toBe("MODEL_MISMATCH");
    expect(await check({ ...chat(), ...body })).toBe("CHANNEL_MALFORMED");
  });
});

it("leaves ordinary requests as they are", async () => {
  const job = makeJob(started, "/v1/chat/completions", chat(), { job: { clientNonce: drawNonce() } });
  const events = await play(job);
  expect(pick(events, "output").output.kind).toBe("message");
  expect(readRun(pick(events, "done").statement).predicate.channel).toBeUndefined();
});
