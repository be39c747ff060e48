import { type CountersignError, demandBytes, parsePolicy, toHex, utf8 } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  readPrivatePart,
  readSealedAnswer,
  readSealedEvent,
  writePrivatePart,
  writeSealedAnswer,
  writeSealedChunk,
  writeSealedNonce,
} from "./answer-body.ts";
import { channelAad, clearPart, parseSealedBody, requireSameClear, writeSealedBody } from "./body.ts";

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "read";
  } catch (error) {
    return (error as CountersignError).code ?? String(error);
  }
};

const digest = "ab".repeat(32);
const sealed = {
  clear: { model: "pocket", max_tokens: 16, stream: true },
  keyset: digest,
  key: "cd".repeat(32),
  enc: new Uint8Array(32).fill(1),
  ciphertext: utf8("ciphertext"),
};
const wire = JSON.parse(new TextDecoder().decode(writeSealedBody(sealed)));
const parse = (value: unknown) => parseSealedBody(utf8(JSON.stringify(value)));

describe("sealed body", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            model: fc.stringMatching(/^[a-z/]{1,20}$/),
            max_tokens: fc.integer({ min: 1, max: 9999 }),
            n: fc.integer({ min: 1, max: 128 }),
            stream: fc.boolean(),
          },
          { requiredKeys: ["model"] },
        ),
        fc.uint8Array({ maxLength: 300 }),
        (clear, ciphertext) => {
          const read = parseSealedBody(writeSealedBody({ ...sealed, clear, ciphertext }));
          expect(read?.clear).toEqual(clear);
          expect(toHex(read?.ciphertext as Uint8Array)).toBe(toHex(ciphertext));
          expect({ ...read, clear, ciphertext }).toEqual({ ...sealed, clear, ciphertext });
        },
      ),
    );
  });

  test("an ordinary body is none", () => {
    expect(parse({ model: "pocket", messages: [] })).toBeUndefined();
  });

  test.each([
    ["content in clear", { ...wire, messages: [{ role: "user", content: "hi" }] }],
    ["a policy in clear", { ...wire, verification: "tee" }],
    ["a user's name in clear", { ...wire, user: "alice" }],
    ["a level behind the model", { ...wire, model: "pocket:tee" }],
    ["no model", { ...wire, model: undefined }],
    ["no number for a cap", { ...wire, max_tokens: "16" }],
    ["a cap of nothing", { ...wire, max_tokens: 0 }],
    ["nothing sealed", { model: "pocket", sealed: null }],
    ["another suite", { ...wire, sealed: { ...wire.sealed, suite: "countersign/channel/v0" } }],
    ["an unknown member", { ...wire, sealed: { ...wire.sealed, aad: "" } }],
    ["upper case", { ...wire, sealed: { ...wire.sealed, enc: "AB".repeat(32) } }],
    ["base64 with a second spelling", { ...wire, sealed: { ...wire.sealed, ciphertext: "Zh==" } }],
  ])("refuses one with %s", (_, value) => {
    expect(codeOf(() => parse(value))).toBe("CHANNEL_MALFORMED");
  });

  test("refuses text with two readings", () => {
    expect(codeOf(() => parseSealedBody(utf8('{"model":"a","model":"b","sealed":{}}')))).toBe("REQUEST_NOT_CANONICAL");
    expect(codeOf(() => parseSealedBody(utf8("{")))).toBe("REQUEST_MALFORMED");
  });
});

describe("clear part", () => {
  const body = { model: "pocket", max_completion_tokens: 4, messages: [], temperature: 0, n: null };
  test("is what routes and prices a request, and nothing else of it", () => {
    expect(clearPart(body)).toEqual({ model: "pocket", max_completion_tokens: 4 });
    expect(codeOf(() => clearPart({ model: "pocket", n: 129 }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => clearPart({ model: "pocket:tee" }))).toBe("CHANNEL_MALFORMED");
  });

  test("must stand sealed with the same values", () => {
    const clear = clearPart(body);
    expect(codeOf(() => requireSameClear(clear, body))).toBe("read");
    for (const change of [
      { model: "other" },
      { max_completion_tokens: 5 },
      { max_completion_tokens: null },
      { max_tokens: 4 },
      { max_output_tokens: 4 },
      { n: 2 },
      { stream: true },
      { stream: false },
      { verification: "signature" },
    ])
      expect(
        codeOf(() => requireSameClear(clear, { ...body, ...change })),
        JSON.stringify(change),
      ).toBe("CHANNEL_MALFORMED");
  });

  test("every part of what a body is bound to changes the binding", () => {
    const demand = (text: string) =>
      demandBytes({ policy: parsePolicy(text), release: "met", deadline: null, source: "request" });
    const args = {
      clear: sealed.clear,
      clientNonce: digest,
      keyset: digest,
      path: "/v1/chat/completions",
      demand: demand("tee"),
    } as const;
    const all = [
      args,
      { ...args, clear: { ...args.clear, max_tokens: 17 } },
      { ...args, clear: { model: "pocket", max_tokens: 16 } },
      { ...args, clientNonce: "00".repeat(32) },
      { ...args, keyset: "00".repeat(32) },
      { ...args, path: "/v1/completions" } as const,
      { ...args, demand: demand("signature") },
    ].map((a) => toHex(channelAad(a)));
    expect(new Set(all).size).toBe(all.length);
  });
});

describe("sealed answer", () => {
  const nonce = new Uint8Array(32).fill(3);
  const chunks = [utf8("one"), utf8("two")];
  test("is read as it was written, whole and in events", () => {
    const whole = readSealedAnswer({ sealed: writeSealedAnswer(nonce, chunks), countersign: {} });
    expect(whole).toEqual({ nonce, chunks });
    expect(readSealedEvent({ sealed: writeSealedNonce(nonce) })).toEqual({ nonce });
    const chunk = { sealed: writeSealedChunk(utf8("one")) };
    expect(readSealedEvent(chunk)).toEqual({ chunk: utf8("one"), countersign: undefined });
    const last = { choices: [], ...chunk, countersign: { receipt: {} } };
    expect(readSealedEvent(last)).toEqual({ chunk: utf8("one"), countersign: { receipt: {} } });
  });

  test("never is an answer in clear, nor stands one beside it", () => {
    const answer = { sealed: writeSealedAnswer(nonce, chunks), countersign: {} };
    const event = { sealed: writeSealedChunk(utf8("one")) };
    const said = [{ index: 0, delta: { content: "hi" } }];
    expect(codeOf(() => readSealedAnswer({ choices: said, countersign: {} }))).toBe("CHANNEL_PLAINTEXT");
    expect(codeOf(() => readSealedAnswer({ ...answer, choices: said }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedAnswer({ sealed: { nonce: toHex(nonce) } }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedAnswer({ sealed: { nonce: toHex(nonce), chunks: ["Zh=="] } }))).toBe(
      "CHANNEL_MALFORMED",
    );
    expect(codeOf(() => readSealedEvent({ choices: said }))).toBe("CHANNEL_PLAINTEXT");
    expect(codeOf(() => readSealedEvent({ ...event, choices: said }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedEvent({ ...event, choices: said, countersign: {} }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedEvent({ ...event, note: "x" }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedEvent({ sealed: { chunk: "", nonce: toHex(nonce) } }))).toBe("CHANNEL_MALFORMED");
    expect(codeOf(() => readSealedEvent({ sealed: writeSealedNonce(nonce), countersign: {} }))).toBe(
      "CHANNEL_MALFORMED",
    );
  });

  test("its private part is canonical and whole", () => {
    const part = {
      openings: [{ path: "model", salt: digest, value: "absent" as const }],
      receiptSecret: digest,
    };
    expect(readPrivatePart(writePrivatePart(part))).toEqual(part);
    for (const text of ["{}", '{"openings":[]}', '{"openings":[],"receiptSecret":"x"}', '{ "a":1}', "no"])
      expect(codeOf(() => readPrivatePart(utf8(text)))).toBe("CHANNEL_MALFORMED");
  });
});
