import { afterAll, beforeAll, expect, it } from "vitest";
import { startWorld, type World } from "./fixtures/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world.close());

type Shown = {
  readonly entries: readonly { readonly kind: string; readonly subject: string; readonly model: string }[];
};
const entries = async () =>
  ((await (await fetch(`${world.gateway.url}/v1/log/entries?from=0&count=100`)).json()) as Shown).entries.filter((e) =>
    ["node", "model", "deployment"].includes(e.kind),
  );

it("what the nodes serve is in the log, once, also after a restart", async () => {
  await expect.poll(async () => (await entries()).length).toBeGreaterThanOrEqual(3);
  const before = await entries();
  expect(new Set(before.map((e) => e.kind))).toEqual(new Set(["node", "model", "deployment"]));
  const models = (await (await fetch(`${world.gateway.url}/v1/models`)).json()) as {
    data: { countersign: { digest: string } }[];
  };
  const digests = new Set(before.filter((e) => e.kind === "model").map((e) => e.subject));
  for (const { countersign } of models.data) expect(digests).toContain(countersign.digest);
  await world.restart();
  await expect.poll(async () => (await fetch(`${world.gateway.url}/healthz`)).status).toBe(200);
  expect(await entries()).toEqual(before);
});
