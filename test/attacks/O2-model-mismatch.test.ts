import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("O2: another model than was asked for is no answer, under its own id or with another digest", async () => {
  const rename = (part: object) =>
    world.get().node.behave({ restate: (s) => ({ ...s, model: { ...s.model, ...part } }) });
  rename({ id: "smaller-model" });
  expect(await world.refused(chatBody())).toBe("502 MODEL_MISMATCH");
  rename({ digest: "ab".repeat(32) });
  expect(await world.refused(chatBody())).toBe("502 MODEL_MISMATCH");
});

test("O2: the answer names the model that ran, not what was asked for", async () => {
  const body = chatBody({ model: "free-model:signature" });
  expect(((await (await send(world.url(), body)).json()) as { model: string }).model).toBe("free-model");
  expect(await world.refused(chatBody({ model: "free-model-latest" }))).toBe("404 MODEL_UNKNOWN");
});

test("O2: a look-alike of the name is not paid for", async () => {
  const { client, paid } = meet({ offer: (o) => ({ ...o, model: { ...o.model, id: "mallory/pocket" } }) });
  expect(await refusalOf(client.chat(question))).toEqual(["MODEL_MISMATCH"]);
  expect(paid()).toBe(0);
});
