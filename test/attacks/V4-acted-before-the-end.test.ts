import { expect, test } from "vitest";
import { at } from "../fixtures/fake-gateway.ts";
import { meet, question, refusalOf } from "./clients.ts";

test("V4: an answer whose proof is still to come is not met, and waiting for it does not call it so", async () => {
  let time = at;
  const sleep = async (ms: number) => {
    time += ms;
  };
  const { client } = meet({ logsAfter: 1e9 }, { sleep, now: () => time });
  // Under the default rule it is not handed on at all.
  expect((await refusalOf(client.chat(question)))[0]).toBe("ASSURANCE_NOT_MET");
  const answer = await meet({ logsAfter: 1e9 }, { sleep, now: () => time }).client.chat(question, {
    release: "signed",
  });
  expect(answer.verdict.outcome).not.toBe("met");
  expect(answer.verdict.final).toBe(false);
});

test("V4: who asked for `signed` learns later that it failed", async () => {
  let time = at;
  const sleep = async (ms: number) => {
    time += ms;
  };
  const { client } = meet({ logsAfter: 1e9 }, { sleep, now: () => time });
  const { receipt } = await client.chat(question, { release: "signed" });
  expect(await refusalOf(client.waitFor(receipt, 10_000))).toEqual(["ASSURANCE_NOT_MET"]);
});
