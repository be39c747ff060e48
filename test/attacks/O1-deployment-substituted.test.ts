import { expect, test } from "vitest";
import { keyOf } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

test("O1: another deployment, version or node than was offered is no answer, says the gateway", async () => {
  const { node } = world.get();
  node.behave({ restate: (s) => ({ ...s, deployment: { ...s.deployment, version: 2 } }) });
  expect(await world.refused(chatBody())).toBe("502 DEPLOYMENT_SUBSTITUTED");
  node.behave({ restate: (s) => ({ ...s, deployment: { ...s.deployment, id: "another" } }) });
  expect(await world.refused(chatBody())).toBe("502 DEPLOYMENT_SUBSTITUTED");
  node.behave({ restate: (s) => ({ ...s, issuer: "ab".repeat(32) }) });
  expect(await world.refused(chatBody())).toBe("502 DEPLOYMENT_SUBSTITUTED");
});

test("O1: and where a gateway reroutes and hides it, the client says so", async () => {
  const mallory = Buffer.from(keyOf("mallory").publicKey).toString("hex");
  const version = meet({ offer: (o) => ({ ...o, deployment: { id: "pocket", version: 2 } }) });
  expect(await refusalOf(version.client.chat(question))).toEqual(["DEPLOYMENT_SUBSTITUTED"]);
  const other = meet({ offer: (o) => ({ ...o, node: mallory }) });
  expect(await refusalOf(other.client.chat(question))).toEqual(["DEPLOYMENT_SUBSTITUTED"]);
  expect(other.client.spending().spent).toBe(0n);
});
