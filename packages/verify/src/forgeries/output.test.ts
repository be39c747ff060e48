// Forgeries of the answer by whoever delivers it: bytes that clients read and that no receipt covers.
import { outputBytes, utf8 } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { json, judge, refuted, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { answer, body, makeReceipt } from "../../../../test/fixtures/receipt.ts";

const asked = JSON.parse(new TextDecoder().decode(body));
const honest = makeReceipt();
const deliver = (bytes: Uint8Array, made = honest) =>
  view(judge({ ...made, delivered: { ...made.delivered, output: { body: bytes } } }));
const altered = refuted(["OUTPUT_MISMATCH"], ["output"]);
const unread = unmet(["STREAM_MALFORMED"], "output");

describe("a JSON body", () => {
  const chat = (message: object, choice: object = {}, more: object = {}) =>
    json({
      choices: [
        { index: 0, message: { role: "assistant", content: "Paris", ...message }, finish_reason: "stop", ...choice },
      ],
      ...more,
    });
  test.each([
    ["as it is", chat({})],
    ["with what says nothing", chat({ refusal: null, annotations: [] }, { logprobs: null }, { id: "x", usage: {} })],
    ["that repeats the model as the request wrote it", chat({}, {}, { model: "pocket" })],
  ])("%s is met", (_, bytes) => expect(deliver(bytes)).toEqual(sound));
  test.each([
    ["an old function call", chat({ function_call: { name: "transfer", arguments: "{}" } })],
    ["a refusal", chat({ refusal: "I cannot" })],
    ["reasoning", chat({ reasoning_content: "evil" })],
    ["audio", chat({ audio: { data: "x" } })],
    ["another role", chat({ role: "system" })],
    ["parts", chat({ content: [{ type: "text", text: "Paris" }] })],
    ["a tool call", chat({ tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] })],
    ["another finish reason", chat({}, { finish_reason: "length" })],
    ["another model's name", chat({}, {}, { model: "gpt-5" })],
    ["a level that nobody asked for behind the model's name", chat({}, {}, { model: "pocket:zkml" })],
    ["a member beside the choices", chat({}, {}, { citations: ["x"] })],
    ["another text", chat({ content: "Lyon" })],
  ])("with %s is refuted", (_, bytes) => expect(deliver(bytes)).toEqual(altered));
  test("with choices in another order than their indices is refuted", () => {
    const answers = [answer, { ...answer, content: "Lyon" } as typeof answer];
    const made = makeReceipt({ body: json({ ...asked, n: 2 }), answers });
    const choice = (index: number, content: string) => ({ index, message: { content }, finish_reason: "stop" });
    const swapped = deliver(json({ choices: [choice(1, "Lyon"), choice(0, "Paris")] }), made);
    expect(swapped).toMatchObject({ outcome: "refuted", refuted: ["output"] });
    expect(deliver(json({ choices: [choice(0, "Paris"), choice(1, "Lyon")] }), made).outcome).toBe("met");
  });
  test("without the request a name that may be the caller's spelling refutes nobody", () => {
    const output = { body: chat({}, {}, { model: "pocket:signature" }) };
    const verdict = judge({ ...honest, delivered: { output, clientNonce: honest.delivered.clientNonce } });
    expect(view(verdict)).toMatchObject({ outcome: "unmet", refuted: [] });
    expect(view(verdict).lacks).toContain("output");
  });
});

describe("a stream", () => {
  const chunk = (delta: object, finish: string | null = null, index = 0) =>
    `data: ${JSON.stringify({ choices: [{ index, delta, finish_reason: finish }] })}`;
  const stream = (...blocks: string[]) => utf8(`${blocks.join("\n\n")}\n\n`);
  const end = [chunk({}, "stop"), "data: [DONE]"];
  test("as it is is met", () => {
    expect(
      deliver(stream(chunk({ role: "assistant", content: "" }), ": hi", chunk({ content: "Paris" }), ...end)),
    ).toEqual(sound);
  });
  test("may hold a byte order mark inside a text", () => {
    const made = makeReceipt({ answer: { ...answer, content: "Pa\ufeffris" } as typeof answer });
    expect(deliver(stream(chunk({ content: "Pa\ufeffris" }), ...end), made)).toEqual(sound);
  });
  test.each([
    ["a carriage return hides an event in a comment", `: x\r${chunk({ content: "NOT " })}\r\r`],
    ["a byte order mark stands before an event", `\ufeff${chunk({ content: "NOT " })}`],
    ["the end comes twice", "data: [DONE]"],
    ["a field is unknown", "id: 1\ndata: {}"],
    ["data stand twice", `${chunk({})}\ndata: {}`],
    ["an event has a name", `event: x\n${chunk({})}`],
    [
      "a choice stands twice in one chunk",
      `data: ${JSON.stringify({ choices: [0, 0].map((index) => ({ index, delta: {} })) })}`,
    ],
    ["an index is skipped", `${chunk({ content: "x" }, "stop", 2)}`],
    ["an error is among the events", 'data: {"choices":[],"error":{"message":"x"}}'],
  ])("where %s is not read", (_, block) => {
    expect(deliver(stream(block, chunk({ content: "Paris" }), ...end))).toEqual(unread);
  });
  test("that goes on after its finish reason is not read", () => {
    expect(
      deliver(stream(chunk({ content: "Pa" }, "length"), chunk({ content: "ris" }, "stop"), "data: [DONE]")),
    ).toEqual(unread);
  });
  test("that is not UTF-8 is not read, one that ends early is cut short", () => {
    expect(deliver(new Uint8Array([0x64, 0xff, 0xfe]))).toEqual(unread);
    expect(deliver(stream(chunk({ content: "Paris" })))).toEqual(unmet(["STREAM_TRUNCATED"], "output"));
  });
  test.each([
    ["reasoning", { reasoning_content: "evil" }],
    ["an old function call", { function_call: { name: "pay", arguments: "{}" } }],
    ["a refusal", { refusal: "no" }],
  ])("with %s is refuted", (_, delta) =>
    expect(deliver(stream(chunk({ content: "Paris", ...delta }), ...end))).toEqual(altered),
  );

  describe("with tool calls", () => {
    const call = { id: "1", name: "transfer", arguments: "{}" };
    const made = makeReceipt({ answer: { kind: "message", content: null, tool_calls: [call], finish: "tool_calls" } });
    const part = (fn: object, more: object = {}) => chunk({ tool_calls: [{ index: 0, function: fn, ...more }] });
    const last = [chunk({}, "tool_calls"), "data: [DONE]"];
    const opens = part({ name: "transfer", arguments: "" }, { id: "1", type: "function" });
    test("as they are is met", () =>
      expect(deliver(stream(opens, part({ arguments: "{}" }), ...last), made)).toEqual(sound));
    test.each([
      [
        "a name in two parts, which some clients join and some replace",
        [part({ name: "trans" }, { id: "1" }), part({ name: "fer", arguments: "{}" })],
      ],
      ["a second id", [opens, part({ arguments: "{}" }, { id: "2" })]],
      [
        "a skipped place",
        [chunk({ tool_calls: [{ index: 1, id: "1", function: { name: "transfer", arguments: "{}" } }] })],
      ],
    ])("with %s is not read", (_, blocks) => expect(deliver(stream(...blocks, ...last), made)).toEqual(unread));
    test("shown as a plain text proves nothing about the calls, opened or not", () => {
      const both = makeReceipt({
        answer: { kind: "message", content: "Paris", tool_calls: [call], finish: "tool_calls" },
      });
      const text = { ...both.delivered, output: { text: "Paris" } };
      expect(view(judge({ ...both, delivered: text }))).toEqual(unmet(["OUTPUT_MISMATCH"], "output"));
      const receipt = { ...both.receipt, openings: both.openings };
      expect(view(judge({ receipt, delivered: text }))).toEqual(unmet(["OUTPUT_MISMATCH"], "output"));
    });
  });
});

describe("/v1/responses", () => {
  const item = { type: "message", role: "assistant", content: [{ type: "output_text", text: "Paris" }] };
  const final = { status: "completed", output: [item] };
  const made = makeReceipt({ endpoint: "/v1/responses", body: json({ model: "pocket", input: "Capital of France?" }) });
  const place = { output_index: 0, content_index: 0 };
  const delta = { type: "response.output_text.delta", ...place, delta: "Paris" };
  const completed = { type: "response.completed", response: final };
  const stream = (...events: object[]) => utf8(events.map((e) => `data: ${JSON.stringify(e)}\n\n`).join(""));
  test.each([
    ["a JSON body", json(final)],
    ["a stream", stream(delta, completed)],
  ])("%s is met", (_, bytes) => expect(deliver(bytes, made)).toEqual(sound));
  test.each([
    ["another text in the events", stream({ ...delta, delta: "Berlin, send 5 BTC" }, completed)],
    ["no text in the events", stream(completed)],
    ["a second spelling of a place", stream(delta, { ...delta, output_index: "00" }, completed)],
    [
      "a refusal in a finished item",
      stream(
        delta,
        { type: "response.output_item.done", output_index: 0, item: { ...item, refusal: "no" } },
        completed,
      ),
    ],
    [
      "a first event with text",
      stream({ type: "response.created", response: { output_text: "Berlin" } }, delta, completed),
    ],
    ["another output_text", json({ ...final, output_text: "Berlin" })],
    ["another role", json({ ...final, output: [{ ...item, role: "user" }] })],
    [
      "a refusal part",
      json({ ...final, output: [{ ...item, content: [...item.content, { type: "refusal", refusal: "never" }] }] }),
    ],
    [
      "a text cut in parts",
      json({ ...final, output: [{ ...item, content: ["Pa", "ris"].map((text) => ({ type: "output_text", text })) }] }),
    ],
    ["a phase", json({ ...final, output: [{ ...item, phase: "commentary" }] })],
    ["an error", json({ ...final, error: { message: "evil" } })],
    ["the status of a failure", json({ ...final, status: "failed" })],
    ["another reason to have ended", json({ ...final, incomplete_details: { reason: "content_filter" } })],
    ["a reason that nobody knows", json({ ...final, status: "incomplete", incomplete_details: { reason: "evil" } })],
    ["another end", json({ ...final, status: "incomplete", incomplete_details: { reason: "content_filter" } })],
    ["reasoning", json({ ...final, output: [{ type: "reasoning", summary: [] }, item] })],
  ])("with %s is refuted", (_, bytes) => expect(deliver(bytes, made)).toEqual(altered));
  test.each([
    ["an event after the final one", stream(delta, completed, { ...delta, delta: "Berlin" })],
    ["an unknown event", stream({ type: "response.reasoning_text.delta", delta: "x" }, delta, completed)],
  ])("with %s is not read", (_, bytes) => expect(deliver(bytes, made)).toEqual(unread));
  test("a call that only the final event has is refuted: who reads the events would miss it", () => {
    const call = { type: "function_call", call_id: "c", name: "pay", arguments: "" };
    const tool_calls = [{ id: "c", name: "pay", arguments: "" }];
    const paying = makeReceipt({
      endpoint: "/v1/responses",
      body: json({ model: "pocket", input: "Pay." }),
      answer: { kind: "message", content: null, tool_calls, finish: "tool_calls" },
    });
    const end = { type: "response.completed", response: { ...final, output: [call] } };
    expect(deliver(stream({ type: "response.output_item.done", output_index: 0, item: call }, end), paying)).toEqual(
      sound,
    );
    expect(deliver(stream(end), paying)).toEqual(altered);
  });
});

describe("vectors and tensors", () => {
  const data = Buffer.from(new Float32Array([0.1, 0.2]).buffer).toString("base64");
  const embedding = makeReceipt({
    endpoint: "/v1/embeddings",
    body: json({ model: "pocket", input: "x" }),
    contents: { output: [outputBytes({ kind: "embedding", data })] },
    seeds: [],
    sampler: "none",
  });
  const vector = (...values: number[]) => json({ data: [{ index: 0, embedding: values }] });
  test("a vector is compared as float32: what lies below is not covered", () => {
    expect(deliver(vector(0.1, 0.2), embedding)).toEqual(sound);
    expect(deliver(vector(0.10000000001, 0.2), embedding)).toEqual(sound);
    expect(deliver(vector(0.1000001, 0.2), embedding)).toEqual(altered);
    expect(deliver(vector(1e300, 0.2), embedding)).toEqual(altered);
  });
  const tensors = makeReceipt({
    endpoint: "/v1/infer",
    body: json({ model: "pocket", inputs: {} }),
    contents: { output: [outputBytes({ kind: "tensor", name: "a", type: "f", dims: [1], data: "" })] },
    seeds: [],
    sampler: "none",
  });
  const tensor = (more: object, beside: object = {}) =>
    json({ outputs: { a: { type: "f", dims: [1], base64: "", ...more } }, ...beside });
  test("a tensor is its type, shape and bytes", () => expect(deliver(tensor({}), tensors)).toEqual(sound));
  test.each([
    ["values beside the bytes", tensor({ values: [1] })],
    ["a result beside the outputs", tensor({}, { result: "evil" })],
    ["another shape", tensor({ dims: [2] })],
  ])("with %s is refuted", (_, bytes) => expect(deliver(bytes, tensors)).toEqual(altered));
  test.each([1.5, -1, "1", utf8("-0")])("a dimension %s is not read", (dim) => {
    const bytes =
      dim instanceof Uint8Array
        ? utf8('{"outputs":{"a":{"type":"f","dims":[-0],"base64":""}}}')
        : tensor({ dims: [dim] });
    expect(deliver(bytes, tensors)).toEqual(unread);
  });
});
