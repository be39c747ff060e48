import { expect, test } from "vitest";
import { paid, send, useWorld } from "./worlds.ts";

const world = useWorld();

test.each(["reexecution", "tee", "zkml"])(
  "O6: %s of this model is refused before the 402, with the reason",
  async (level) => {
    const before = await world.balance();
    const response = await send(world.url(), paid({ model: `paid-model:${level}` }));
    const { error } = (await response.json()) as {
      error: { code: string; facts: { missing: unknown[]; offered: string[] } };
    };
    expect(`${response.status} ${error.code}`).toBe("412 ASSURANCE_NOT_OFFERED");
    expect(response.headers.get("payment-required")).toBeNull();
    expect(error.facts.missing.length).toBeGreaterThan(0);
    expect(error.facts.offered).toEqual(["signature"]);
    expect(await world.balance()).toBe(before);
  },
);
