import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

async function read(lies: Parameters<typeof meet>[0]) {
  const seen: string[] = [];
  const { client } = meet(lies);
  const codes = await refusalOf(
    (async () => {
      for await (const chunk of await client.stream(question)) seen.push(JSON.stringify(chunk));
    })(),
  );
  return { code: codes[0], seen };
}
const cut = (text: string) => text.slice(0, text.indexOf("data: ", text.indexOf("Paris")));

test.each([
  ["cut before its signed end", { stream: cut }, "STREAM_TRUNCATED"],
  ["cut within an event", { stream: (t: string) => t.slice(0, -40) }, "STREAM_TRUNCATED"],
  ["broken off", { stream: cut, breaks: true }, "STREAM_TRUNCATED"],
  ["without its last mark", { stream: (t: string) => t.replace("data: [DONE]\n\n", "") }, "STREAM_TRUNCATED"],
  [
    "with an error inside a 200",
    { stream: (t: string) => `${cut(t)}data: {"error":{"code":"ENGINE_CRASHED","message":"It died."}}\n\n` },
    "ENGINE_CRASHED",
  ],
] as const)("G2: a stream that is %s is no answer, and not one event of it is handed on", async (_, lies, code) => {
  expect(await read(lies)).toEqual({ code, seen: [] });
});

test("G2: nor is a node's stream without its signed end", async () => {
  const { node } = world.get();
  node.behave({ send: (e) => (e.type === "done" ? "cut" : e) });
  expect(await world.refused(chatBody())).toBe("502 STREAM_TRUNCATED");
  expect(await world.refused(chatBody({ stream: true }))).toBe("502 STREAM_TRUNCATED");
  node.behave({ send: (e) => (e.type === "done" ? [] : e) });
  expect(await world.refused(chatBody())).toBe("502 STREAM_TRUNCATED");
  node.behave({ send: () => ({ type: "error", code: "ENGINE_CRASHED", message: "gone" }) });
  expect(await world.refused(chatBody())).toBe("502 ENGINE_CRASHED");
});
