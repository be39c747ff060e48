import { startGateway } from "@countersign/gateway";
import { expect, test } from "vitest";
import { startTestNode } from "../../packages/node/src/fixtures/job.ts";
import { chatBody, codeOf, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("P15: before chain and nodes were checked nothing is sold", async () => {
  const { config, secrets, trust } = world.get();
  const dataDir = `${config.dataDir}-unready`;
  for (const change of [{ nodes: ["http://127.0.0.1:9"] }, { chain: { ...config.chain, rpc: "http://127.0.0.1:9" } }]) {
    const unready = await startGateway({ ...config, dataDir, ...change }, secrets, { trust, onFault: () => {} });
    try {
      const response = await send(unready.url, chatBody());
      expect(`${response.status} ${await codeOf(response)}`).toBe("503 NOT_READY");
      expect((await fetch(new URL("/healthz", unready.url))).status).toBe(503);
    } finally {
      await unready.close();
    }
  }
});

test("P15: a node works for nobody who does not show its gateways' token", async () => {
  const node = await startTestNode(["lande-50"]);
  try {
    for (const [method, path] of [
      ["POST", "/run"],
      ["GET", "/describe"],
      ["GET", "/status"],
      ["POST", "/settle"],
    ] as const) {
      for (const authorization of [undefined, "Bearer ", "Bearer wrong", "Basic a-token-for-tests-only"]) {
        const response = await fetch(`${node.url}${path}`, { method, headers: authorization ? { authorization } : {} });
        expect(`${response.status} ${await codeOf(response)}`).toBe("401 UNAUTHENTICATED");
      }
    }
  } finally {
    await node.close();
  }
});
