import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { CountersignError } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { formatVkey, verifierKey } from "@countersign/log";
import { afterAll, describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const dir = mkdtempSync(join(tmpdir(), "countersign-auditor-process-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const publicKey = ed25519Signer(new Uint8Array(32).fill(1)).publicKey;
const config = {
  name: "test.example/auditor",
  directory: "state",
  log: { key: formatVkey(verifierKey("test.example/log", "note", publicKey)), url: "http://127.0.0.1:9/log/" },
};

function start(file: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), file], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { child, exit };
}

describe("the auditor's process", () => {
  it("says when it is ready, works without its log, and stops cleanly", async () => {
    const file = join(dir, "auditor.json");
    writeFileSync(file, JSON.stringify(config));
    const { child, exit } = start(file);
    const line = await new Promise<string>((resolve) => createInterface(child.stdout).once("line", resolve));
    const ready = JSON.parse(line) as { ready: string; url: string; key: string; witnessKey: string };
    expect(ready).toMatchObject({ ready: "auditor", key: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(ready.witnessKey).toMatch(/^test\.example\/auditor\+/);
    expect((await fetch(`${ready.url}/healthz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await exit).toBe(0);
  });

  it("leaves with the code of what is wrong", async () => {
    const file = join(dir, "bad.json");
    writeFileSync(file, JSON.stringify({ ...config, direktory: "x" }));
    expect(await start(file).exit).toBe(64);
  });

  it("reads no configuration halfway", () => {
    expect(readConfig(config, "/base")).toMatchObject({ directory: "/base/state", every: 1000 });
    const bad = [
      null,
      { ...config, name: "two words" },
      { ...config, every: -1 },
      { ...config, listen: { port: 70_000 } },
      { ...config, log: { ...config.log, url: "http://127.0.0.1/log" } },
      { ...config, log: { ...config.log, url: "file:///log/" } },
      { ...config, log: { ...config.log, key: "x+y+z" } },
      { ...config, log: { ...config.log, key: formatVkey(verifierKey("w", "cosignature", publicKey)) } },
    ];
    for (const value of bad) {
      let caught: unknown;
      try {
        readConfig(value, "/base");
      } catch (error) {
        caught = error;
      }
      expect(CountersignError.is(caught, "CONFIG_INVALID"), JSON.stringify(value)).toBe(true);
    }
  });
});
