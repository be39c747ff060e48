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
