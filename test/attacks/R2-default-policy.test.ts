import { parsePolicy, readRun } from "@countersign/core";
import { expect, test } from "vitest";
import { at } from "../fixtures/fake-gateway.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("R2: without a policy the SDK demands signature and log, and a node that gives less is not handed on", async () => {
  let time = at;
  const sleep = async (ms: number) => {
    time += ms;
  };
  const { client } = meet({ logsAfter: 1e9 }, { sleep, now: () => time });
  expect(await refusalOf(client.chat(question))).toContain("ASSURANCE_NOT_MET");
  expect((await meet().client.chat(question)).verdict.policy.demanded).toContain("logged:log");
});

test("R2: without a policy the SDK pays for nothing weaker", async () => {
  const { client, paid } = meet({ offer: (o) => ({ ...o, guarantee: "issuer:signature" }) });
  expect(await refusalOf(client.chat(question))).toEqual(["ASSURANCE_NOT_OFFERED"]);
  expect(paid()).toBe(0);
});

test("R2: the gateway's default is published in the receipt as such, and is not weakened for a relay", async () => {
  const answer = (await (await send(world.url(), chatBody())).json()) as {
    countersign: { receipt: { statement: never } };
  };
  const { policy } = readRun(answer.countersign.receipt.statement).predicate;
  expect(policy.source).toBe("default");
  expect(parsePolicy(policy.demanded)).toEqual(parsePolicy("signature"));
  expect(await world.refused(chatBody({ model: "relay-model" }))).toBe("412 ASSURANCE_NOT_OFFERED");
});
