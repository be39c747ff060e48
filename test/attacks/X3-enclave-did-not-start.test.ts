import { CountersignError, type Envelope } from "@countersign/core";
import type { Attester } from "@countersign/evidence-tee/make";
import { type NodeContext, nodeApp } from "@countersign/node";
import { expect, test } from "vitest";
import { attestKeys, type NodeEnclave } from "../../packages/node/src/enclave/attested.ts";
import { drawSeeds } from "../../packages/node/src/enclave/keys.ts";
import { chatBody, useWorld } from "./worlds.ts";

const hour = 3_600_000;
const start = Date.UTC(2026, 10, 21);
const world = useWorld();
const absent = new CountersignError("TEE_UNAVAILABLE", { message: "There is no device." });

/** Keys under an attester that works until it is told not to. */
async function attested(works: { now: boolean }) {
  const clock = { at: start };
  const attester: Attester = {
    platform: "nsm",
    bindsNonce: true,
    modelRegister: 16,
    attest: async ({ userData }) => {
      if (!works.now) throw absent;
      return { evidence: [{ format: "nitro", document: userData }], collateral: [] };
    },
    close: async () => undefined,
  };
  const keys = await attestKeys({
    seeds: drawSeeds((length) => new Uint8Array(length).map((_, i) => i + 1)),
    network: "eip155:1",
    models: ["aa".repeat(32)],
    attester,
    random: (length) => new Uint8Array(length).fill(1),
    provenance: [],
    now: () => clock.at,
  });
  return { keys, clock };
}

/** The node's own HTTP, with an enclave that has this registration. */
function serve(keys: Awaited<ReturnType<typeof attested>>["keys"], registration: Envelope | undefined) {
  const enclave: NodeEnclave = { ...keys, registration: () => registration, register: async () => undefined };
  const context = { enclave, served: [], engines: { status: () => [] } } as unknown as NodeContext;
  const app = nodeApp(context, { operator: "x", registration: undefined, token: "token of sixteen!" });
  return async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: "Bearer token of sixteen!" };
    const response = await app.request(path, { ...init, headers });
    const { error } = (await response.json()) as { error?: { code: string } };
    return error ? `${response.status} ${error.code}` : String(response.status);
  };
}

test("X3: an enclave without a document does not come up at all", async () => {
  await expect(attested({ now: false })).rejects.toThrow(expect.objectContaining({ code: "TEE_UNAVAILABLE" }));
});

test("X3: a key that nobody registered describes nothing, checks nothing and runs nothing", async () => {
  const { keys } = await attested({ now: true });
  const ask = serve(keys, undefined);
  expect(await ask("/describe")).toBe("503 NODE_NOT_ATTESTED");
  expect(await ask("/check", { method: "POST", body: "{}" })).toBe("503 NODE_NOT_ATTESTED");
  expect(await ask("/run", { method: "POST", body: "{}" })).toBe("503 NODE_NOT_ATTESTED");
});

test("X3: an enclave whose platform stopped answering stops serving when its document is old", async () => {
  const works = { now: true };
  const { keys, clock } = await attested(works);
  const ask = serve(keys, { payloadType: "x", payload: "", signatures: [] } as unknown as Envelope);
  expect(await ask("/describe")).toBe("200");
  works.now = false;
  clock.at += 2 * hour;
  await expect(keys.refresh()).rejects.toThrow(expect.objectContaining({ code: "TEE_UNAVAILABLE" }));
  clock.at += hour;
  expect(await ask("/describe")).toBe("503 NODE_NOT_ATTESTED");
  expect(await ask("/run", { method: "POST", body: "{}" })).toBe("503 NODE_NOT_ATTESTED");
});

test("X3: a gateway whose nodes show no enclave sells no `tee`, and asks no wallet for it", async () => {
  expect(await world.refused(chatBody({ model: "free-model:tee" }))).toBe("412 ASSURANCE_NOT_OFFERED");
  const challenge = await fetch(`${world.url()}/v1/nodes/attestation?model=free-model&nonce=${"ab".repeat(32)}`);
  const { error } = (await challenge.json()) as { error: { code: string } };
  expect([challenge.status, error.code]).toEqual([503, "NODE_NOT_ATTESTED"]);
});
