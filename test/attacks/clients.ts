// Clients of a gateway in memory that tells one lie.
import { CountersignError, type ErrorCode, sha256, toHex, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { countersign, type Options, privateKeyWallet } from "@countersign/sdk";
import { at, fakeGateway, fixtureRandom, type Lies } from "../fixtures/fake-gateway.ts";
import { trust } from "../fixtures/receipt.ts";

export const question = {
  model: "pocket",
  messages: [
    { role: "system", content: "Answer in one word." },
    { role: "user", content: "Capital of France?" },
  ],
  temperature: 0.7,
  max_tokens: 16,
};

/** A client of a gateway that tells these lies. */
export function meet(lies: Lies = {}, more: Partial<Options> = {}) {
  const gateway = fakeGateway(lies);
  const client = countersign({
    gateway: "https://gateway.test",
    trust,
    wallet: privateKeyWallet(toHex(sha256(utf8("payer")))),
    budget: { perRequest: 1000, total: 10_000 },
    allowDevelopment: true,
    fetch: gateway.fetch,
    random: fixtureRandom(),
    now: () => at,
    sleep: async () => undefined,
    suite: nodeSuite,
    ...more,
  });
  return { client, seen: gateway.seen, paid: () => gateway.seen.payments.length };
}

/** All codes of a refusal: the error's own first. Fails when nothing was refused. */
export async function refusalOf(promise: Promise<unknown>): Promise<readonly ErrorCode[]> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!CountersignError.is(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  const inner = (error.detail.facts as { codes?: readonly ErrorCode[] } | undefined)?.codes ?? [];
  return [error.code, ...inner];
}
