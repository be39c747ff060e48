// Documents made to crash a verifier or to keep it busy: each gives a verdict, at once (the bound is in `judge`).
import { parseRequest, utf8 } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { json, judge, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { body, keyOf, makeReceipt } from "../../../../test/fixtures/receipt.ts";
import { completeReceipt } from "../index.ts";

const asked = JSON.parse(new TextDecoder().decode(body));
const honest = makeReceipt();
const timed = <T>(run: () => T): T => {
  const start = performance.now();
  const value = run();
  expect(performance.now() - start).toBeLessThan(3000);
  return value;
};

describe("leaves that hold something else", () => {
  test.each([
    ["params is null", { params: utf8("null") }],
    ["params is not canonical", { params: utf8("{ }") }],
    ["params is a list", { params: utf8("[]") }],
    ["offer is no JSON", { offer: utf8("x") }],
    ["model is no JSON", { model: utf8("x") }],
    ["profile is empty", { profile: utf8("{}") }],
    ["payment is no JSON", { payment: utf8("x") }],
    ["policy is no JSON", { policy: utf8("x") }],
    ["result is empty", { result: utf8("{}") }],
    ["output is no list", { output: utf8("x") }],
    ["an answer is null", { output: [utf8("null"), utf8("")] }],
  ])("%s", (_, contents) => {
    const made = makeReceipt({ contents });
    for (const receipt of [made.receipt, { ...made.receipt, openings: made.openings }]) {
      for (const output of [made.delivered.output, { text: "Paris" }, undefined]) {
        const verdict = judge({ receipt, delivered: { ...made.delivered, output } }, { policy: "audit" });
        expect(["unmet", "refuted"]).toContain(verdict.outcome);
      }
    }
  });
  test("an opened answer that is none is not proven", () => {
    const made = makeReceipt({ contents: { output: [utf8("null"), utf8("")] } });
    const receipt = { ...made.receipt, openings: made.openings };
    expect(view(judge({ receipt, delivered: { ...made.delivered, output: undefined } }))).toEqual(
      unmet(["OUTPUT_MISMATCH"], "output"),
    );
  });
  test("under a stranger's key they prove nothing, and contradict him alone", () => {
    const made = makeReceipt({ node: keyOf("nobody"), contents: { offer: utf8("x") } });
    expect(view(judge(made))).toMatchObject({ outcome: "refuted", refuted: ["request", "prompt"] });
  });
});

describe("documents", () => {
  test.each([
    ["deep", "[".repeat(1e6)],
    ["deep objects", '{"a":'.repeat(1e5)],
    ["a number", 7],
    [
      "a cycle",
      (() => {
        const a: unknown[] = [];
        a.push(a);
        return a;
      })(),
    ],
    [
      "something that throws",
      {
        get format() {
          throw new Error("x");
        },
      },
    ],
    [
      "openings of the wrong kind",
      { ...honest.receipt, openings: Array.from({ length: 190_000 }, () => ({ path: "!", salt: 1, value: [] })) },
    ],
    ["another version", { ...honest.receipt, format: "countersign/receipt/v2" }],
  ])("%s: a verdict with no finding", (_, receipt) => {
    const verdict = judge({ receipt, delivered: honest.delivered });
    expect(verdict).toMatchObject({ outcome: "unmet", final: false, findings: [] });
    expect(view(verdict).codes).toHaveLength(1);
  });
  test("openings without end that do not fit", () => {
    const openings = Array.from({ length: 20_000 }, (_, i) => ({
      path: `messages/${i}`,
      salt: "ab".repeat(32),
      value: "absent" as const,
    }));
    const receipt = { ...honest.receipt, openings: [...honest.receipt.openings, ...openings] };
    expect(view(judge({ receipt, delivered: honest.delivered })).codes).toEqual(["STATEMENT_ROOT_MISMATCH"]);
  });
  test("bad signatures and proofs up to every limit", () => {
    const [inclusion] = honest.receipt.inclusion;
    if (!inclusion) throw new Error("no inclusion");
    const bad = { keyid: "", sig: Buffer.alloc(64, 7).toString("base64") };
    const spoil = <T extends { readonly signatures: readonly unknown[] }>(e: T) => ({
      ...e,
      signatures: [bad, bad, bad, bad],
    });
    const receipt = {
      ...honest.receipt,
      statement: spoil(honest.receipt.statement),
      keys: Array.from({ length: 16 }, (_, i) => spoil(honest.receipt.keys[i % 2] as never)),
      snapshots: Array.from({ length: 16 }, () => ({
        ...honest.receipt.snapshots[0],
        envelope: spoil(honest.receipt.snapshots[0]?.envelope as never),
      })),
      inclusion: Array.from({ length: 65 }, (_, i) => ({
        ...inclusion,
        proof: inclusion.proof.replace("index 1", `index ${i}`),
      })),
      evidence: Array.from({ length: 64 }, () => ({ envelope: spoil(honest.receipt.statement), blob: null })),
    };
    expect(judge({ receipt, delivered: honest.delivered }, { policy: "audit" }).outcome).toBe("unmet");
  });
});

describe("content", () => {
  const deliver = (bytes: Uint8Array) =>
    view(judge({ ...honest, delivered: { ...honest.delivered, output: { body: bytes } } }));
  test.each([
    [
      "half a character",
      utf8('{"choices":[{"index":0,"message":{"content":"\\ud800"},"finish_reason":"stop"}]}'),
      "REQUEST_NOT_CANONICAL",
    ],
    ["a key twice", utf8('{"choices":[],"choices":[]}'), "REQUEST_NOT_CANONICAL"],
    ["a prototype", utf8('{"__proto__":{},"choices":[]}'), "REQUEST_NOT_CANONICAL"],
    ["no JSON", utf8('{"choices":'), "REQUEST_MALFORMED"],
    ["a text", utf8("Paris"), "STREAM_TRUNCATED"],
    ["deep brackets", utf8(`{"choices":${"[".repeat(1e6)}`), "REQUEST_MALFORMED"],
  ])("an answer of %s is not read", (_, bytes, code) => expect(deliver(bytes)).toEqual(unmet([code], "output")));
  test("a request that cannot be read leaves it unproven", () => {
    const request = { method: "POST", path: "/v1/chat/completions", body: utf8("{") };
    const verdict = judge({ ...honest, delivered: { ...honest.delivered, request } });
    expect(verdict.outcome).toBe("refuted");
    expect(
      view(judge({ ...honest, delivered: { ...honest.delivered, request: { ...request, path: "/elsewhere" } } }))
        .refuted,
    ).toContain("request");
  });
  test.each(["", "zz", "ab"])("a client nonce %j that is none gives a verdict", (clientNonce) => {
    expect(judge({ ...honest, delivered: { ...honest.delivered, clientNonce } }).outcome).not.toBe("met");
  });
  test.each(["é", "e"])("messages without end after %s take time in proportion", (model) => {
    const many = json({ ...asked, model, messages: Array.from({ length: 20_000 }, () => 1) });
    timed(() => parseRequest("/v1/chat/completions", many));
  });
  test("so does a request of many messages that is completed", () => {
    const made = makeReceipt({ body: json({ ...asked, messages: Array.from({ length: 4000 }, () => ({})) }) });
    const full = timed(() => completeReceipt(made.receipt, made.delivered));
    expect(judge({ receipt: full, delivered: made.delivered }).outcome).toBe("met");
  });
});
