import { channelKeyPair, openRequest, sealRequest } from "@countersign/channel";
import { type Opening, type RunEvent, readDelivered, utf8 } from "@countersign/core";
import { expect, it } from "vitest";
import type { Delta, Execute, Execution } from "../execution.ts";
import { openEvents } from "../fixtures/sealed-job.ts";
import { answerSealed } from "./answer.ts";
import type { OpenedJob } from "./open-job.ts";

const path = "/v1/chat/completions";
const secret = "ab".repeat(32);

async function openedJob(release: "met" | "live", stream: boolean) {
  const keys = await channelKeyPair(new Uint8Array(32).fill(9));
  const sealed = await sealRequest({ key: keys.key, aad: utf8("x"), body: utf8("{}") });
  const { sealAnswer } = await openRequest({ keys, enc: sealed.enc, ciphertext: sealed.ciphertext, aad: utf8("x") });
  const checked = {
    job: { path, demand: { release } },
    request: { value: {} },
    served: { deployment: { model: { id: "m" } } },
    requestTag: "00".repeat(32),
  };
  const channel = {
    suite: "countersign/channel/v1",
    keyset: "00".repeat(32),
    key: "00".repeat(32),
    request: "00".repeat(32),
  };
  const opened = { checked, stream, seal: sealAnswer, channel } as unknown as OpenedJob;
  return { opened, sealed };
}

const outputs = (content: string) =>
  ({
    outputs: [{ output: { kind: "message", content, tool_calls: [], finish: "stop" } }],
    result: { usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }, finish: ["stop"], timings: {} },
  }) as unknown as Execution;
const piece = (content: string): Delta => ({ type: "delta", choice: 0, content });

type Context = Parameters<typeof answerSealed>[2];
type Channel = Parameters<Context["sign"]>[2];

/** A node's parts that sign. @param told Gets the channel that is signed. */
function contextOf(openings: readonly Opening[] = [], told: (channel: Channel) => void = () => {}): Context {
  const committed = { openings, receiptSecret: secret } as unknown as ReturnType<Context["commit"]>;
  return {
    now: () => 0,
    random: (n) => new Uint8Array(n).fill(3),
    commit: () => committed,
    sign: async (_, __, channel) => {
      told(channel);
      return { type: "done", ...committed } as unknown as Extract<RunEvent, { type: "done" }>;
    },
  };
}

async function play(execution: Execute, release: "met" | "live", stream: boolean, openings?: readonly Opening[]) {
  const { opened, sealed } = await openedJob(release, stream);
  const signed: Channel[] = [];
  const events: RunEvent[] = [];
  for await (const event of answerSealed(
    opened,
    execution,
    contextOf(openings, (channel) => signed.push(channel)),
  ))
    events.push(event);
  return { ...(await openEvents(events, sealed)), events, signed };
}

it("seals what comes at one time as one piece, and what comes later as another", async () => {
  const doors = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* burst(): Execute {
    for (const word of ["a ", "b ", "c "]) yield piece(word);
    await doors[0]?.promise;
    for (const word of ["d ", "e "]) yield piece(word);
    return outputs("a b c d e ");
  }
  const { opened, sealed } = await openedJob("live", true);
  const context = contextOf();
  const events: RunEvent[] = [];
  for await (const event of answerSealed(opened, burst(), context)) {
    events.push(event);
    // The nonce, and the first three words with the opening frame.
    if (events.length === 2) doors[0]?.resolve();
  }
  const { text, chunks } = await openEvents(events, sealed);
  expect(chunks).toBe(2);
  expect(readDelivered(path, utf8(text))).toMatchObject([{ content: "a b c d e " }]);
});

it("cuts a long answer between characters, and puts it together again", async () => {
  const long = "añ€😀".repeat(60_000);
  async function* whole(): Execute {
    yield* [];
    return outputs(long);
  }
  const { text, chunks } = await play(whole(), "met", false);
  expect(chunks).toBeGreaterThan(2);
  expect(JSON.parse(text).choices[0].message.content).toBe(long);
});

it("signs what all of it is sealed as, the holder's part included, and tells that this part comes", async () => {
  async function* whole(): Execute {
    yield* [];
    return outputs("x");
  }
  const { events, signed, digest } = await play(whole(), "met", false);
  expect(signed.map((channel) => channel.answer)).toEqual([digest]);
  expect(events.map((e) => e.type)).toEqual(["sealed", "sealed", "done", "sealed"]);
});

it("leaves out what the model saw where it is larger than a chunk may be", async () => {
  async function* whole(): Execute {
    yield* [];
    return outputs("x");
  }
  const opening = (name: string, size: number): Opening => ({
    path: name,
    salt: "00".repeat(32),
    value: { bytes: "A".repeat(size) },
  });
  const openings = [opening("params", 8), opening("modelInput", 8), opening("modelInput/0", 17 << 20)];
  const { part } = await play(whole(), "met", false, openings);
  expect(part.openings.map((o) => o.path)).toEqual(["params"]);
  expect(part.receiptSecret).toBe(secret);
});

it("ends the run when its reader leaves in the middle", async () => {
  let ended = false;
  const engine = Promise.withResolvers<never>();
  async function* endless(): Execute {
    try {
      yield piece("a");
      await engine.promise;
      return outputs("a");
    } finally {
      ended = true;
    }
  }
  const { opened } = await openedJob("live", true);
  const context = contextOf();
  const events = answerSealed(opened, endless(), context);
  await events.next();
  await events.next();
  await events.return();
  // As `run` aborts it behind whoever leaves.
  engine.reject(new Error("stopped"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(true);
});
