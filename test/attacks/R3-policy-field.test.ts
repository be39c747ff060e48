import { expect, test } from "vitest";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

test.each(["requre", "Require", "policy", "level"])("R3: the field %j of a policy is not ignored", async (name) => {
  expect(await world.refused(chatBody({ verification: { [name]: "zkml" } }))).toBe("400 POLICY_FIELD_UNKNOWN");
});

test("R3: nor is a misspelt one beside a right one, nor one inside the tree", async () => {
  expect(await world.refused(chatBody({ verification: { require: "signature", relase: "met" } }))).toBe(
    "400 POLICY_FIELD_UNKNOWN",
  );
  const tree = { all: [{ claim: "issuer", ground: "signature", scop: "inference" }] };
  expect(await world.refused(chatBody({ verification: { require: tree } }))).toBe("400 POLICY_FIELD_UNKNOWN");
});
