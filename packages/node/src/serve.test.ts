import {
  fromHex,
  fromUtf8,
  isSignedBy,
  type JsonObject,
  openFields,
  outputBytes,
  parseCanonical,
  type RunEvent,
  readOutputs,
  readRun,
  rootsOf,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeJob, nodeKey, pick, post, startTestNode, token } from "./fixtures/job.ts";
import type { RunningNode } from "./serve.ts";

const model = "countersign-pocket";
let node: RunningNode;
beforeAll(async () => {
  node = await startTestNode([model, "lande-50", "glove-words-100d"]);
}, 60_000);
afterAll(() => node.close());

const hello = {
  model,
  messages: [{ role: "user", content: "What is the capital of France?" }],
  max_tokens: 24,
} as const;

/** The fields of a finished run, opened and checked. */
function open(events: readonly RunEvent[]) {
  const done = pick(events, "done");
  const { predicate, subject, envelope } = readRun(done.statement);
  expect(isSignedBy(envelope, nodeKey, nodeSuite)).toBe(true);
  expect(rootsOf(done.leaves.map(fromHex)).receiptRoot).toBe(subject);
  const { fields, elements } = openFields(done);
  const bytes = (name: string): Uint8Array => {
    const found = fields.get(name as never) ?? elements.get(name);
    if (found instanceof Uint8Array) return found;
    if (found?.kind !== "bytes") throw new Error(`${name} is ${found?.kind}`);
    return found.bytes;
  };
  return {
    done,
    statement: predicate,
    fields,
    elements,
    bytes,
    json: (name: string) => parseCanonical(bytes(name)) as JsonObject,
  };
}

describe("a chat run", () => {
  it("streams, commits what it streamed, and signs it", async () => {
    const events = await post(node, makeJob(node, "/v1/chat/completions", hello));
    const { done, statement, fields, elements, bytes, json } = open(events);
    const output = pick(events, "output").output;
    const streamed = events.flatMap((e) => (e.type === "delta" ? [e.content ?? ""] : [])).join("");
    expect(output).toMatchObject({ kind: "message", content: streamed, tool_calls: [] });
    expect(elements.get("output/0")).toEqual(outputBytes(output));
    expect(fields.size).toBe(16);
    expect(statement).toMatchObject({ issuer: nodeKey, scope: "inference", outcome: "complete", rewrites: [] });
    expect(fromUtf8(bytes("forwarded"))).toBe(
      "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    );
    const input = json("modelInput").tokens as number[];
    const ids = (json("output/1").ids as number[]) ?? [];
    expect(done.result.usage).toEqual({
      prompt_tokens: input.length,
      completion_tokens: ids.length,
      total_tokens: input.length + ids.length,
    });
    expect(json("params")).toMatchObject({ max_tokens: 24, temperature: 0 });
    expect(json("profile")).toMatchObject({ engine: "llama.cpp", dtype: "f16", seeds: [] });
    expect(json("profile").library).toMatch(/^[0-9a-f]{64}$/);
    expect(json("model")).toMatchObject({ requested: model, served: null, substitutedFrom: null });
    expect(
      readOutputs("/v1/chat/completions", {
        choices: [{ index: 0, message: { content: streamed }, finish_reason: done.result.finish[0] as string }],
      }),
    ).toEqual([output]);
  });

  it("gives the same tokens again", async () => {
    const [a, b] = [
      open(await post(node, makeJob(node, "/v1/chat/completions", hello))),
      open(await post(node, makeJob(node, "/v1/chat/completions", hello))),
    ];
    expect(a.json("output/1")).toEqual(b.json("output/1"));
    expect(a.statement.requestTag).not.toBe(b.statement.requestTag);
  });

  it("draws by the request's own seed, which nobody can re-roll", async () => {
    const messages = [{ role: "user", content: "Zqx vrr blim?" }];
    const body = { ...hello, messages, temperature: 2, n: 2 };
    const clientNonce = "ab".repeat(32);
    const job = makeJob(node, "/v1/chat/completions", body, { job: { clientNonce } });
    const first = open(await post(node, job));
    expect(first.json("profile").seeds).toHaveLength(2);
    expect(first.json("profile").sampler).toMatchObject({ by: "countersign/sample/v1", temperature: "2" });
    const again = await post(node, job);
    expect(pick(again, "error").code).toBe("NONCE_REPLAYED");
    const given = { ...body, seed: 7 };
    const [a, b] = [
      open(await post(node, makeJob(node, "/v1/chat/completions", given))),
      open(await post(node, makeJob(node, "/v1/chat/completions", given))),
    ];
    expect(a.json("output/1")).toEqual(b.json("output/1"));
    expect(a.json("output/1")).not.toEqual(a.json("output/3"));
    expect(a.json("profile").seeds).toEqual([7, 8]);
  });
});

describe("the door", () => {
  it("lets in nobody without the token", async () => {
    for (const authorization of [undefined, "Bearer wrong", token]) {
      const response = await fetch(`${node.url}/describe`, { headers: authorization ? { authorization } : {} });
      expect(response.status).toBe(401);
      expect(((await response.json()) as { error: { code: string } }).error.code).toBe("UNAUTHENTICATED");
    }
    expect((await fetch(`${node.url}/healthz`)).status).toBe(200);
  });

  it("describes what it serves", async () => {
    const response = await fetch(`${node.url}/describe`, { headers: { authorization: `Bearer ${token}` } });
    const described = (await response.json()) as {
      key: string;
      deployments: { ready: boolean; about: { job: string } }[];
    };
    expect(described.key).toBe(nodeKey);
    expect(described.deployments.map((d) => d.ready)).toEqual([true, true, true]);
  });
});

describe("a question before a payment", () => {
  const check = async (path: string, value: unknown, change: object = {}, authorization = `Bearer ${token}`) => {
    const body = Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64");
    const response = await fetch(`${node.url}/check`, {
      method: "POST",
      headers: { authorization },
      body: JSON.stringify({ path, body, deployment: (value as { model?: string }).model ?? model, ...change }),
    });
    const answer = (await response.json()) as { ok?: true; error?: { code: string; param?: string } };
    return answer.ok ? "ok" : `${response.status} ${answer.error?.code} ${answer.error?.param ?? ""}`.trim();
  };
  const chat = (over: object) => check("/v1/chat/completions", { ...hello, ...over });
  const infer = (inputs: unknown) => check("/v1/infer", { model: "lande-50", inputs });

  it("is answered without a run, as the run would", async () => {
    const before = JSON.stringify(node.context.engines.status());
    expect(await chat({})).toBe("ok");
    expect(await chat({ foo: 1 })).toBe("400 PARAMETER_NOT_SUPPORTED foo");
    expect(await chat({ messages: [] })).toBe("400 REQUEST_FIELD_INVALID messages");
    expect(await chat({ temperature: "hot" })).toBe("400 REQUEST_FIELD_INVALID temperature");
    expect(await chat({ max_tokens: 1e9 })).toBe("400 REQUEST_FIELD_INVALID max_tokens");
    expect(await chat({ stop: Array.from({ length: 5 }, () => "a") })).toBe("400 REQUEST_FIELD_INVALID stop");
    const prompt = Array.from({ length: 100_000 }, () => 1);
    expect(await check("/v1/completions", { model, prompt })).toBe("400 CONTEXT_TOO_LONG prompt");
    expect(await check("/v1/embeddings", { model: "glove-words-100d", input: ["a"] })).toBe("ok");
    expect(await check("/v1/embeddings", { model: "glove-words-100d", input: [1, 2] })).toBe(
      "400 PARAMETER_NOT_SUPPORTED input",
    );
    expect(await infer({})).toBe("400 TENSOR_MALFORMED inputs");
    expect(await infer({ x: { type: "float32", dims: [1], base64: "AADAfw==" } })).toBe("400 TENSOR_NOT_FINITE x");
    expect(await infer({ x: { type: "float32", dims: [1], data: [1] } })).toMatch(/^400 TENSOR_/);
    expect(JSON.stringify(node.context.engines.status())).toBe(before);
  });

  it("is for gateways alone, and read as strictly as a job", async () => {
    expect(await check("/v1/chat/completions", hello, {}, "Bearer wrong")).toBe("401 UNAUTHENTICATED");
    expect(await chat({ model: "lande-50" })).toBe("400 MODEL_TASK_MISMATCH model");
    expect(await check("/v1/chat/completions", hello, { deployment: "nothing" })).toBe("404 MODEL_UNKNOWN");
    expect(await check("/v1/chat/completions", hello, { deployment: "lande-50" })).toMatch(/MODEL_MISMATCH/);
    expect(await check("/v1/chat/completions", hello, { body: "%" })).toBe("400 REQUEST_MALFORMED");
    expect(await check("/v1/chat/completions", hello, { more: 1 })).toBe("400 REQUEST_MALFORMED");
    expect(await check("/v1/nothing", hello)).toBe("400 REQUEST_MALFORMED");
    expect(await check("/v1/chat/completions", "{")).toBe("400 REQUEST_MALFORMED");
  });
});
