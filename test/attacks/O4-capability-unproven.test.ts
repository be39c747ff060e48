import { CountersignError, type NodeDescription } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { readDescription } from "@countersign/gateway";
import { expect, test } from "vitest";
import { useWorld } from "./worlds.ts";

const world = useWorld();

const look = (description: unknown) => {
  const { node, trust } = world.get();
  return readDescription(description, node.url, { trust, suite: nodeSuite, now: Date.now });
};

test("O4: a capability that nothing signed shows is not offered, however loudly a node claims it", () => {
  const { description } = world.get().node;
  const [first] = description.deployments as [NodeDescription["deployments"][number]];
  expect(look(description).faults).toEqual([]);
  const payload = JSON.parse(Buffer.from(first.deployment.payload, "base64").toString());
  payload.predicate.guarantees = ["execution:proof"];
  const claimed = { ...first.deployment, payload: Buffer.from(JSON.stringify(payload)).toString("base64") };
  const lied = look({ ...description, deployments: [{ ...first, deployment: claimed }] });
  expect(lied.served).toEqual([]);
  expect(lied.faults.map((f) => f.code)).toEqual(["CAPABILITY_UNPROVEN"]);
});

test("O4: a flag beside a deployment makes nothing verifiable, and a node that nobody registered offers nothing", () => {
  const { description } = world.get().node;
  const codeOf = (value: unknown) => {
    try {
      return look(value)
        .served.flatMap((s) => s.deployment.guarantees)
        .join();
    } catch (error) {
      return CountersignError.is(error) ? error.code : "other";
    }
  };
  const honest = codeOf(description);
  const flagged = { ...description, deployments: description.deployments.map((d) => ({ ...d, verifiable: true })) };
  expect([honest, "NODE_NOT_ACTIVE"]).toContain(codeOf(flagged));
  expect(codeOf({ ...description, key: "ab".repeat(32) })).toBe("NODE_NOT_ACTIVE");
});
