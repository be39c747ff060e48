import { type EndpointPath, type JsonObject, parseRequest, utf8 } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readChat } from "./chat.ts";
import { readCompletion } from "./completion.ts";
import { readResponses } from "./responses.ts";
import { CallReader, type Tool } from "./tools.ts";
import { readEmbedding, readTensorTask } from "./vectors.ts";

const limits = { maxOutput: 100 };
const parse = (path: EndpointPath, value: JsonObject) =>
  parseRequest(path, utf8(JSON.stringify({ model: "m", ...value })));
const chat = (value: JsonObject) =>
  readChat(parse("/v1/chat/completions", { messages: [{ role: "user", content: "hi" }], ...value }), limits);
const completion = (value: JsonObject) => readCompletion(parse("/v1/completions", { prompt: "hi", ...value }), limits);
const responses = (value: JsonObject) => readResponses(parse("/v1/responses", { input: "hi", ...value }), limits);
const tool = {
  type: "function",
  function: { name: "get", parameters: { type: "object", properties: { a: { type: "string" } } } },
};

const code = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    const { code, detail } = error as { code: string; detail: { param?: string } };
    return `${code} ${detail.param}`;
  }
};

describe("a chat request", () => {
  it("honours what it takes", () => {
    expect(
      chat({
        temperature: 0.5,
        top_p: 0.9,
        max_completion_tokens: 5,
        stop: "x",
        n: 2,
        seed: 3,
        logprobs: true,
        top_logprobs: 2,
      }),
    ).toMatchObject({
      sampling: { temperature: 0.5, topP: 0.9 },
      maxTokens: 5,
      stop: ["x"],
      choices: 2,
      seed: 3,
      logprobs: 2,
    });
    expect(chat({ temperature: null, stop: null, tools: null })).toMatchObject({
      sampling: { temperature: 0 },
      stop: [],
    });
  });

  it.each([
    [{ reasoning_effort: "high" }, "PARAMETER_NOT_SUPPORTED reasoning_effort"],
    [{ metadata: {} }, "PARAMETER_NOT_SUPPORTED metadata"],
    [{ store: true }, "PARAMETER_NOT_SUPPORTED store"],
    [{ parallel_tool_calls: false }, "PARAMETER_NOT_SUPPORTED parallel_tool_calls"],
    [{ modalities: ["audio"] }, "PARAMETER_NOT_SUPPORTED modalities"],
    [{ top_k: 1.5 }, "REQUEST_FIELD_INVALID top_k"],
    [{ temperature: "hot" }, "REQUEST_FIELD_INVALID temperature"],
    [{ temperature: 3 }, "REQUEST_FIELD_INVALID temperature"],
    [{ n: 0 }, "REQUEST_FIELD_INVALID n"],
    [{ seed: -1 }, "REQUEST_FIELD_INVALID seed"],
    [{ stop: [] }, "REQUEST_FIELD_INVALID stop"],
    [{ max_tokens: 101 }, "REQUEST_FIELD_INVALID max_tokens"],
    [{ max_tokens: 5, max_completion_tokens: 6 }, "REQUEST_FIELD_INVALID max_completion_tokens"],
    [{ top_logprobs: 3 }, "REQUEST_FIELD_INVALID top_logprobs"],
    [{ stream: "yes" }, "REQUEST_FIELD_INVALID stream"],
    [{ messages: [] }, "REQUEST_FIELD_INVALID messages"],
    [{ messages: [{ role: "robot", content: "x" }] }, "REQUEST_FIELD_INVALID messages[0].role"],
    [{ messages: [{ role: "user", content: "x", name: "Bob" }] }, "PARAMETER_NOT_SUPPORTED messages[0].name"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      "PARAMETER_NOT_SUPPORTED messages[0].content[0]",
    ],
    [{ messages: [{ role: "user", content: "x", cache_control: {} }] }, "REQUEST_FIELD_INVALID messages[0]"],
    [{ messages: [{ role: "assistant" }] }, "REQUEST_FIELD_INVALID messages[0].content"],
    [{ tool_choice: "required" }, "PARAMETER_NOT_SUPPORTED tool_choice"],
    [
      { tools: [tool], tool_choice: { type: "function", function: { name: "other" } } },
      "PARAMETER_NOT_SUPPORTED tool_choice",
    ],
    [{ tools: [{ type: "web_search" }] }, "PARAMETER_NOT_SUPPORTED tools.0.type"],
    [{ tools: [tool, tool] }, "PARAMETER_NOT_SUPPORTED tools"],
    [{ response_format: { type: "json_object" }, logprobs: true }, "PARAMETER_NOT_SUPPORTED logprobs"],
    [{ response_format: { type: "json_object" }, stop: "}" }, "PARAMETER_NOT_SUPPORTED stop"],
    [{ response_format: { type: "xml" } }, "REQUEST_FIELD_INVALID response_format.type"],
  ] as const)("refuses %j", (value, expected) => {
    expect(code(() => chat(value as unknown as JsonObject))).toBe(expected);
  });

  it("makes a grammar of a forced tool, and shows no tools when none may be called", () => {
    expect(chat({ tools: [tool], tool_choice: "required" }).grammar?.schema).toMatchObject({
      type: "object",
      properties: { name: { const: "get" } },
    });
    expect(chat({ tools: [tool], tool_choice: "none" })).toMatchObject({
      tools: null,
      input: { tools: null },
      grammar: null,
    });
  });
});

describe("other text requests", () => {
  it("takes one prompt, as text or token ids", () => {
    expect(completion({}).input).toEqual({ kind: "text", text: "hi" });
    expect(completion({ prompt: ["hi"] }).input).toEqual({ kind: "text", text: "hi" });
    expect(completion({ prompt: [1, 2] }).input).toEqual({ kind: "tokens", tokens: [1, 2] });
    expect(code(() => completion({ prompt: ["a", "b"] }))).toMatch(/^REQUEST_FIELD_INVALID prompt/);
    expect(code(() => completion({ echo: true }))).toBe("PARAMETER_NOT_SUPPORTED echo");
    expect(code(() => completion({ best_of: 2 }))).toBe("PARAMETER_NOT_SUPPORTED best_of");
  });

  it("reads a Responses request as a chat", () => {
    const task = responses({
      instructions: "be brief",
      input: [
        { role: "user", content: [{ type: "input_text", text: "a" }] },
        { type: "function_call", call_id: "1", name: "get", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "42" },
      ],
      max_output_tokens: 9,
    });
    expect(task.input).toMatchObject({
      messages: [
        { role: "system", content: "be brief" },
        { role: "user", content: "a" },
        { role: "assistant", tool_calls: [{ id: "1" }] },
        { role: "tool", content: "42" },
      ],
    });
    expect(task.maxTokens).toBe(9);
  });

  it.each([
    [{ previous_response_id: "x" }, "PARAMETER_NOT_SUPPORTED previous_response_id"],
    [{ store: true }, "PARAMETER_NOT_SUPPORTED store"],
    [{ reasoning: { effort: "low" } }, "PARAMETER_NOT_SUPPORTED reasoning"],
    [{ input: [{ type: "reasoning", id: "x" }] }, "PARAMETER_NOT_SUPPORTED input[0]"],
    [
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] },
      "PARAMETER_NOT_SUPPORTED input[0]",
    ],
    [{ truncation: "auto" }, "PARAMETER_NOT_SUPPORTED truncation"],
  ] as const)("refuses %j", (value, expected) => {
    expect(code(() => responses(value as unknown as JsonObject))).toBe(expected);
  });

  it("refuses what vectors and tensors do not have", () => {
    expect(code(() => readEmbedding(parse("/v1/embeddings", { input: "a", dimensions: 5 })))).toBe(
      "PARAMETER_NOT_SUPPORTED dimensions",
    );
    expect(code(() => readEmbedding(parse("/v1/embeddings", { input: [] })))).toMatch(/^REQUEST_FIELD_INVALID/);
    expect(code(() => readTensorTask(parse("/v1/infer", { inputs: {} })))).toBe("TENSOR_MALFORMED inputs");
    expect(code(() => readTensorTask(parse("/v1/infer", { inputs: {}, outputs: [] })))).toBe(
      "PARAMETER_NOT_SUPPORTED outputs",
    );
  });
});

describe("tool calls in a text", () => {
  const tools: readonly Tool[] = [{ name: "get" }];
  const split = (text: string, cuts: readonly number[]) => {
    const reader = new CallReader(tools, 0);
    const at = [...new Set(cuts.map((c) => c % (text.length + 1)))].sort((a, b) => a - b);
    let shown = "";
    let from = 0;
    for (const to of [...at, text.length]) {
      shown += reader.add(text.slice(from, to));
      from = to;
    }
    return { shown: shown + reader.end(), calls: reader.calls };
  };

  it("are found however the text is cut, and leave no trace in it", () => {
    const text = 'Sure. <tool_call>\n{"name":"get","arguments":{"a":1}}\n</tool_call> Done';
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        const { shown, calls } = split(text, cuts);
        expect(shown).toBe("Sure.  Done");
        expect(calls).toMatchObject([{ name: "get", arguments: '{"a":1}' }]);
      }),
    );
  });

  it("stay text when they are none", () => {
    for (const text of [
      '<tool_call>{"name":"rm","arguments":{}}</tool_call>',
      "<tool_call>nonsense</tool_call>",
      '<tool_call>{"name":"get"',
      "a < b <tool",
    ]) {
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 6 }), (cuts) => {
          expect(split(text, cuts)).toEqual({ shown: text, calls: [] });
        }),
      );
    }
  });
});
