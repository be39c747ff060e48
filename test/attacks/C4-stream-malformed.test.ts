import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";

const json = (text: string) => ({
  paidAnswer: () => new Response(text, { headers: { "content-type": "application/json" } }),
});

test.each(["", "{", "[]", "null", "hello", '{"choices":[],"choices":[]}'])(
  "C4: the answer %j is no answer",
  async (text) => {
    expect(await refusalOf(meet(json(text)).client.chat(question))).toEqual(["STREAM_MALFORMED"]);
  },
);

test("C4: an empty success is not an answer of nothing", async () => {
  expect((await refusalOf(meet(json("{}")).client.chat(question)))[0]).not.toBeUndefined();
  expect((await refusalOf(meet(json('{"choices":[]}')).client.chat(question)))[0]).toBe("ASSURANCE_NOT_MET");
});

test.each([
  ["that is no JSON", (t: string) => t.replace("data: {", "data: {]"), "STREAM_MALFORMED"],
  ["that is no field", (t: string) => t.replace("data: ", "garbage\ndata: "), "STREAM_MALFORMED"],
  ["behind the end", (t: string) => `${t}data: {"choices":[]}\n\n`, "STREAM_MALFORMED"],
  [
    "that some readers see and others do not",
    (t: string) => t.replace("data: ", 'data: {"choices":[]}\rdata: '),
    "STREAM_MALFORMED",
  ],
  ["of nothing at all", () => "", "STREAM_TRUNCATED"],
] as const)("C4: a frame %s is not skipped", async (_, stream, code) => {
  const { client } = meet({ stream });
  const read = (async () => {
    for await (const _chunk of await client.stream(question)) expect.unreachable();
  })();
  expect((await refusalOf(read))[0]).toBe(code);
});
