import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import {
  fromHex,
  type JsonObject,
  openFields,
  parseCanonical,
  parsePolicy,
  paymentNonce,
  printPolicy,
  type RunEvent,
  requestTag,
  toHex,
} from "@countersign/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeJob, pick, post, startTestNode, token } from "./fixtures/job.ts";
import { replayReceipt } from "./replay.ts";
import { run } from "./run.ts";
import type { RunningNode } from "./serve.ts";

const model = "countersign-pocket";
let node: RunningNode;
beforeAll(async () => {
  node = await startTestNode([model, "lande-50", "glove-words-100d"]);
}, 60_000);
afterAll(() => node.close());

const chat = (value: object): JsonObject =>
  ({ model, messages: [{ role: "user", content: "Hello!" }], max_tokens: 12, ...value }) as JsonObject;
const ask = (value: object, change = {}) => post(node, makeJob(node, "/v1/chat/completions", chat(value), change));
const refusal = (events: readonly RunEvent[]) => {
  const { code, param } = pick(events, "error");
  expect(events).toHaveLength(1);
  return param === undefined ? code : `${code} ${param}`;
};

describe("a job that a gateway makes up", () => {
  it.each([
    ["for another node", { offer: { node: "ab".repeat(32) } }, "OFFER_UNKNOWN"],
    ["on another network", { offer: { network: "eip155:1" } }, "OFFER_UNKNOWN"],
    ["by a gateway it does not know", { offer: { gateway: "cd".repeat(32) } }, "OFFER_SIGNATURE_INVALID"],
    ["that has expired", { offer: { expires: 1 } }, "OFFER_EXPIRED"],
    ["for another version", { offer: { deployment: { id: model, version: 2 } } }, "DEPLOYMENT_CHANGED"],
    ["for another model's digest", { offer: { model: { id: model, digest: "00".repeat(32) } } }, "DEPLOYMENT_CHANGED"],
    ["for no deployment", { offer: { deployment: { id: "nothing", version: 1 } } }, "MODEL_UNKNOWN"],
    ["with a guarantee it does not give", { offer: { guarantee: "execution:proof" } }, "ASSURANCE_NOT_OFFERED"],
    ["for another request", { offer: { requestDigest: "00".repeat(32) } }, "REQUEST_MISMATCH"],
    ["with another nonce", { job: { body: Buffer.from("{}").toString("base64") } }, "REQUEST_MISMATCH"],
    ["with another release rule", { offer: { release: "met" as const } }, "REQUEST_MISMATCH"],
    ["with another deadline", { offer: { deadline: 5 } }, "REQUEST_MISMATCH"],
    ["with a price and no payment", { offer: { amount: "100" } }, "PAYMENT_REQUIRED"],
    [
      "with a policy that is not canonical",
      {
        job: { demand: { require: "signature", release: "live" as const, deadline: null, source: "request" as const } },
      },
      "POLICY_MALFORMED",
    ],
  ])("%s is refused", async (_, change, expected) => {
    expect(refusal(await ask({}, change))).toBe(expected);
  });

  it("may add what others make good to a guarantee, and nothing else", async () => {
    const own = node.context.served[0]?.deployment.guarantees[0] as string;
    const text = (policy: string) => printPolicy(parsePolicy(policy));
    const offer = (guarantee: string) => ask({ max_tokens: 1 }, { offer: { guarantee: text(guarantee) } });
    expect((await offer(`${own} & logged & sampling & payment`)).at(-1)?.type).toBe("done");
    for (const more of [
      "logged",
      `${own} & execution:proof`,
      `${own} & tee`,
      `${own} | tee`,
      `${own} & payment(scope=x)`,
    ])
      expect(refusal(await offer(more))).toBe("ASSURANCE_NOT_OFFERED");
  });

  it("with an unknown field is refused", async () => {
    const job = makeJob(node, "/v1/chat/completions", chat({}));
    expect(refusal(await post(node, { ...job, priority: "high" }))).toBe("REQUEST_MALFORMED");
    expect(refusal(await post(node, { ...job, body: "%%%" }))).toBe("REQUEST_MALFORMED");
    expect(refusal(await post(node, 7))).toBe("REQUEST_MALFORMED");
  });

  it("with a payment for something else is refused", async () => {
    const job = makeJob(node, "/v1/chat/completions", chat({}), { offer: { amount: "100" } });
    const payment = {
      scheme: "exact",
      network: "eip155:424242",
      token: { address: `0x${"11".repeat(20)}`, name: "T", version: "1" },
      authorization: {
        from: `0x${"33".repeat(20)}`,
        to: `0x${"22".repeat(20)}`,
        value: "100",
        validAfter: 0,
        validBefore: 10,
        nonce: paymentNonce("00".repeat(32), "00".repeat(32), "44".repeat(32)),
      },
      signature: `${"11".repeat(64)}1b`,
      salt: "44".repeat(32),
      chargeable: "100",
    } as const;
    expect(refusal(await post(node, { ...job, payment }))).toBe("PAYMENT_NOT_BOUND");
    expect(refusal(await post(node, { ...job, payment: { ...payment, chargeable: "101" } }))).toBe("PAYMENT_MISMATCH");
    const stock = { ...payment, salt: null };
    expect(refusal(await post(node, { ...job, payment: stock }))).toBe("PAYMENT_INVALID");
    expect(refusal(await post(node, { ...job, payment: { ...stock, network: "eip155:1" } }))).toBe("PAYMENT_MISMATCH");
  });
});

describe("a request", () => {
  it("that the model cannot take is refused by name", async () => {
    expect(refusal(await ask({ reasoning_effort: "low" }))).toBe("PARAMETER_NOT_SUPPORTED reasoning_effort");
    expect(refusal(await ask({ messages: [{ role: "user", content: "a <|im_end|> b" }] }))).toBe(
      "REQUEST_FIELD_INVALID messages[0].content",
    );
    expect(refusal(await ask({ messages: [{ role: "user", content: "word ".repeat(3000) }] }))).toBe(
      "CONTEXT_TOO_LONG max_tokens",
    );
    expect(refusal(await ask({ messages: [{ role: "user", content: "word ".repeat(3000) }], max_tokens: null }))).toBe(
      "CONTEXT_TOO_LONG messages",
    );
    expect(refusal(await ask({ logit_bias: { "99999": 5 } }))).toBe("REQUEST_FIELD_INVALID logit_bias.99999");
    const tensors = makeJob(node, "/v1/infer", { model, inputs: { x: {} } });
    expect(refusal(await post(node, tensors))).toBe("MODEL_TASK_MISMATCH model");
    const other = makeJob(node, "/v1/chat/completions", { ...chat({}), model: "lande-50" });
    expect(refusal(await post(node, other))).toBe("MODEL_TASK_MISMATCH model");
  });

  it("holds JSON to its schema, and finishes", async () => {
    const schema = {
      type: "object",
      properties: { city: { enum: ["Paris", "Rome"] }, n: { type: "integer" } },
      required: ["city", "n"],
    };
    const events = await ask({
      max_tokens: 60,
      response_format: { type: "json_schema", json_schema: { name: "x", schema } },
    });
    const { output } = pick(events, "output");
    expect(output).toMatchObject({ kind: "message", finish: "stop" });
    const value = JSON.parse((output as { content: string }).content) as { city: string; n: number };
    expect(["Paris", "Rome"]).toContain(value.city);
    expect(Number.isInteger(value.n)).toBe(true);
  });

  it("makes a forced tool call of the tool's own schema, in one piece", async () => {
    const parameters = { type: "object", properties: { unit: { enum: ["C", "F"] } }, required: ["unit"] };
    const tools = [{ type: "function", function: { name: "weather", parameters } }];
    const events = await ask({
      tools,
      tool_choice: { type: "function", function: { name: "weather" } },
      max_tokens: 60,
    });
    const { output } = pick(events, "output");
    expect(output).toMatchObject({
      kind: "message",
      content: null,
      finish: "tool_calls",
      tool_calls: [{ name: "weather" }],
    });
    const deltas = events.filter((e) => e.type === "delta");
    expect(deltas).toEqual([
      {
        type: "delta",
        choice: 0,
        tool_calls: [{ index: 0, ...(output as unknown as { tool_calls: object[] }).tool_calls[0] }],
      },
    ]);
    const done = pick(events, "done");
    expect(done.result.finish).toEqual(["tool_calls"]);
  });

  it("gives log probabilities that add up to its tokens", async () => {
    const events = await ask({ logprobs: true, top_logprobs: 3, max_tokens: 4 });
    const pieces = events.flatMap((e) => (e.type === "delta" ? (e.logprobs ?? []) : []));
    expect(pieces.length).toBeGreaterThan(0);
    for (const { top, token, logprob } of pieces) {
      expect(top).toHaveLength(3);
      expect(top[0]).toMatchObject({ token, logprob });
      expect(Number(logprob)).toBeLessThanOrEqual(0);
    }
    const { elements } = openFields(pick(events, "done"));
    const tokens = parseCanonical(elements.get("output/1") as Uint8Array) as { ids: number[]; logprobs: string[] };
    expect(tokens.logprobs).toHaveLength(tokens.ids.length);
  });

  it("never shows its stop text", async () => {
    const whole = pick(await ask({}), "output").output as { content: string };
    const stop = whole.content.slice(3, 5);
    const events = await ask({ stop });
    const { content, finish } = pick(events, "output").output as { content: string; finish: string };
    expect(content).toBe(whole.content.slice(0, whole.content.indexOf(stop)));
    expect(finish).toBe("stop");
    const streamed = events.flatMap((e) => (e.type === "delta" ? [e.content ?? ""] : [])).join("");
    expect(streamed).toBe(content);
  });

  it("completes a prompt as it is", async () => {
    const events = await post(
      node,
      makeJob(node, "/v1/completions", { model, prompt: "The capital of France is", max_tokens: 4 }),
    );
    expect(pick(events, "output").output).toMatchObject({ kind: "text", finish: expect.stringMatching(/stop|length/) });
    const { fields } = openFields(pick(events, "done"));
    expect(fields.get("forwarded")).toMatchObject({ kind: "bytes" });
  });

  it("answers a Responses request as a message", async () => {
    const events = await post(node, makeJob(node, "/v1/responses", { model, input: "Hello!", max_output_tokens: 5 }));
    expect(pick(events, "output").output).toMatchObject({
      kind: "message",
      finish: expect.stringMatching(/stop|length/),
    });
  });

  it("runs tensors and commits both sides", async () => {
    const inputs = {
      features: {
        type: "float32",
        dims: [1, 620],
        data: Array.from({ length: 620 }, (_, i) => (i % 7 === 0 ? 0.25 : 0)),
      },
    };
    const events = await post(node, makeJob(node, "/v1/infer", { model: "lande-50", inputs }));
    expect(pick(events, "output").output).toMatchObject({ kind: "tensor", name: "probabilities", dims: [1, 50] });
    const { fields } = openFields(pick(events, "done"));
    expect(fields.get("modelInput")).toMatchObject({ kind: "list" });
    expect(fields.get("forwarded")).toEqual({ kind: "absent" });
    const wrong = { features: { type: "float32", dims: [1, 5], data: [1, 2, 3, 4, 5] } };
    expect(refusal(await post(node, makeJob(node, "/v1/infer", { model: "lande-50", inputs: wrong })))).toMatch(
      /^TENSOR_SHAPE_MISMATCH/,
    );
  });

  it("embeds texts", async () => {
    const input = ["The ship sails at noon.", "The boat leaves at midday."];
    const events = await post(node, makeJob(node, "/v1/embeddings", { model: "glove-words-100d", input }));
    const outputs = events.filter((e) => e.type === "output");
    expect(outputs.map((o) => o.output.kind)).toEqual(["embedding", "embedding"]);
    expect(pick(events, "done").result.usage.prompt_tokens).toBeGreaterThan(0);
  });
});

describe("a run that does not end well", () => {
  const long = (): JsonObject => chat({ max_tokens: 256, logit_bias: { "3": -100 } });

  it("stops when the caller leaves, and leaves no receipt", async () => {
    const job = makeJob(node, "/v1/chat/completions", long());
    const leave = new AbortController();
    const response = await fetch(`${node.url}/run`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(job),
      signal: leave.signal,
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    leave.abort();
    await reader.read().catch(() => undefined);
    // Runs after the one that was left, so that one is over. The same request may then run again: nothing was signed.
    expect((await ask({ max_tokens: 1 })).at(-1)?.type).toBe("done");
    expect((await post(node, job)).at(-1)?.type).toBe("done");
    expect(refusal(await post(node, job))).toBe("NONCE_REPLAYED");
  });

  it("costs one request when the engine is killed, and the next one runs", async () => {
    const engine = () => node.context.engines.status().find((s) => s.engine === "llama");
    await ask({ max_tokens: 1 });
    const pid = engine()?.pid as number;
    const response = await fetch(`${node.url}/run`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(makeJob(node, "/v1/chat/completions", long())),
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = Buffer.from((await reader.read()).value ?? []).toString();
    process.kill(pid, "SIGKILL");
    for (let part = await reader.read(); !part.done; part = await reader.read())
      text += Buffer.from(part.value).toString();
    const last = JSON.parse(text.trim().split("\n").at(-1) as string) as RunEvent;
    expect(last).toMatchObject({ type: "error", code: "ENGINE_CRASHED" });
    expect(engine()).toMatchObject({ crashes: 1, lastFailure: expect.stringContaining("SIGKILL") });
    expect((await ask({ max_tokens: 2 })).at(-1)?.type).toBe("done");
    expect(engine()?.pid).not.toBe(pid);
  });

  it("ends at the time limit", async () => {
    const hurried = { ...node, context: { ...node.context, runLimit: 1 } };
    const events: RunEvent[] = [];
    for await (const e of run(
      makeJob(hurried, "/v1/chat/completions", long()),
      hurried.context,
      new AbortController().signal,
    ))
      events.push(e);
    expect(events.at(-1)).toMatchObject({ type: "error", code: "RUN_TIMEOUT" });
  });

  it("loads no file but the one the manifest names", async () => {
    const swapped = node.context.served.map((s) =>
      s.engine.kind === "llama" ? { ...s, engine: { ...s.engine, sha256: "00".repeat(32) } } : s,
    );
    const events: RunEvent[] = [];
    for await (const e of run(
      makeJob(node, "/v1/chat/completions", chat({})),
      { ...node.context, served: swapped },
      new AbortController().signal,
    ))
      events.push(e);
    expect(events).toMatchObject([{ type: "error", code: "MODEL_DIGEST_MISMATCH" }]);
  });
});

describe("a replay", () => {
  const models = async () => {
    const { engine } = node.context.served.find(
      (s) => s.deployment.id === model,
    ) as (typeof node.context.served)[number];
    return engine.kind === "llama" ? engine : undefined;
  };
  const replay = (events: readonly RunEvent[], drop: readonly string[] = []) => {
    const done = pick(events, "done");
    const openings = done.openings.filter((o) => !drop.some((d) => o.path === d || o.path.startsWith(`${d}/`)));
    return replayReceipt({ receipt: { ...done, openings }, models, engines: node.context.engines });
  };

  it("gives the same tokens, greedy, drawn and under a grammar", async () => {
    const schema = { type: "object", properties: { a: { type: "boolean" } }, required: ["a"] };
    for (const value of [
      {},
      { temperature: 1.2, top_p: 0.9, n: 2 },
      { temperature: 0.7, max_tokens: 40, response_format: { type: "json_schema", json_schema: { schema } } },
    ]) {
      const found = await replay(await ask(value));
      expect(found).toMatchObject({ status: "same", input: "same", profileDifferences: [] });
      expect(found.compared).toBeGreaterThan(0);
    }
  });

  it("finds out a node that signs for one model and runs another", async () => {
    const honest = await models();
    if (!honest) throw new Error("no model");
    const path = `${honest.path}.tampered`;
    const weights = await readFile(honest.path);
    weights.fill(0, weights.length - 400_000);
    await writeFile(path, weights);
    const sha256 = createHash("sha256").update(weights).digest("hex");
    const served = node.context.served.map((s) =>
      s.engine.kind === "llama" ? { ...s, engine: { ...s.engine, path, sha256 } } : s,
    );
    const events: RunEvent[] = [];
    const job = makeJob(node, "/v1/chat/completions", chat({}));
    for await (const e of run(job, { ...node.context, served }, new AbortController().signal)) events.push(e);
    // Its receipt is in perfect order; only running it again tells.
    expect(await replay(events)).toMatchObject({ status: "different", code: "REPLAY_MISMATCH", input: "same" });
  });

  it("does without the request where the parameters say all", async () => {
    expect(await replay(await ask({ temperature: 0.9, frequency_penalty: 0.5 }), ["rawRequest"])).toMatchObject({
      status: "same",
      input: "not-checked",
    });
    await expect(replay(await ask({ logit_bias: { "5": 1 } }), ["rawRequest"])).rejects.toThrow(
      expect.objectContaining({ code: "REPLAY_INPUT_MISSING" }),
    );
  });

  it("needs what it needs", async () => {
    const events = await ask({});
    for (const field of ["modelInput", "profile", "output", "params", "model"]) {
      await expect(replay(events, [field])).rejects.toThrow(expect.objectContaining({ code: "REPLAY_INPUT_MISSING" }));
    }
  });

  it("is not comparable in another profile, and different for other tokens", async () => {
    const { commit } = await import("@countersign/core");
    const events = await ask({});
    const done = pick(events, "done");
    const { fields, elements } = openFields(done);
    const bytes = (f: string) => (fields.get(f as never) as { bytes: Uint8Array }).bytes;
    const forge = (change: { profile?: object; ids?: (ids: number[]) => number[] }) => {
      const profile = { ...(parseCanonical(bytes("profile")) as object), ...change.profile };
      const tokens = parseCanonical(elements.get("output/1") as Uint8Array) as { ids: number[] };
      const enc = (v: unknown) => new TextEncoder().encode(JSON.stringify(v));
      const sorted = (v: object) => Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));
      return {
        ...done,
        ...commit(
          {
            model: bytes("model"),
            params: bytes("params"),
            modelInput: bytes("modelInput"),
            profile: enc(sorted(profile)),
            output: [
              elements.get("output/0") as Uint8Array,
              enc({ ids: change.ids?.(tokens.ids) ?? tokens.ids, logprobs: null }),
            ],
          },
          () => new Uint8Array(32),
        ),
      };
    };
    const rerun = (change: Parameters<typeof forge>[0]) =>
      replayReceipt({ receipt: forge(change), models, engines: node.context.engines });
    expect(await rerun({})).toMatchObject({ status: "same" });
    expect(await rerun({ profile: { library: "00".repeat(32) } })).toMatchObject({
      status: "not-comparable",
      code: "EXECUTION_PROFILE_MISMATCH",
      profileDifferences: [{ setting: "library" }],
    });
    expect(await rerun({ ids: (ids) => [...ids.slice(0, 2), (ids[2] as number) + 1, ...ids.slice(3)] })).toMatchObject({
      status: "different",
      code: "REPLAY_MISMATCH",
      firstDifference: { where: "output", position: 2 },
    });
    expect(await rerun({ ids: (ids) => ids.slice(0, -1) })).toMatchObject({ status: "different" });
  });
});

it("tags a run by nonce and offer", async () => {
  const job = makeJob(node, "/v1/chat/completions", chat({ max_tokens: 1 }));
  const { readOffer, offerDigest, readRun } = await import("@countersign/core");
  const { nodeSuite } = await import("@countersign/core/node");
  const { predicate } = readRun(pick(await post(node, job), "done").statement);
  expect(predicate.requestTag).toBe(
    toHex(requestTag(fromHex(job.clientNonce), offerDigest(readOffer(job.offer, nodeSuite)))),
  );
});
