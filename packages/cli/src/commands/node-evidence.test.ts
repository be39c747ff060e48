import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Envelope, readRegistration, signRegistration } from "@countersign/core";
import { makeNitroAuthority } from "@countersign/evidence-tee/make";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Enclave, hardware, makeEnclave, registerPlace, trusting } from "../../../../test/fixtures/enclave.ts";
import { keyOf, keys } from "../../../../test/fixtures/network.ts";
import { main } from "../main.ts";

// The command judges for now, so everything here is of now.
const at = Date.now();
const authority = makeNitroAuthority({ now: at, subjectPrefix: "Test vendor" });
const trust = trusting(hardware({ root: authority.rootDigest, custody: ["unknown"] }));
let server: Server | undefined;
let folder: string;
let out = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "countersign-node-"));
  await writeFile(join(folder, "trust.json"), JSON.stringify(trust));
  out = "";
  const keep = (text: unknown) => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(keep);
  vi.spyOn(process.stderr, "write").mockImplementation(keep);
  vi.stubEnv("COUNTERSIGN_NODE_TOKEN", "token of sixteen!");
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = 0;
  server?.close();
  server = undefined;
});

/** A node that shows what `show` makes of the nonce; whoever has no token gets nothing. */
async function nodeThat(show: (nonce: string) => Enclave, registration?: () => Envelope): Promise<string> {
  server = createServer((request, response) => {
    const described = request.url === "/describe";
    const nonce = new URL(request.url ?? "", "http://node").searchParams.get("nonce") ?? "";
    if (request.headers.authorization !== "Bearer token of sixteen!") response.writeHead(401).end("{}");
    else if (described && registration) response.writeHead(200).end(JSON.stringify({ registration: registration() }));
    else if (described) response.writeHead(503).end("{}");
    else response.writeHead(200).end(show(nonce).attestation);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function ask(url: string, ...words: string[]): Promise<number> {
  await main(["node", "evidence", "--node", url, ...words]);
  return Number(process.exitCode ?? 0);
}
/** A registrar's word of now for where the enclave stands. */
const placed = (enclave: Enclave, registrar = keys.registrar) => {
  const { predicate } = readRegistration(registerPlace(enclave, "named-datacentre", registrar));
  return signRegistration({ ...predicate, notBefore: at - 1000, notAfter: at + 86_400_000 }, registrar);
};
const honest = (nonce: string) => makeEnclave({ at, authority, nonce });
const trusted = () => ["--trust", join(folder, "trust.json")];

test("an honest enclave is shown, judged and kept", async () => {
  const url = await nodeThat(honest);
  expect(await ask(url, ...trusted(), "--out", join(folder, "kept.json"))).toBe(0);
  expect(out).toContain("ACCEPTED");
  expect(out).toContain(honest("00").keyset.keys[1]?.key);
  const kept = await readFile(join(folder, "kept.json"));
  expect(kept.length).toBeGreaterThan(1000);
});

test("without a trust file nobody is believed", async () => {
  expect(await ask(await nodeThat(honest))).toBe(2);
  expect(out).toContain("TEE_FORMAT_NOT_ALLOWED");
});

test("a document that was made before is no answer", async () => {
  const old = makeEnclave({ at, authority });
  expect(await ask(await nodeThat(() => old), ...trusted())).toBe(2);
  expect(out).toContain("TEE_NONCE_MISMATCH");
});

test("a node without an enclave, a wrong token and a wrong nonce", async () => {
  vi.stubEnv("COUNTERSIGN_NODE_TOKEN", "another token");
  const url = await nodeThat(honest);
  expect(await ask(url)).toBe(64);
  expect(out).toContain("UNAUTHENTICATED");
  expect(await ask(url, "--nonce", "abc")).toBe(64);
});

test("custody is the registrar's word: the one that the node shows, or one in a file", async () => {
  const strict = join(folder, "strict.json");
  await writeFile(strict, JSON.stringify(trusting(hardware({ root: authority.rootDigest }))));
  let shown: Enclave | undefined;
  const show = (nonce: string) => {
    shown = honest(nonce);
    return shown;
  };
  expect(await ask(await nodeThat(show), "--trust", strict)).toBe(2);
  expect(out).toContain("TEE_CUSTODY_NOT_ALLOWED");
  expect(out).toContain("shows no registration");
  server?.close();
  process.exitCode = 0;
  const registered = await nodeThat(show, () => placed(shown as Enclave));
  expect(await ask(registered, "--trust", strict)).toBe(0);
  const file = join(folder, "registration.json");
  await writeFile(file, JSON.stringify(placed(shown as Enclave)));
  server?.close();
  expect(await ask(await nodeThat(show), "--trust", strict, "--registration", file)).toBe(0);
  server?.close();
  // Somebody else's word counts for nothing.
  const other = await nodeThat(show, () => placed(shown as Enclave, keyOf("somebody")));
  expect(await ask(other, "--trust", strict)).toBe(2);
});
