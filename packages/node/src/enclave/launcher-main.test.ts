import { fork } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBase64, keyFor, readAttestation } from "@countersign/core";
import { describe, expect, it, vi } from "vitest";
import { token } from "../fixtures/job.ts";
import { enclaveConfig, isolation, machine } from "./fixtures/launched.ts";
import { descendants } from "./fixtures/processes.ts";

const main = new URL("./launcher-main.ts", import.meta.url).pathname;

type Ready = { readonly url: string; readonly key: string; readonly attestation: string; readonly tier: string };

/** Starts the launcher as `countersign up` does. */
async function start(env: Record<string, string> = {}, sandbox: "auto" | "none" = "auto") {
  const dir = await mkdtemp(join(tmpdir(), "countersign-launcher-"));
  const path = join(dir, "node.json");
  await writeFile(path, JSON.stringify(await enclaveConfig({ enclave: { home: machine, sandbox } })));
  const child = fork(main, [path], {
    execArgv: [],
    env: { PATH: process.env.PATH ?? "", COUNTERSIGN_NODE_TOKEN: token, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let [out, errors] = ["", ""];
  child.stdout?.on("data", (part: Buffer) => {
    out += part.toString();
  });
  child.stderr?.on("data", (part: Buffer) => {
    errors += part.toString();
  });
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(signal ?? code)),
  );
  const ready = await Promise.race([
    new Promise<Ready>((resolve) => child.once("message", (message) => resolve(message as Ready))),
    ended.then(() => undefined),
  ]);
  return { child, ready, ended, out: () => out, errors: () => errors };
}

const isAlive = async (pid: number): Promise<boolean> => {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return status !== "" && !/^State:\s*Z/m.test(status);
};
const areGone = (pids: readonly number[]) =>
  vi.waitFor(async () => expect((await Promise.all(pids.map(isAlive))).filter(Boolean)).toEqual([]), {
    timeout: 10_000,
  });

describe.skipIf(process.platform !== "linux")("the launcher's process", () => {
  it("says where the enclave is and what it is, and ends it on a signal", async () => {
    const { child, ready, ended, out, errors } = await start();
    expect(JSON.parse(out().trim())).toEqual(ready);
    expect(keyFor(readAttestation(fromBase64(ready?.attestation ?? "")).keyset, "receipt")).toBe(ready?.key);
    expect(ready).toMatchObject({
      ready: true,
      tier: isolation.tier,
      root: expect.stringMatching(/^[0-9a-f]{64}$/),
      measurement: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(errors()).toContain("SIMULATED");
    expect((await fetch(`${ready?.url}/healthz`)).status).toBe(200);
    const pids = await descendants(child.pid as number);
    expect(pids.length).toBeGreaterThan(0);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    await areGone(pids);
  }, 60_000);

  it.each(["auto", "none"] as const)(
    "takes the enclave with it when it is killed (sandbox: %s)",
    async (sandbox) => {
      const { child, ready, ended } = await start({}, sandbox);
      expect(ready).toBeDefined();
      const pids = await descendants(child.pid as number);
      expect(pids.length).toBeGreaterThan(0);
      child.kill("SIGKILL");
      expect(await ended).toBe("SIGKILL");
      await areGone(pids);
    },
    60_000,
  );

  it("ends when the enclave is killed", async () => {
    const { child, ready, ended, errors } = await start();
    expect(ready).toBeDefined();
    const pids = await descendants(child.pid as number);
    process.kill(pids.at(-1) as number, "SIGKILL");
    expect(await ended).toBe(69);
    expect(errors()).toMatch(/The enclave ended/);
    await areGone(pids);
  }, 60_000);

  it("ends when its own parent goes", async () => {
    const { child, ready, ended } = await start();
    expect(ready).toBeDefined();
    child.disconnect();
    expect(await ended).toBe(0);
  }, 60_000);

  it("refuses options for its runtime before anything is made", async () => {
    const { ready, ended, errors } = await start({ NODE_OPTIONS: "--no-warnings" });
    expect(ready).toBeUndefined();
    expect(await ended).toBe(69);
    expect(errors()).toContain("TEE_UNAVAILABLE");
  }, 60_000);
});
