import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromUtf8, toBase64, utf8 } from "../bytes.ts";
import { type Output, outputBytes, readDelivered } from "../output.ts";
import type { EndpointPath } from "../request.ts";
import type { RunResult } from "../run.ts";
import { renderers } from "./renderers.ts";
import type { Answer, AnswerHead } from "./rendering.ts";
import { withField } from "./rendering.ts";

const result: RunResult = {
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  finish: ["stop"],
  timings: { queued: 0, prompt: 1, generation: 2 },
};
const head = (request: AnswerHead["request"] = {}): AnswerHead => ({ id: "ab", model: "m", created: 1, request });
const answerOf = (outputs: readonly Output[]): Answer => ({ outputs, result, logprobs: new Map() });
const bytesOf = (outputs: readonly Output[]) => outputs.map((o) => fromUtf8(outputBytes(o)));

const text = fc.string({ unit: "grapheme" }).filter((s) => s.isWellFormed());
const call = fc.record({ id: text, name: text, arguments: text });
const message = (finish: fc.Arbitrary<string>): fc.Arbitrary<Output> =>
  fc.record({
    kind: fc.constant("message" as const),
    content: fc.option(text, { nil: null }),
    tool_calls: fc.array(call, { maxLength: 3 }),
    finish,
  });
const finish = fc.constantFrom("stop", "length", "tool_calls", "content_filter");
/** The responses endpoint tells four ends apart, by status and by whether there are calls. */
const responsesMessage = message(fc.constant("stop")).chain((m) => {
  const done = m.kind === "message" && m.tool_calls.length > 0 ? "tool_calls" : "stop";
  return fc.constantFrom("length", "content_filter", done).map((f) => ({ ...m, finish: f }) as Output);
});
const words = fc.array(fc.nat(0xffffffff), { maxLength: 8 });
const float32 = (bits: readonly number[]) => {
  const view = new DataView(new ArrayBuffer(4 * bits.length));
  bits.forEach((b, i) => {
    view.setUint32(4 * i, b, true);
  });
  return view;
};
const finite = (bits: number) => ((bits >>> 23) & 0xff) !== 0xff;
const embedding = (bits: readonly number[]): Output => ({
  kind: "embedding",
  data: toBase64(new Uint8Array(float32(bits).buffer)),
});
const tensorName = fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/);
const tensor = (name: string): fc.Arbitrary<Output> =>
  fc.record({
    kind: fc.constant("tensor" as const),
    name: fc.constant(name),
    type: fc.constantFrom("float32", "int64"),
    dims: fc.array(fc.nat(9), { maxLength: 3 }),
    data: fc.uint8Array({ maxLength: 24 }).map(toBase64),
  });
const tensors = fc
  .uniqueArray(tensorName, { minLength: 1, maxLength: 4 })
  .chain((names) => fc.tuple(...[...names].sort().map(tensor)));

const cases: readonly (readonly [EndpointPath, fc.Arbitrary<readonly Output[]>, AnswerHead["request"]])[] = [
  ["/v1/chat/completions", fc.array(message(finish), { minLength: 1, maxLength: 3 }), {}],
  [
    "/v1/completions",
    fc.array(fc.record({ kind: fc.constant("text" as const), text, finish }), { minLength: 1, maxLength: 3 }),
    {},
  ],
  ["/v1/responses", responsesMessage.map((m) => [m]), { instructions: "be brief", metadata: { a: "b" } }],
  [
    "/v1/embeddings",
    fc.array(
      words.map((w) => embedding(w.filter(finite))),
      { minLength: 1, maxLength: 3 },
    ),
    {},
  ],
  ["/v1/embeddings", fc.array(words.map(embedding), { minLength: 1, maxLength: 3 }), { encoding_format: "base64" }],
  ["/v1/infer", tensors, {}],
];

/** Cuts a text into pieces at code-point borders. */
const cut = (whole: string, size: number) => {
  const points = [...whole];
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    points.slice(i * size, (i + 1) * size).join(""),
  );
};

describe.each(cases)("%s", (path, outputs, request) => {
  const renderer = renderers[path];

  it("reads back from its JSON as the committed answer, with and without the receipt beside it", () => {
    fc.assert(
      fc.property(outputs, (list) => {
        const json = renderer.json(head(request), answerOf(list));
        expect(bytesOf(readDelivered(path, utf8(json)))).toEqual(bytesOf(list));
        const whole = withField(json, "countersign", { receipt: null });
        expect(bytesOf(readDelivered(path, utf8(whole)))).toEqual(bytesOf(list));
      }),
    );
  });

  const { stream } = renderer;
  if (!stream) return;
  it("reads back from its events as the committed answer, however the node cut it", () => {
    fc.assert(
      fc.property(outputs, fc.integer({ min: 1, max: 5 }), fc.boolean(), (list, size, streamed) => {
        const rendering = stream(head(request));
        let out = rendering.open();
        if (streamed) {
          for (const [choice, output] of list.entries()) {
            const whole = output.kind === "message" ? output.content : output.kind === "text" ? output.text : null;
            for (const content of ["", ...cut(whole ?? "", size)])
              out += rendering.delta({ type: "delta", choice, content });
          }
        }
        out += rendering.close(answerOf(list)) + rendering.last(answerOf(list), { receipt: null });
        expect(bytesOf(readDelivered(path, utf8(out)))).toEqual(bytesOf(list));
      }),
    );
  });

  it("refuses pieces that are not the committed answer", () => {
    const rendering = stream(head(request));
    rendering.delta({ type: "delta", choice: 0, content: "other" });
    const kind =
      path === "/v1/completions" ? { kind: "text", text: "one" } : { kind: "message", content: "one", tool_calls: [] };
    expect(() => rendering.close(answerOf([{ ...kind, finish: "stop" } as Output]))).toThrow(
      expect.objectContaining({ code: "OUTPUT_MISMATCH" }),
    );
  });
});

it("refuses to write NaN as a JSON number", () => {
  const list = [embedding([0x7fc00000])];
  expect(() => renderers["/v1/embeddings"].json(head(), answerOf(list))).toThrow(
    expect.objectContaining({ code: "TENSOR_NOT_FINITE" }),
  );
});

it("gives the first chat chunk a role and no content", () => {
  const first = renderers["/v1/chat/completions"].stream?.(head()).open() ?? "";
  expect(JSON.parse(first.slice(6)).choices).toEqual([
    { index: 0, delta: { role: "assistant" }, logprobs: null, finish_reason: null },
  ]);
});
