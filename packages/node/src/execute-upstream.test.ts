import { mkdtemp } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromUtf8, openFields, parseCanonical, readRun, toHex } from "@countersign/core";
import { addModel } from "@countersign/registry";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gateway, makeJob, network, nodeSeed, pick, post, publisher, registration, token } from "./fixtures/job.ts";
import { type RunningNode, startNode } from "./serve.ts";

/** What the pretended host does next. */
let answer: (body: Record<string, unknown>, response: ServerResponse, request: IncomingMessage) => void;
let received: { body: Record<string, unknown>; raw: string; authorization: string | undefined };
let server: Server;
let node: RunningNode;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const raw = Buffer.concat(parts).toString();
    received = { raw, body: JSON.parse(raw), authorization: request.headers.authorization };
    answer(received.body, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const dir = await mkdtemp(join(tmpdir(), "countersign-upstream-"));
  const catalogue = join(dir, "catalogue");
  const facts = {
    title: "A model behind somebody's server",
    job: "chat",
    architecture: "unknown",
    engine: "upstream",
    entry: "served-by.txt",
    quantisation: "unknown",
    parameters: null,
    licence: "unknown",
    tokenizer: null,
    chatTemplate: null,
  } as const;
  await addModel(
    catalogue,
    { id: "theirs", facts, files: [{ name: "served-by.txt", bytes: Buffer.from("somebody") }] },
    publisher,
  );
  const upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    model: "their-name",
    apiKeyVariable: "THEIR_KEY",
  };
  node = await startNode(
    {
      operator: "Test",
      network,
      registration,
      gateways: [toHex(gateway.publicKey)],
      publishers: [toHex(publisher.publicKey)],
      catalogue,
      state: join(dir, "state"),
      deployments: [
        { model: "theirs", upstream },
        { id: "theirs-any", model: "theirs", upstream: { ...upstream, allowSubstitution: true } },
      ],
    },
    { seed: nodeSeed, token },
    { env: { THEIR_KEY: "their-secret" } },
  );
});
afterAll(async () => {
  await node.close();
  server.close();
});

const sse = (response: ServerResponse, events: readonly (object | string)[]) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const e of events) response.write(`data: ${typeof e === "string" ? e : JSON.stringify(e)}\n\n`);
  response.end();
};
const chunk = (choice: object, model = "their-name") => ({ model, choices: [{ index: 0, ...choice }] });
const usage = { model: "their-name", choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } };
const good = [
  chunk({ delta: { role: "assistant", content: "" } }),
  chunk({ delta: { content: "He" } }),
  chunk({ delta: { content: "llo" } }),
  chunk({ delta: {}, finish_reason: "stop" }),
  usage,
  "[DONE]",
];
const body = {
  model: "theirs",
  messages: [{ role: "user", content: "hi" }],
  temperature: 0.1,
  verification: { require: "origin" },
  foo_unknown: { keep: 1.0 },
};
const ask = (deployment = "theirs") => post(node, makeJob(node, "/v1/chat/completions", body, { deployment }));
const code = async (events: readonly (object | string)[], deployment?: string) => {
  answer = (_, response) => sse(response, events);
  return pick(await ask(deployment), "error").code;
};

describe("a relayed request", () => {
  it("goes out with every member but ours, and commits what went out and came back", async () => {
    answer = (_, response) => sse(response, good);
    const events = await ask();
    expect(received.authorization).toBe("Bearer their-secret");
    expect(received.body).toEqual({
      model: "their-name",
      messages: body.messages,
      temperature: 0.1,
      foo_unknown: { keep: 1 },
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(pick(events, "output").output).toEqual({
      kind: "message",
      content: "Hello",
      tool_calls: [],
      finish: "stop",
    });
    const done = pick(events, "done");
    expect(done.result.usage).toEqual(usage.usage);
    const { predicate } = readRun(done.statement);
    expect(predicate).toMatchObject({
      scope: "origin",
      rewrites: ["model"],
    });
    const { fields } = openFields(done);
    const bytes = (f: string) => (fields.get(f as never) as { bytes: Uint8Array }).bytes;
    expect(fromUtf8(bytes("forwarded"))).toBe(received.raw);
    expect(fields.get("modelInput")).toEqual({ kind: "absent" });
    expect(parseCanonical(bytes("model"))).toMatchObject({ served: "their-name", substitutedFrom: null });
    expect(parseCanonical(bytes("profile"))).toMatchObject({ engine: "upstream", library: null });
    expect(JSON.stringify(done)).not.toContain("their-secret");
  });

  it("hands on tool calls whole", async () => {
    const part = (fn: object, id?: string) =>
      chunk({ delta: { tool_calls: [{ index: 0, ...(id && { id }), function: fn }] } });
    answer = (_, response) =>
      sse(response, [
        part({ name: "f", arguments: "{" }, "c1"),
        part({ arguments: "}" }),
        chunk({ delta: {}, finish_reason: "tool_calls" }),
        usage,
        "[DONE]",
      ]);
    const events = await ask();
    expect(pick(events, "delta").tool_calls).toEqual([{ index: 0, id: "c1", name: "f", arguments: "{}" }]);
    expect(pick(events, "output").output).toMatchObject({ content: null, finish: "tool_calls" });
  });

  it("fails loudly when the answer is not whole", async () => {
    expect(await code(good.filter((e) => e !== usage))).toBe("USAGE_MISSING");
    expect(await code(good.filter((_, i) => i !== 3))).toBe("RUN_INCOMPLETE");
    expect(await code(good.slice(0, 3))).toBe("RUN_INCOMPLETE");
    expect(await code([])).toBe("RUN_INCOMPLETE");
    expect(await code([...good.slice(0, 2), "{nonsense", ...good.slice(2)])).toBe("UPSTREAM_MALFORMED");
    expect(await code([...good.slice(0, 2), { error: { message: "overloaded" } }])).toBe("UPSTREAM_FAILED");
    expect(await code([...good.slice(0, 3), chunk({ delta: {}, finish_reason: "stop" }, "another"), usage])).toBe(
      "UPSTREAM_MALFORMED",
    );
    const nameless = good.map((e) => (typeof e === "string" ? e : { ...e, model: undefined }));
    expect(await code(nameless)).toBe("UPSTREAM_MALFORMED");
  });

  it("fails when the host fails, breaks off or sends us elsewhere", async () => {
    const fails = async (act: typeof answer) => {
      answer = act;
      return pick(await ask(), "error").code;
    };
    expect(await fails((_, r) => r.writeHead(500).end("{}"))).toBe("UPSTREAM_FAILED");
    expect(await fails((_, r) => r.writeHead(307, { location: "http://127.0.0.1:1/" }).end())).toBe("UPSTREAM_FAILED");
    expect(
      await fails((_, r) => {
        r.writeHead(200, { "content-type": "text/event-stream" });
        r.write(`data: ${JSON.stringify(good[1])}\n\n`, () => r.destroy());
      }),
    ).toBe("UPSTREAM_FAILED");
  });

  it("refuses another model's answer, unless the receipt is to say so", async () => {
    const other = good.map((e) => (typeof e === "string" ? e : { ...e, model: "cheaper" }));
    expect(await code(other)).toBe("MODEL_MISMATCH");
    const done = pick(await ask("theirs-any"), "done");
    const { fields } = openFields(done);
    expect(parseCanonical((fields.get("model") as { bytes: Uint8Array }).bytes)).toMatchObject({
      served: "cheaper",
      substitutedFrom: "their-name",
    });
  });
});
