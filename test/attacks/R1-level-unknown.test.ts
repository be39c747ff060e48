import { expect, test } from "vitest";
import { chatBody, paid, useWorld } from "./worlds.ts";

const world = useWorld();

test.each(["zkmll", "tees", "signed", "none"])("R1: the level %j falls to no default", async (level) => {
  expect(await world.refused(chatBody({ verification: level }))).toBe("400 LEVEL_UNKNOWN");
  expect(await world.refused(chatBody(), { "x-verification": level })).toBe("400 LEVEL_UNKNOWN");
  expect(await world.refused(paid({ model: `paid-model:${level}` }))).toBe("400 LEVEL_UNKNOWN");
});

test.each(["Signature", "ZKML", "", " ", "signature,"])("R1: %j is no spelling of a level", async (level) => {
  expect(await world.refused(chatBody({ verification: level }))).toBe("400 POLICY_MALFORMED");
});

test.each(["individual", "batch", "Private", ""])("R1: the way to settle %j falls to no default", async (mode) => {
  expect(await world.refused(paid(), { "x-settlement-type": mode })).toBe("400 SETTLEMENT_MODE_UNKNOWN");
});
