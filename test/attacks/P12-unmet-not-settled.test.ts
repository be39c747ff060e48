import { expect, test } from "vitest";
import { at } from "../fixtures/fake-gateway.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { codeOf, paid, pay, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("P12: an unmet answer is withheld, moves no token, and leaves the payment free for the next try", async () => {
  const before = await world.balance();
  const body = paid();
  const headers = { "payment-signature": await world.sign(await world.required(body)) };
  world.get().node.behave({ recommit: (c) => ({ ...c, output: [new TextEncoder().encode("x"), new Uint8Array()] }) });
  expect(await world.refused(body, headers)).toBe("422 OUTPUT_MISMATCH");
  expect(await world.balance()).toBe(before);
  world.get().node.behave({});
  expect((await send(world.url(), body, { headers })).status).toBe(200);
  expect(await world.balance()).toBeLessThan(before);
});

test("P12: nor does one whose log proof does not come", async () => {
  const before = await world.balance();
  world.get().witness.hold(true);
  const { response } = await pay(world.get(), paid({ verification: "signature & logged" }));
  expect(`${response.status} ${await codeOf(response)}`).toBe("422 CHECKPOINT_NOT_WITNESSED");
  expect(await world.balance()).toBe(before);
});

test("P12: the client refuses it too, and tells when it was charged all the same", async () => {
  const lies = { body: (b: object) => JSON.parse(JSON.stringify(b).replaceAll('"Paris"', '"Lyon"')) };
  expect(await refusalOf(meet(lies).client.chat(question))).toContain("ASSURANCE_NOT_MET");
  const charged = meet(lies, { watchCharge: async () => true, now: () => at });
  expect(await refusalOf(charged.client.chat(question))).toContain("CHARGED_WHILE_UNMET");
});
