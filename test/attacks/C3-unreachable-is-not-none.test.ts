// There is no on-chain registry in this slice: keys are registered by stapled registrations and models by the catalogue.
// So the code is that of what is asked instead; REGISTRY_UNREACHABLE comes with a registry that is asked.
import { expect, test } from "vitest";
import { meet, question, refusalOf } from "./clients.ts";
import { chatBody, codeOf, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("C3: a gateway that does not answer is unreachable, not empty", async () => {
  const down = meet({}, { fetch: async () => Promise.reject(new TypeError("fetch failed")) });
  expect(await refusalOf(down.client.chat(question))).toEqual(["GATEWAY_UNREACHABLE"]);
  expect(await refusalOf(down.client.models())).toEqual(["GATEWAY_UNREACHABLE"]);
});

test("C3: a chain that does not answer is told as such, not as an empty wallet", async () => {
  const { config } = world.get();
  const { startGateway } = await import("@countersign/gateway");
  const dataDir = `${config.dataDir}-nochain`;
  const gateway = await startGateway(
    { ...config, dataDir, chain: { ...config.chain, rpc: "http://127.0.0.1:9" } },
    world.get().secrets,
    {
      trust: world.get().trust,
      onFault: () => {},
    },
  );
  try {
    const response = await send(gateway.url, chatBody());
    const text = await response.clone().text();
    expect(await codeOf(response)).toBe("NOT_READY");
    expect(text).toContain("CHAIN_UNREACHABLE");
  } finally {
    await gateway.close();
  }
});
