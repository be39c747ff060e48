import { concat, type Job, presets, type RunEvent, sha256, sha256Hex, toBase64, utf8 } from "@countersign/core";
import { expect, it } from "vitest";
import { runOrder } from "../run-order.ts";
import { relayRun, type SealedPiece } from "./relay.ts";

type Args = Parameters<typeof relayRun>;
const order = {
  path: "/v1/chat/completions",
  body: utf8("{}"),
  demand: { policy: presets.signature },
} as unknown as Args[2];
const accepted = { offered: {}, served: { nodeUrl: "x" }, paid: null } as unknown as Args[3];
const depsOf = (events: readonly RunEvent[]) =>
  ({
    trust: { development: false },
    log: { origin: "x" },
    runOnNode: async function* (_: string, __: Job) {
      yield* events;
    },
  }) as unknown as Args[0];
const stay = { gone: new AbortController().signal };

const sealed = (bytes: Uint8Array): RunEvent => ({ type: "sealed", data: toBase64(bytes) });
const nonce = sealed(new Uint8Array(32).fill(1));
const [one, two, last] = [2, 3, 4].map((n) => sealed(new Uint8Array(40).fill(n))) as [RunEvent, RunEvent, RunEvent];
const done = { type: "done", openings: [], receiptSecret: null } as unknown as RunEvent;
const delta: RunEvent = { type: "delta", choice: 0, content: "words" };

async function relay(events: readonly RunEvent[]) {
  const passed: SealedPiece[] = [];
  const result = await relayRun(depsOf(events), stay, order, accepted, async (piece) => void passed.push(piece));
  return { ...result, passed };
}

it("passes on nonce and chunks as they come, and holds the last one back for the receipt", async () => {
  const { passed, answer } = await relay([nonce, one, two, done, last]);
  expect(passed).toEqual([
    { nonce: "01".repeat(32) },
    { chunk: toBase64(new Uint8Array(40).fill(2)) },
    { chunk: toBase64(new Uint8Array(40).fill(3)) },
  ]);
  expect(answer.last).toBe(toBase64(new Uint8Array(40).fill(4)));
  const hashes = [2, 3, 4].map((n) => sha256(new Uint8Array(40).fill(n)));
  expect(answer.digest).toBe(sha256Hex(concat(new Uint8Array(32).fill(1), ...hashes)));
});

it.each<[string, readonly RunEvent[], string]>([
  ["a piece in clear", [nonce, delta], "CHANNEL_PLAINTEXT"],
  ["an answer in clear behind the chunks", [nonce, one, delta, done, last], "CHANNEL_PLAINTEXT"],
  ["the secret in clear", [nonce, one, { ...done, receiptSecret: "ab".repeat(32) } as RunEvent], "CHANNEL_PLAINTEXT"],
  ["no chunk behind its end", [nonce, one, done], "CHANNEL_TRUNCATED"],
  ["no end", [nonce, one, two], "CHANNEL_TRUNCATED"],
  ["nothing", [], "CHANNEL_TRUNCATED"],
  ["two ends", [nonce, one, done, done, last], "CHANNEL_MALFORMED"],
  ["its end before the nonce", [done, nonce, last], "CHANNEL_MALFORMED"],
  ["a short nonce", [sealed(new Uint8Array(31))], "CHANNEL_MALFORMED"],
  ["a chunk shorter than its seal", [nonce, sealed(new Uint8Array(15))], "CHANNEL_MALFORMED"],
  ["bytes in another spelling", [{ type: "sealed", data: "AB==" }], "CHANNEL_MALFORMED"],
  ["an error", [nonce, { type: "error", code: "NODE_BUSY", message: "Busy." }], "NODE_BUSY"],
])("refuses a node that sends %s", async (_, events, code) => {
  await expect(relay(events)).rejects.toMatchObject({ code });
});

it.each<[string, readonly RunEvent[]]>([
  ["a sealed piece", [nonce]],
  ["an end without the secret", [done]],
])("refuses %s where the request came in clear", async (_, events) => {
  const run = runOrder(depsOf(events), stay, order, accepted, { delta: async () => {} });
  await expect(run).rejects.toMatchObject({ code: "UPSTREAM_MALFORMED" });
});
