import { expect, test } from "vitest";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();
const digest = "ab".repeat(32);

test.each(["X-Request-Hash", "X-Prompt-Hash", "X-Content-Digest", "Content-Digest", "Digest", "X-Body-Digest"])(
  "R7: a digest in %s is not signed for its caller",
  async (name) => {
    expect(await world.refused(chatBody(), { [name]: digest })).toBe("400 CALLER_DIGEST_REFUSED");
  },
);
