import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { attestationMediaType, type Hex, readRegistration, sha256Hex, toBase64 } from "@countersign/core";
import { afterEach, expect, test } from "vitest";
import { type Enclave, hardware, makeEnclave, now, simulation, trusting } from "../../../../test/fixtures/enclave.ts";
import { keyOf, keys } from "../../../../test/fixtures/network.ts";
import { registerEnclave } from "./register-node.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

type Call = { readonly method: string; readonly path: string; readonly authorization: string; readonly body: string };
async function listen(answer: (call: Call) => readonly [number, Uint8Array | string]) {
  const calls: Call[] = [];
  const read = async (request: IncomingMessage) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    return Buffer.concat(parts).toString("utf8");
  };
  const server = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    const call = { method, path: url, authorization: headers.authorization ?? "", body: await read(request) };
    calls.push(call);
    const [status, body] = answer(call);
    response.writeHead(status, { "content-type": attestationMediaType }).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

/** An enclave's node and a gateway; the node may show another document than it is asked for. */
async function world(show: (nonce: Hex) => Enclave = (nonce) => makeEnclave({ nonce })) {
  let shown: Enclave | undefined;
  const node = await listen(({ method, path }) => {
    if (method !== "GET") return [200, "{}"];
    shown = show(new URL(path, "http://node").searchParams.get("nonce") as Hex);
    return [200, shown.attestation];
  });
  const gateway = await listen(() => [201, JSON.stringify({ index: 7 })]);
  const register = (over: Partial<Parameters<typeof registerEnclave>[0]> = {}) =>
    registerEnclave({
      nodeUrl: node.url,
      token: "a token",
      gatewayUrl: gateway.url,
      registrar: keys.registrar,
      trust: trusting(),
      custody: "named-datacentre",
      custodyGround: "contract",
      operator: "acme",
      notAfter: now + 30 * 86_400_000,
      now: () => now + 1000,
      allowDevelopment: false,
      ...over,
    });
  return { node, gateway, register, shown: () => shown as Enclave };
}
const refused = (code: string) => expect.objectContaining({ code });

test("an honest enclave is registered with the node and the gateway, under its key and keyset", async () => {
  const { node, gateway, register, shown } = await world();
  const { registration, entry, accepted } = await register();
  const { predicate } = readRegistration(registration);
  expect(predicate).toMatchObject({
    role: "node",
    key: shown().keyset.keys.find((k) => k.use === "receipt")?.key,
    operator: "acme",
    attested: {
      keyset: shown().digest,
      attestation: sha256Hex(shown().attestation),
      custody: "named-datacentre",
      custodyGround: "contract",
    },
  });
  expect(accepted.facts).toMatchObject({ custody: "named-datacentre", assurance: "hardware", platform: "nitro" });
  expect(entry).toEqual({ index: 7 });
  expect(node.calls.map((c) => `${c.method} ${c.path.split("?")[0]} ${c.authorization}`)).toEqual([
    "GET /attestation Bearer a token",
    "PUT /registration Bearer a token",
  ]);
  expect(JSON.parse(node.calls[1]?.body ?? "")).toEqual(registration);
  expect(gateway.calls.map((c) => `${c.method} ${c.path} ${c.authorization}`)).toEqual(["POST /v1/registrations "]);
  expect(JSON.parse(gateway.calls[0]?.body ?? "")).toEqual({
    registration,
    attestation: toBase64(shown().attestation),
  });
});

test("each registration asks with a nonce of its own", async () => {
  const { node, register } = await world();
  await register();
  await register();
  const nonces = node.calls.filter((c) => c.method === "GET").map((c) => c.path);
  expect(new Set(nonces).size).toBe(2);
  for (const path of nonces) expect(path).toMatch(/^\/attestation\?nonce=[0-9a-f]{64}$/);
});

test.each<[string, (nonce: Hex) => Enclave, string]>([
  ["keeps an old document", () => makeEnclave(), "TEE_NONCE_MISMATCH"],
  ["answers another nonce", () => makeEnclave({ nonce: "ab".repeat(32) }), "TEE_NONCE_MISMATCH"],
  [
    "runs other code",
    (nonce) => makeEnclave({ nonce, code: [9, 9, 9].map((n) => new Uint8Array(48).fill(n)) }),
    "TEE_MEASUREMENT_UNKNOWN",
  ],
  [
    "attests another keyset",
    (nonce) => makeEnclave({ nonce, userData: new Uint8Array(32) }),
    "TEE_REPORT_DATA_MISMATCH",
  ],
])("a node that %s is registered nowhere", async (_what, show, code) => {
  const { node, gateway, register } = await world(show);
  const seen: string[] = [];
  const onChecks = (checks: readonly { readonly status: string }[]) => void seen.push(...checks.map((c) => c.status));
  await expect(register({ onChecks })).rejects.toThrow(refused(code));
  expect(node.calls.filter((c) => c.method === "PUT")).toEqual([]);
  expect(gateway.calls).toEqual([]);
  // The checks are shown all the same.
  expect(seen).toContain("failed");
});

test("the registrar's word is checked with the document: a place that the trust does not accept is not registered", async () => {
  const { gateway, register } = await world();
  await expect(register({ custody: "self-hosted" })).rejects.toThrow(refused("TEE_CUSTODY_NOT_ALLOWED"));
  await expect(register({ trust: trusting(hardware({ custody: [] })) })).rejects.toThrow(
    refused("TEE_CUSTODY_NOT_ALLOWED"),
  );
  expect(gateway.calls).toEqual([]);
});

test("a registrar whom the trust does not name asks nobody and signs nothing", async () => {
  const { node, register } = await world();
  await expect(register({ registrar: keyOf("somebody") })).rejects.toThrow(refused("NOT_AUTHORISED"));
  expect(node.calls).toEqual([]);
});

test("a simulated enclave is registered by name only, also under a trust for development", async () => {
  const { gateway, register } = await world((nonce) => makeEnclave({ nonce, authority: simulation }));
  const trust = {
    ...trusting(hardware({ root: simulation.rootDigest, assurance: "simulated" as const })),
    development: true,
  };
  await expect(register({ trust })).rejects.toThrow(refused("TEE_SIMULATED_NOT_ALLOWED"));
  expect(gateway.calls).toEqual([]);
  const { accepted } = await register({ trust, allowDevelopment: true });
  expect(accepted.assurance).toBe("simulated");
});

test("a registration lives for at most 400 days", async () => {
  const { register } = await world();
  const { notAfter } = await register({ notAfter: Number.MAX_SAFE_INTEGER, gatewayUrl: null });
  expect(notAfter).toBe(now + 1000 + 400 * 86_400_000);
});

test("a gateway that refuses keeps the node from serving", async () => {
  const gateway = await listen(() => [403, "no"]);
  const { node, register } = await world();
  await expect(register({ gatewayUrl: gateway.url })).rejects.toThrow(refused("NOT_AUTHORISED"));
  expect(node.calls.filter((c) => c.method === "PUT")).toEqual([]);
});

test("what a gateway or a node refuses with is told in its words, with its code", async () => {
  const envelope = (code: string, message: string) =>
    JSON.stringify({ error: { code, message, type: "x", param: null } });
  const gateway = await listen(() => [
    422,
    envelope("TEE_MEASUREMENT_UNKNOWN", "It is not among\u001b[2J the accepted.\nWhy: another build.\nCode: X"),
  ]);
  const { register } = await world();
  const error = await register({ gatewayUrl: gateway.url }).catch((e: unknown) => e);
  expect(error).toMatchObject({
    code: "TEE_MEASUREMENT_UNKNOWN",
    exit: 2,
    detail: { message: "The gateway refused: It is not among\ufffd[2J the accepted.", why: "another build." },
  });
  const stranger = await listen(() => [422, envelope("NO_SUCH_CODE", "?")]);
  await expect(register({ gatewayUrl: stranger.url })).rejects.toThrow(refused("NOT_AUTHORISED"));
  const locked = await listen(() => [401, "{}"]);
  await expect(register({ nodeUrl: locked.url })).rejects.toThrow(refused("UNAUTHENTICATED"));
});

test("a node that shows no attestation, or does not answer", async () => {
  const silent = await listen(() => [404, "{}"]);
  const { register } = await world();
  await expect(register({ nodeUrl: silent.url })).rejects.toThrow(refused("NODE_NOT_ATTESTED"));
  await expect(register({ nodeUrl: "http://127.0.0.1:1" })).rejects.toThrow(refused("NODE_UNREACHABLE"));
});
