import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSignedBy, type Measurement, measurementId, readMeasurement, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { main } from "../main.ts";

const seed = "5e".repeat(32);
const publisher = toHex(ed25519Signer(new Uint8Array(32).fill(0x5e)).publicKey);
const draft: Omit<Measurement, "publisher"> = {
  suite: "countersign/measurement/v1",
  network: "eip155:31337",
  format: "nitro",
  registers: { pcr0: "01".repeat(48), pcr1: "02".repeat(48), pcr2: "03".repeat(48) },
  title: "node 1.0",
  source: { url: "https://example.invalid/node", commit: "abc", tree: "11".repeat(32) },
  build: { command: "make image", recipe: "22".repeat(32), environment: "a builder" },
  revoked: false,
  at: 1_790_000_000_000,
};
const id = measurementId("nitro", draft.registers);
let folder: string;
let out = "";
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "countersign-measurement-"));
  out = "";
  const keep = (text: unknown) => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(keep);
  vi.spyOn(process.stderr, "write").mockImplementation(keep);
  vi.stubEnv("COUNTERSIGN_PUBLISHER_SEED", seed);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = 0;
  server?.close();
  server = undefined;
});

const at = (name: string) => join(folder, name);
const readJson = async (name: string) => JSON.parse(await readFile(at(name), "utf8"));
async function draftFile(change: object = {}): Promise<string> {
  await writeFile(at("draft.json"), JSON.stringify({ ...draft, ...change }));
  return at("draft.json");
}
/** Runs a command line; the exit status. */
async function run(...words: string[]): Promise<number> {
  await main(["measurement", ...words]);
  return Number(process.exitCode ?? 0);
}

test("show computes the id from the registers, whatever else stands there", async () => {
  expect(await run("show", await draftFile())).toBe(0);
  expect(out).toContain(id);
  expect(out).toContain("unsigned");
  expect(await run("show", await draftFile({ registers: { ...draft.registers, pcr8: "04".repeat(48) } }))).toBe(0);
  expect(out.split(id)).toHaveLength(2);
});

test("sign makes a record of the publisher in the environment, about exactly these registers", async () => {
  expect(await run("sign", await draftFile({ publisher: "ab".repeat(32) }), "--out", at("signed.json"))).toBe(0);
  const { statement } = await readJson("signed.json");
  const { predicate, subject, envelope } = readMeasurement(statement);
  expect(subject).toBe(id);
  expect(predicate.publisher).toBe(publisher);
  expect(isSignedBy(envelope, publisher, nodeSuite)).toBe(true);
  expect(out).toContain("signature valid");
});

test("without a seed nothing is signed, and an unknown member is refused", async () => {
  vi.stubEnv("COUNTERSIGN_PUBLISHER_SEED", "");
  expect(await run("sign", await draftFile(), "--out", at("x.json"))).toBe(64);
  vi.stubEnv("COUNTERSIGN_PUBLISHER_SEED", seed);
  expect(await run("sign", await draftFile({ verified: true }), "--out", at("x.json"))).not.toBe(0);
  await expect(readFile(at("x.json"))).rejects.toThrow();
});

test("a record whose signature is another's is shown as that", async () => {
  await run("sign", await draftFile(), "--out", at("signed.json"));
  const { statement } = await readJson("signed.json");
  const [first] = statement.signatures;
  const forged = { ...statement, signatures: [{ ...first, sig: Buffer.alloc(64, 1).toString("base64") }] };
  await writeFile(at("forged.json"), JSON.stringify({ statement: forged }));
  out = "";
  await run("show", at("forged.json"));
  expect(out).toContain("NOT signed by it");
});

test("publish hands the record to a gateway and keeps it with entry and proof", async () => {
  const bodies: string[] = [];
  server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    bodies.push(`${request.method} ${request.url} ${text}`);
    response.writeHead(201).end(JSON.stringify({ index: 5, entry: "ZW50cnk", proof: "proof", measurement: id }));
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const gateway = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await run("publish", await draftFile(), "--gateway", gateway, "--out", at("kept.json"))).toBe(64);
  expect(bodies).toEqual([]);
  process.exitCode = 0;
  await run("sign", at("draft.json"), "--out", at("signed.json"));
  expect(await run("publish", at("signed.json"), "--gateway", gateway, "--out", at("kept.json"))).toBe(0);
  const { statement } = await readJson("signed.json");
  expect(bodies).toEqual([`POST /v1/measurements ${JSON.stringify({ statement })}`]);
  expect(await readJson("kept.json")).toEqual({ statement, entry: "ZW50cnk", proof: "proof" });
});

test("a gateway's refusal of a record is told in its words, with its code", async () => {
  server = createServer((_request, response) => {
    const error = { message: "The record is not signed by a publisher.\nCode: NOT_AUTHORISED", code: "NOT_AUTHORISED" };
    response.writeHead(403).end(JSON.stringify({ error }));
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const gateway = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await run("sign", await draftFile(), "--out", at("signed.json"));
  out = "";
  expect(await run("publish", at("signed.json"), "--gateway", gateway, "--out", at("kept.json"))).toBe(64);
  expect(out).toContain("The gateway refused: The record is not signed by a publisher.");
  expect(out).not.toContain("{");
});
