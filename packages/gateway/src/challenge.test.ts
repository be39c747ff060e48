import { expect, it } from "vitest";
import type { Served } from "./catalogue.ts";
import { challengeOverHttp } from "./challenge.ts";

const served = [
  { nodeUrl: "http://node.test", attestation: {}, registration: {}, deployment: { model: { id: "pocket" } } },
  { nodeUrl: "http://other.test", attestation: {}, registration: {}, deployment: { model: { id: "other" } } },
] as unknown as readonly Served[];
const nonce = "ab".repeat(32);

/** Challenges that wait for their answers, at a time that stands still. */
function open() {
  const waiting: (() => void)[] = [];
  let asked = 0;
  let time = 1_800_000_000_000;
  let held = true;
  const challenge = challengeOverHttp({
    served: () => served,
    token: null,
    now: () => time,
    fetch: () => {
      asked++;
      return new Promise((resolve) => {
        const answer = () => resolve(new Response(new Uint8Array([1])));
        if (held) waiting.push(answer);
        else answer();
      });
    },
  });
  return {
    ask: (model = "pocket") => challenge(model, nonce),
    release: () => {
      held = false;
      for (const answer of waiting.splice(0)) answer();
    },
    wait: (ms: number) => {
      time += ms;
    },
    asked: () => asked,
  };
}

const limited = expect.objectContaining({ code: "RATE_LIMITED" });

it("asks one enclave for few attestations at one time, and another beside it", async () => {
  const { ask, release, asked } = open();
  const first = Array.from({ length: 8 }, () => ask());
  await expect(ask()).rejects.toEqual(limited);
  const other = ask("other");
  expect(asked()).toBe(9);
  release();
  await Promise.all([...first, other]);
  await ask();
  expect(asked()).toBe(10);
});

it("lets nobody keep an enclave signing: so many at once, so many a second", async () => {
  const { ask, release, wait, asked } = open();
  release();
  for (let i = 0; i < 64; i++) await ask();
  await expect(ask()).rejects.toEqual(limited);
  wait(1000);
  for (let i = 0; i < 32; i++) await ask();
  await expect(ask()).rejects.toEqual(limited);
  expect(asked()).toBe(96);
});
