import {
  CountersignError,
  parsePolicy,
  ResponseEvents,
  requireCovered,
  requireCoveredChunk,
  sha256,
  utf8,
} from "@countersign/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fakeGateway, fixtureRandom } from "../../../test/fixtures/fake-gateway.ts";
import { Ledger } from "./budget.ts";
import { FrameReader, framesOf, readFrames } from "./event-stream.ts";
import { implies } from "./implication.ts";
import { readTensors, readVector, writeTensors } from "./tensors.ts";
import { uncheckedClient } from "./unsafe.ts";
import { privateKeyWallet, signAuthorization, viemWallet } from "./wallet.ts";

const key = "11".repeat(32);
const nobody = `0x${"22".repeat(20)}`;
const domain = { name: "Test USD", version: "1", chainId: 31337, verifyingContract: nobody };
const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (CountersignError.is(error)) return error.code;
    throw error;
  }
  return undefined;
};

describe("implies", () => {
  const says = (a: string, b: string) => implies(parsePolicy(a), parsePolicy(b));
  test.each([
    ["signature & logged", "signature", true],
    ["signature", "signature & logged", false],
    ["tee & signature", "tee | zkml", true],
    ["tee | zkml", "tee", false],
    ["tee | zkml", "zkml | tee", true],
    ["model:hardware(scope=inference)", "model:hardware", true],
    ["model:hardware", "model:hardware(scope=inference)", false],
    ["execution:reexecution(n=3)", "execution:reexecution(n=2)", true],
    ["execution:reexecution(n=1)", "execution:reexecution(n=2)", false],
  ])("%s ⇒ %s: %s", (a, b, want) => expect(says(a, b)).toBe(want));

  test("laws: reflexive, and a conjunction implies its parts", () => {
    const atom = fc.constantFrom("signature", "tee", "zkml", "logged", "issuer", "execution:proof", "origin");
    const policy = fc.array(fc.array(atom, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 2 });
    const text = (p: readonly (readonly string[])[]) => p.map((t) => `(${t.join(" & ")})`).join(" | ");
    fc.assert(
      fc.property(policy, policy, (p, q) => {
        expect(says(text(p), text(p))).toBe(true);
        expect(says(`(${text(p)}) & (${text(q)})`, text(q))).toBe(true);
        expect(says(text(p), `(${text(p)}) | (${text(q)})`)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the ledger", () => {
  test("never lets more out than the total, whatever order things happen in", () => {
    const step = fc.record({
      amount: fc.integer({ min: 0, max: 60 }),
      word: fc.constantFrom("release", "spend", "keep"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let out = 0;
        const ledger = new Ledger({ perRequest: 50, total: 200 }, () => 0);
        for (const { amount, word } of steps) {
          try {
            const hold = ledger.reserve(String(amount));
            if (word === "keep") hold.keep(100);
            else hold[word as "release" | "spend"]();
            if (word !== "release") out += amount;
          } catch (error) {
            expect(CountersignError.is(error, "SPEND_CAP_EXCEEDED")).toBe(true);
          }
          expect(out).toBeLessThanOrEqual(200);
          expect(ledger.state().left).toBe(BigInt(200 - out));
        }
      }),
      { numRuns: 100 },
    );
  });
  test.each([1.5, -1, "1e3", "01", 2 ** 60])("%s is no amount", (perRequest) => {
    expect(code(() => new Ledger({ perRequest, total: 1 }, () => 0))).toBe("CONFIG_INVALID");
  });
});

describe("wallets", () => {
  const message = {
    from: privateKeyWallet(key).address,
    to: nobody,
    value: "7",
    validAfter: 0,
    validBefore: 9,
    nonce: "33".repeat(32),
  };
  test("sign canonically, and another key's signature is refused", async () => {
    expect(await signAuthorization(privateKeyWallet(`0x${key}`), message, domain)).toMatch(/^[0-9a-f]{128}1[bc]$/);
    const other = privateKeyWallet("44".repeat(32));
    await expect(signAuthorization({ ...other, address: message.from }, message, domain)).rejects.toThrow(
      /PAYER_MISMATCH/,
    );
  });
  test("of viem sign the same authorisation", async () => {
    const wallet = privateKeyWallet(key);
    const plain = await signAuthorization(wallet, message, domain);
    const account = {
      address: wallet.address,
      signTypedData: async (typed: { primaryType: string; message: { value: bigint } }) => {
        expect(typed).toMatchObject({ primaryType: "TransferWithAuthorization", domain, message: { value: 7n } });
        return `0x${plain.toUpperCase()}`;
      },
    };
    expect(await signAuthorization(viemWallet(account), message, domain)).toBe(plain);
  });
  test.each(["", "0x12", "00".repeat(32)])("%j is no key, and is not repeated", (text) => {
    expect(code(() => privateKeyWallet(text))).toBe("CONFIG_INVALID");
  });
});

describe("the frame reader", () => {
  test("gives the same events however the bytes are cut", () => {
    const text = ': hi\n\ndata: {"a":"é\\n"}\n\nevent: x\ndata: {"type":"x"}\n\ndata: [DONE]\n\n';
    fc.assert(
      fc.property(fc.array(fc.nat(100), { maxLength: 5 }), (cuts) => {
        const bytes = utf8(text);
        const at = [0, ...cuts.filter((c) => c < bytes.length).sort((a, b) => a - b), bytes.length];
        const reader = new FrameReader();
        const frames = at.slice(1).flatMap((end, i) => reader.feed(bytes.subarray(at[i] as number, end)));
        reader.end();
        expect(frames).toEqual([
          { event: undefined, value: { a: "é\n" } },
          { event: "x", value: { type: "x" } },
          { event: undefined, value: "done" },
        ]);
      }),
    );
  });
  test.each([
    'data: {"a":1,"a":2}\n\n',
    "data: 1\n\n",
    "id: 3\n\n",
    "event: x\n\n",
    "data: {}\ndata: {}\n\n",
    "\ufeffdata: {}\n\n",
  ])("%j is refused", (text) => expect(code(() => new FrameReader().feed(utf8(text)))).toBe("STREAM_MALFORMED"));
  test("a stream of /v1/responses without a signed event is cut short", async () => {
    const read = async () => {
      for await (const _ of readFrames(
        "/v1/responses",
        framesOf(new Response('data: {"type":"response.created"}\n\n')),
        200,
      ));
    };
    await expect(read()).rejects.toMatchObject({ code: "STREAM_TRUNCATED" });
  });
  test("invalid UTF-8 is refused", () => {
    expect(code(() => new FrameReader().feed(Uint8Array.of(0xff)))).toBe("STREAM_MALFORMED");
  });

  test("a stream without end ends here, whether it holds events or nothing", async () => {
    const piece = utf8(`: ${"held ".repeat(1 << 17)}\n\n`);
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += piece.length;
        controller.enqueue(piece);
      },
    });
    const read = async () => {
      for await (const _ of readFrames("/v1/chat/completions", framesOf(new Response(endless)), 200));
    };
    await expect(read()).rejects.toMatchObject({ code: "STREAM_MALFORMED" });
    expect(sent).toBeLessThan(66 << 20);
  });
});

describe("coverage", () => {
  const chat = (choice: object) => ({
    choices: [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop", ...choice }],
  });
  test.each([
    ["choices by another place", chat({ index: 1 })],
    ["a refusal", chat({ message: { role: "assistant", content: "x", refusal: "no" } })],
    ["another role", chat({ message: { role: "tool", content: "x" } })],
    ["parts instead of text", chat({ message: { role: "assistant", content: [{ type: "text", text: "x" }] } })],
    [
      "a custom tool",
      chat({ message: { role: "assistant", content: null, tool_calls: [{ id: "1", type: "custom", custom: {} }] } }),
    ],
    ["a member beside the choices", { ...chat({}), citations: ["x"] }],
  ])("%s", (_, body) =>
    expect(code(() => requireCovered("/v1/chat/completions", body as never))).toBe("OUTPUT_MISMATCH"),
  );

  test("what is covered passes", () => {
    requireCovered("/v1/chat/completions", chat({ logprobs: null }) as never);
    requireCovered("/v1/completions", { choices: [{ index: 0, text: "x", finish_reason: "stop" }] });
    requireCovered("/v1/embeddings", {
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: "AAAA" }],
      model: "m",
    });
    requireCovered("/v1/infer", { outputs: { y: { type: "float32", dims: [1], base64: "AAAAAA==" } } });
    requireCoveredChunk("/v1/chat/completions", {
      choices: [{ index: 0, delta: { content: "x" }, finish_reason: null }],
    });
  });
  test("vectors in another order are refused", () => {
    const data = [
      { index: 1, embedding: "" },
      { index: 0, embedding: "" },
    ];
    expect(code(() => requireCovered("/v1/embeddings", { data }))).toBe("OUTPUT_MISMATCH");
  });
});

describe("events of /v1/responses", () => {
  const item = {
    id: "m",
    type: "message",
    status: "completed",
    role: "assistant",
    content: [{ type: "output_text", text: "Paris", annotations: [] }],
  };
  const call = {
    id: "f",
    type: "function_call",
    status: "completed",
    call_id: "c",
    name: "pay",
    arguments: '{"to":1}',
  };
  const honest = [
    { type: "response.created", response: { output: [] } },
    { type: "response.output_item.added", output_index: 0, item: { ...item, content: [] } },
    { type: "response.content_part.added", output_index: 0, content_index: 0, part: { type: "output_text", text: "" } },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Par" },
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "is" },
    { type: "response.output_text.done", output_index: 0, content_index: 0, text: "Paris" },
    {
      type: "response.content_part.done",
      output_index: 0,
      content_index: 0,
      part: { type: "output_text", text: "Paris" },
    },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.output_item.added", output_index: 1, item: { ...call, arguments: "" } },
    { type: "response.function_call_arguments.delta", output_index: 1, delta: '{"to":1}' },
    { type: "response.function_call_arguments.done", output_index: 1, arguments: '{"to":1}' },
    { type: "response.output_item.done", output_index: 1, item: call },
    { type: "response.completed", response: { object: "response", status: "completed", output: [item, call] } },
  ];
  const play = (events: readonly object[]) => {
    const reader = new ResponseEvents();
    for (const event of events) reader.add(event as never);
  };
  test("that add up pass", () => play(honest));
  test("that show people something else than is signed are refused", () => {
    for (const [i, event] of honest.entries()) {
      const text = JSON.stringify(event);
      const lie = text
        .replace('"Paris"', '"Lyon"')
        .replace('"Par"', '"Bar"')
        .replace('"is"', '"as"')
        .replace('\\"to\\":1', '\\"to\\":2')
        .replace('"text":""', '"text":"Lyon"')
        .replace('"arguments":""', '"arguments":"x"')
        .replace('"content":[]', '"content":[{"type":"output_text","text":"Lyon"}]')
        .replace('"output":[]', '"output":[{"type":"message"}]');
      if (lie === text) throw new Error(`no lie in ${text}`);
      expect(
        code(() => play(honest.with(i, JSON.parse(lie)))),
        text,
      ).toBe("OUTPUT_MISMATCH");
    }
  });
  test("that leave text out are refused", () => {
    expect(code(() => play(honest.filter((e) => e.type !== "response.output_text.delta")))).toBe("OUTPUT_MISMATCH");
  });
  test("of an unknown kind are refused", () => {
    expect(code(() => play([{ type: "response.reasoning_text.delta", delta: "x" }]))).toBe("STREAM_MALFORMED");
  });
});

describe("tensors", () => {
  test("go out as bytes and come back as values", () => {
    const sent = writeTensors({
      x: { type: "float32", dims: [2], data: Float32Array.of(1.5, -2) },
      y: { type: "int64", dims: [1], data: ["7"] },
    });
    expect(sent.y).toEqual({ type: "int64", dims: [1], data: ["7"] });
    const { x, z } = readTensors({ x: sent.x as never, z: { type: "int64", dims: [1], base64: "//////////8=" } });
    expect(x?.data).toEqual([1.5, -2]);
    expect(z?.data).toEqual([-1n]);
    expect(readVector("AADAPw==")).toEqual([1.5]);
  });
});

describe("the unchecked client", () => {
  test("pays and checks nothing but the budget", async () => {
    const body = JSON.stringify({ model: "pocket", messages: [{ role: "user", content: "x" }] });
    const make = (total: number) => {
      const gateway = fakeGateway({ receipt: () => null, offer: (o) => ({ ...o, guarantee: "issuer:signature" }) });
      const payer = [...sha256(utf8("payer"))].map((b) => b.toString(16).padStart(2, "0")).join("");
      const options = { gateway: "https://gateway.test", fetch: gateway.fetch, random: fixtureRandom() };
      return uncheckedClient({ ...options, wallet: privateKeyWallet(payer), budget: { perRequest: 150, total } });
    };
    const headers = {
      "x-countersign-nonce": [...sha256(utf8("client nonce"))].map((b) => b.toString(16).padStart(2, "0")).join(""),
    };
    const call = (total: number) =>
      make(total).fetch("https://gateway.test/v1/chat/completions", { method: "POST", body, headers });
    expect((await call(150)).status).toBe(200);
    expect(await (await call(149)).json()).toMatchObject({ error: { code: "SPEND_CAP_EXCEEDED" } });
  });
});
