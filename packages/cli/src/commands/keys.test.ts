import { mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { formatVkey, verifierKey } from "@countersign/log";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { main } from "../main.ts";

const seed = "5e".repeat(32);
const { publicKey } = ed25519Signer(fromHex(seed));
let out = "";
let err = "";
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "countersign-keys-"));
  out = "";
  err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = 0;
});

async function keys(...words: string[]): Promise<number> {
  await main(["keys", ...words]);
  return Number(process.exitCode ?? 0);
}

test("a new seed lies in a file of its owner alone, its public key is shown, and it is never overwritten", async () => {
  const file = join(folder, "registrar.seed");
  expect(await keys("new", "--out", file)).toBe(0);
  const text = await readFile(file, "utf8");
  expect(text).toMatch(/^[0-9a-f]{64}\n$/);
  expect((await stat(file)).mode & 0o077).toBe(0);
  expect(out.trim()).toBe(toHex(ed25519Signer(fromHex(text.trim())).publicKey));
  expect(out + err).not.toContain(text.trim());
  expect(await keys("new", "--out", file)).toBe(64);
  expect(await readFile(file, "utf8")).toBe(text);
});

test("show reads the seed from the environment, and shows a log's key for its origin", async () => {
  vi.stubEnv("COUNTERSIGN_REGISTRAR_SEED", seed);
  expect(await keys("show", "COUNTERSIGN_REGISTRAR_SEED", "--log-origin", "gateway.example/log")).toBe(0);
  expect(out.split("\n").slice(0, 2)).toEqual([
    toHex(publicKey),
    formatVkey(verifierKey("gateway.example/log", "note", publicKey)),
  ]);
});

test("a seed among the arguments is refused and not repeated", async () => {
  expect(await keys("show", seed)).toBe(64);
  expect(err).toContain("never an argument");
  expect(out + err).not.toContain(seed);
  expect(await keys("show", "COUNTERSIGN_NO_SUCH_SEED")).toBe(64);
});
