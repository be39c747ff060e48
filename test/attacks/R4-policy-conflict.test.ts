import { expect, test } from "vitest";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("R4: body, header and suffix only tighten: the weaker never wins, from whichever side it comes", async () => {
  const weak = { verification: "signature" };
  const strong = { verification: "zkml" };
  expect(await world.refused(chatBody(weak), { "x-verification": "zkml" })).toBe("412 ASSURANCE_NOT_OFFERED");
  expect(await world.refused(chatBody(strong), { "x-verification": "signature" })).toBe("412 ASSURANCE_NOT_OFFERED");
  expect(await world.refused(chatBody({ ...weak, model: "free-model:zkml" }))).toBe("412 ASSURANCE_NOT_OFFERED");
});

test("R4: two headers are both meant", async () => {
  const headers = new Headers([
    ["x-verification", "signature"],
    ["x-verification", "zkml"],
    ["content-type", "application/json"],
  ]);
  const response = await fetch(`${world.url()}/v1/chat/completions`, { method: "POST", headers, body: chatBody() });
  expect(response.status).not.toBe(200);
});

test("R4: what cannot hold together is a conflict", async () => {
  const body = chatBody({ verification: "model:proof(digest=aa)" });
  expect(await world.refused(body, { "x-verification": "model:proof(digest=bb)" })).toBe("400 POLICY_CONFLICT");
  expect((await send(world.url(), chatBody({ verification: "signature" }))).status).toBe(200);
});
