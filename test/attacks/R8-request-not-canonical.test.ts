import { CountersignError, parseRequest, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();
const deep = `${'{"model":"free-model","messages":'}${"[".repeat(80)}${"]".repeat(80)}}`;

const bodies = [
  ["duplicate keys", '{"model":"free-model","model":"x","messages":[]}'],
  ["duplicate keys further in", '{"model":"free-model","messages":[{"role":"user","content":"a","content":"b"}]}'],
  ["duplicate keys in other spellings", '{"model":"free-model","messages":[],"se\\u0065d":1,"seed":2}'],
  ["an integer past 2^53", '{"model":"free-model","messages":[],"seed":9007199254740993}'],
  ["a lone surrogate", '{"model":"free-model","messages":["\\ud800"]}'],
  ["a member that some readers hide", '{"model":"free-model","messages":[],"__proto__":{"seed":1}}'],
] as const;

test.each(bodies)("R8: %s has two readings", async (_, body) => {
  expect(await world.refused(body)).toBe("400 REQUEST_NOT_CANONICAL");
  let code = "read";
  try {
    parseRequest("/v1/chat/completions", utf8(body));
  } catch (error) {
    if (CountersignError.is(error)) code = error.code;
  }
  expect(code).toBe("REQUEST_NOT_CANONICAL");
});

test("R8: bodies that are deep, cut or no UTF-8 are refused, and nothing of a list or an attachment is lost", async () => {
  expect(await world.refused(deep)).toMatch(/^400 REQUEST_/);
  expect(await world.refused("{")).toBe("400 REQUEST_MALFORMED");
  expect(await world.refused(new Uint8Array([0x7b, 0xff, 0x7d]))).toBe("400 REQUEST_MALFORMED");
  const image = (url: string) => [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }];
  const read = (url: string) =>
    parseRequest("/v1/chat/completions", utf8(chatBody({ messages: image(url) }))).contents.messages as Uint8Array[];
  expect(read("data:image/png;base64,AAAA")).not.toEqual(read("data:image/png;base64,AAAB"));
});
