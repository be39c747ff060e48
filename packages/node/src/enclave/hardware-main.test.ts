import { fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBase64, keysetBinding, keysetDigest, readAttestation, toHex } from "@countersign/core";
import { afterEach, describe, expect, it } from "vitest";
import { token } from "../fixtures/job.ts";
import { coreLimitOf, withoutCore } from "./core-limit.ts";
import { ask, enclaveConfig, register, registrationFor } from "./fixtures/launched.ts";
import { runtimeFlags } from "./flags.ts";

const main = new URL("./hardware-main.ts", import.meta.url).pathname;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const readLimits = (path = "/proc/self/limits") => (existsSync(path) ? readFileSync(path, "utf8") : "");

/** A guest agent that quotes whatever it is asked and keeps what it was told. */
async function agent() {
  const told: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => {
      body += String(part);
    });
    request.on("end", () => {
      told.push(`${request.url} ${body}`);
      const report_data = String((JSON.parse(body || "{}") as { report_data?: string }).report_data ?? "").padEnd(
        128,
        "0",
      );
      const key = "11".repeat(32);
      response.end(
        request.url === "/GetQuote"
          ? JSON.stringify({ quote: "0400", event_log: "[]", report_data, vm_config: "{}" })
          : JSON.stringify(request.url === "/GetKey" ? { key, signature_chain: [] } : {}),
      );
    });
  });
  const socket = join(await mkdtemp(join(tmpdir(), "cse-agent-")), "s");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return { socket, told };
}

async function start(
  platform: string,
  socket: string,
  execArgv: readonly string[] = runtimeFlags(),
  wrap: typeof withoutCore = withoutCore,
) {
  const config = await enclaveConfig({ enclave: { socket, helper: "/nowhere/nsm-helper" } });
  const path = join(await mkdtemp(join(tmpdir(), "countersign-hardware-")), "node.json");
  await writeFile(path, JSON.stringify(config));
  const launch = async () => {
    const [execPath, first] = wrap(process.execPath, execArgv);
    const child = fork(main, [platform, path], {
      execPath,
      execArgv: [...first],
      env: { PATH: process.env.PATH ?? "", COUNTERSIGN_NODE_TOKEN: token },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    closing.push(() => child.kill("SIGKILL"));
    let errors = "";
    child.stderr?.on("data", (part: Buffer) => {
      errors += part.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    type Ready = { readonly url: string; readonly key: string; readonly attestation: string };
    const ready = await Promise.race([
      new Promise<Ready>((resolve) => child.once("message", (message) => resolve(message as Ready))),
      ended.then(() => undefined),
    ]);
    return { child, ready, ended, errors: () => errors };
  };
  return { ...(await launch()), again: launch };
}

describe("a node inside hardware", () => {
  it("is attested by its platform, measures its models first, and keeps its keys by the platform's sealing key", async () => {
    const { socket, told } = await agent();
    const { child, ready, ended, again } = await start("dstack", socket);
    const { evidence, keyset } = readAttestation(fromBase64(ready?.attestation ?? ""));
    expect(evidence.map((e) => e.format)).toEqual(["tdx"]);
    const calls = told.map((t) => t.split(" ")[0]);
    expect(calls).toEqual(["/EmitEvent", "/EmitEvent", "/GetKey", "/GetQuote"]);
    expect(told.at(-1)).toContain(toHex(keysetBinding(keysetDigest(keyset), null)));
    const url = ready?.url ?? "";
    expect((await ask(url, "/describe")).status).toBe(503);
    await register(url, registrationFor(ready?.key ?? ""));
    expect((await ask(url, "/describe")).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect((await again()).ready?.key).toBe(ready?.key);
  }, 60_000);

  it.each([
    ["dstack", "no agent"],
    ["nsm", "no helper"],
    ["nitriding", "no helper"],
  ])(
    "on %s with %s serves nothing",
    async (platform) => {
      const { ready, ended, errors } = await start(platform, "/nowhere/dstack.sock");
      expect(ready).toBeUndefined();
      expect(await ended).toBe(69);
      expect(errors()).toContain("TEE_UNAVAILABLE");
      expect(errors().toLowerCase()).toContain(`the ${platform} attester`);
    },
    60_000,
  );

  it("refuses flags that it was not built with", async () => {
    const { socket } = await agent();
    const { ready, ended, errors } = await start("dstack", socket, ["--inspect=0"]);
    expect(ready).toBeUndefined();
    expect(await ended).toBe(69);
    expect(errors()).toContain("TEE_UNAVAILABLE");
  }, 60_000);

  // Where this machine's own limit allows one; elsewhere the case cannot be made.
  it.skipIf((coreLimitOf(readLimits()) ?? 0) <= 1)(
    "does not start where a crash would leave a core file",
    async () => {
      const { socket } = await agent();
      const { ready, ended, errors } = await start("dstack", socket, runtimeFlags(), (p, args) => [p, args]);
      expect(ready).toBeUndefined();
      expect(await ended).toBe(69);
      expect(errors()).toContain("core");
    },
    60_000,
  );
});
