import { type NodeDescription, noTrust, portableSuite, toHex } from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { readDescription } from "@countersign/gateway";
import { expect, test } from "vitest";
import { useWorld } from "./worlds.ts";

const world = useWorld();

const look = (description: NodeDescription) =>
  readDescription(description, { trust: world.get().trust, suite: nodeSuite, now: Date.now });

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

test("O4: an unknown flag beside a deployment makes nothing verifiable", () => {
  const { description } = world.get().node;
  const flagged = description.deployments.map((d) => ({ ...d, verifiable: true }));
  expect(() => look({ ...description, deployments: flagged as never })).toThrow();
});
void [noTrust, portableSuite, toHex, ed25519Signer, generateSeed];
