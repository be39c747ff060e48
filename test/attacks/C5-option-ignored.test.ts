import { CountersignError } from "@countersign/core";
import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";

const codeOf = (make: () => unknown): string => {
  try {
    make();
    return "made";
  } catch (error) {
    return CountersignError.is(error) ? error.code : "other";
  }
};

test("C5: a misspelt or invented option is refused: of the client, of its budget, of a call", async () => {
  for (const options of [{ polcy: "tee" }, { Trust: {} }, { allowDevelopement: true }, { timeout: 1 }]) {
    expect(codeOf(() => meet({}, options as never))).toBe("OPTION_UNKNOWN");
  }
  expect(codeOf(() => meet({}, { budget: { perRequest: 1, total: 1, perDay: 3 } as never }))).toBe("OPTION_UNKNOWN");
  const { client, seen } = meet();
  for (const options of [{ polcy: "tee" }, { relase: "live" }, { level: "zkml" }]) {
    expect(await refusalOf(client.chat(question, options as never).catch((e) => Promise.reject(e)))).toEqual([
      "OPTION_UNKNOWN",
    ]);
  }
  expect(await refusalOf(client.chat({ ...question, stream: true }))).toEqual(["OPTION_UNKNOWN"]);
  expect(seen.requests).toEqual([]);
});
