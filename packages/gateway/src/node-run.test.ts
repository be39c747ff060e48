import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Job } from "@countersign/core";
import { afterEach, describe, expect, it } from "vitest";
import { openNodeRunner, readEvent } from "./node-run.ts";

const code = (name: string) => expect.objectContaining({ code: name });
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A node that answers what it is told, and hears what it is asked. */
async function answer(status: number, chunks: readonly (string | Uint8Array)[], end = true) {
  const seen: { authorization?: string | undefined; closed: Promise<void> } = { closed: Promise.resolve() };
  const server = createServer((request, response) => {
    seen.authorization = request.headers.authorization;
    seen.closed = new Promise((resolve) => response.once("close", () => resolve()));
    response.writeHead(status);
    for (const chunk of chunks) response.write(chunk);
    if (end) response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function runner(runMs = 5000, answerBytes = 1 << 20) {
  const made = openNodeRunner({ runMs, answerBytes, token: "a token for tests" });
  closers.push(made.close);
  return async (url: string, signal = new AbortController().signal) => {
    const events = [];
    for await (const event of made.run(url, {} as Job, signal)) events.push(event);
    return events;
  };
}

const delta = (content: string) => ({ type: "delta", choice: 0, content });

describe("a run over HTTP", () => {
  it("gives events however the bytes are cut, and shows the token", async () => {
    const bytes = new TextEncoder().encode(`${JSON.stringify(delta("ünï"))}\n${JSON.stringify(delta("b"))}`);
    const { url, seen } = await answer(
      200,
      [...bytes].map((b) => new Uint8Array([b])),
    );
    expect(await runner()(url)).toEqual([delta("ünï"), delta("b")]);
    expect(seen.authorization).toBe("Bearer a token for tests");
  });

  it("passes on the node's own code, and makes a strange one ours", async () => {
    const busy = await answer(503, [JSON.stringify({ error: { code: "NODE_BUSY", message: "full\nstack" } })]);
    await expect(runner()(busy.url)).rejects.toMatchObject({ code: "NODE_BUSY", detail: { message: "full" } });
    const odd = await answer(500, [JSON.stringify({ error: { code: "toString" } })]);
    await expect(runner()(odd.url)).rejects.toThrow(code("ENGINE_FAILED"));
    const html = await answer(502, ["<html>"]);
    await expect(runner()(html.url)).rejects.toThrow(code("ENGINE_FAILED"));
  });

  it("tells apart what is not there, too slow, too long and cut", async () => {
    await expect(runner()("http://127.0.0.1:9")).rejects.toThrow(code("NODE_UNREACHABLE"));
    const slow = await answer(200, ["\n"], false);
    await expect(runner(50)(slow.url)).rejects.toThrow(code("RUN_TIMEOUT"));
    const long = await answer(200, [JSON.stringify(delta("x".repeat(2000)))]);
    await expect(runner(5000, 1000)(long.url)).rejects.toThrow(code("UPSTREAM_MALFORMED"));
    const garbage = await answer(200, [new Uint8Array([0xff, 0xfe, 0x0a])]);
    await expect(runner()(garbage.url)).rejects.toThrow(code("UPSTREAM_MALFORMED"));
  });

  it("hangs up on the node when the caller goes", async () => {
    const { url, seen } = await answer(200, [`${JSON.stringify(delta("a"))}\n`], false);
    const caller = new AbortController();
    const made = openNodeRunner({ runMs: 5000, answerBytes: 1000, token: null });
    closers.push(made.close);
    const events = made.run(url, {} as Job, caller.signal)[Symbol.asyncIterator]();
    await events.next();
    caller.abort();
    await expect(events.next()).rejects.toThrow(code("RUN_CANCELLED"));
    await seen.closed;
  });
});

it.each([
  "not json",
  "[]",
  JSON.stringify({ type: "surprise" }),
  JSON.stringify({ type: "delta", choice: -1, content: "a" }),
  JSON.stringify({ type: "delta", choice: 0, text: "a" }),
  JSON.stringify({ type: "output", choice: 0, output: { kind: "message", content: "a" } }),
])("refuses %s as an event", (line) => {
  expect(() => readEvent(line)).toThrow(code("UPSTREAM_MALFORMED"));
});
