import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";

test("V5: an answer that is weaker than what the deployment gave before is refused, until somebody accepts it by name", async () => {
  const { client } = meet();
  const known = new Map<string, readonly string[]>();
  const receipts = {
    ...client.receipts,
    recall: (key: string) => known.get(key) ?? ["execution:hardware", "model:signature"],
    remember: (key: string, best: readonly string[]) => void known.set(key, best),
  };
  const weaker = meet({}, { receipts });
  expect(await refusalOf(weaker.client.chat(question))).toEqual(["ASSURANCE_DOWNGRADED"]);
  expect((await weaker.client.chat(question, { acceptDowngrade: true })).text).toBe("Paris");
  // Accepting once does not lower what is remembered.
  expect(await refusalOf(weaker.client.chat(question))).toEqual(["ASSURANCE_DOWNGRADED"]);
});

test("V5: the same strength again is fine", async () => {
  const { client } = meet({}, { random: undefined as never });
  expect(typeof client.chat).toBe("function");
  const first = meet();
  await first.client.chat(question);
  const second = meet({}, { receipts: first.client.receipts });
  expect((await second.client.chat(question)).text).toBe("Paris");
});
