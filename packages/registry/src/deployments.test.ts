import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deploymentDigest, readDeployment, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import {
  advanceDeployment,
  type DeploymentFacts,
  deploymentsOf,
  listDeployments,
  nextDeployment,
} from "./deployments.ts";

const node = ed25519Signer(new Uint8Array(32).fill(6));
const facts: DeploymentFacts = {
  network: "eip155:1",
  node: toHex(node.publicKey),
  id: "d",
  model: { id: "m", digest: "00".repeat(32) },
  scope: "inference",
  tasks: ["chat"],
  guarantees: ["issuer:signature"],
  price: { base: "1", perInputKiB: "0", perOutputToken: "0" },
  limits: { context: 10, maxOutput: 5 },
  promptVersion: null,
  rewrites: [],
  labels: [],
};
const dearer = { ...facts, price: { ...facts.price, base: "2" } };
const code = (expected: string) => expect.objectContaining({ code: expected });

describe("versions of a deployment", () => {
  it("count up and link, and only when something changed", () => {
    const first = nextDeployment(null, facts);
    expect(first).toMatchObject({ version: 1, previous: null });
    expect(nextDeployment(first, facts)).toBe(first);
    expect(nextDeployment(first, dearer)).toMatchObject({ version: 2, previous: deploymentDigest(first) });
    expect(() => nextDeployment(first, { ...facts, id: "e" })).toThrow(code("DEPLOYMENT_CHANGED"));
  });

  it("are kept on disk, oldest first", async () => {
    const dir = await mkdtemp(join(tmpdir(), "countersign-deployments-"));
    expect(await deploymentsOf(dir, "d")).toEqual([]);
    expect((await advanceDeployment(dir, facts, node)).changed).toBe(true);
    expect((await advanceDeployment(dir, facts, node)).changed).toBe(false);
    expect((await advanceDeployment(dir, dearer, node)).deployment.version).toBe(2);
    const chain = (await deploymentsOf(dir, "d")).map((e) => readDeployment(e).predicate);
    expect(chain.map((d) => d.version)).toEqual([1, 2]);
    expect(await listDeployments(dir)).toEqual(["d"]);
  });

  it("are refused when a link was taken out", async () => {
    const dir = await mkdtemp(join(tmpdir(), "countersign-deployments-"));
    await advanceDeployment(dir, facts, node);
    await advanceDeployment(dir, dearer, node);
    const path = join(dir, "deployments", "d.json");
    const chain = JSON.parse(await readFile(path, "utf8")) as unknown[];
    for (const broken of [chain.slice(1), [...chain].reverse(), [chain[0], chain[0]], "x"]) {
      await writeFile(path, JSON.stringify(broken));
      await expect(deploymentsOf(dir, "d")).rejects.toThrow(code("STORE_CORRUPT"));
    }
  });
});
