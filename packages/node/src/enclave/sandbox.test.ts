import { mkdtemp, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CountersignError } from "@countersign/core";
import { beforeAll, describe, expect, it } from "vitest";
import { token } from "../fixtures/job.ts";
import { enclaveConfig, isolation } from "./fixtures/launched.ts";
import type { Probe } from "./fixtures/probe-main.ts";
import { launchEnclave } from "./launcher.ts";

const entry = fileURLToPath(new URL("./fixtures/probe-main.ts", import.meta.url));

if (isolation.bwrap === null) {
  describe("the sandbox", () => {
    it.skip(`bubblewrap is needed: ${isolation.missing}`, () => undefined);
  });
}

describe.skipIf(isolation.bwrap === null)("the sandbox", () => {
  let probe: Probe;
  beforeAll(async () => {
    const dir = await mkdtemp(join(tmpdir(), "countersign-secret-"));
    await writeFile(join(dir, "secret"), "of the host");
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const config = await enclaveConfig({ operator: JSON.stringify({ port, read: join(dir, "secret") }) });
    const said = await launchEnclave(config, { token, entry }).catch((error: unknown) => error);
    server.close();
    if (!CountersignError.is(said, "INTERNAL")) throw said;
    probe = JSON.parse(said.detail.message) as Probe;
  }, 60_000);

  it("has no network, not even the host's loopback", () => {
    expect(probe.network).toBe("ENETUNREACH");
    expect(probe.loopback).toBe("ECONNREFUSED");
    expect(probe.interfaces.filter((name) => name !== "lo")).toEqual([]);
  });

  it("sees no home and no file of the host but its own", () => {
    expect(probe.home).toBe("ENOENT");
    expect(probe.root).toBe("ENOENT");
    expect(probe.folders).not.toContain(homedir().split("/")[1]);
    expect(probe.folders).not.toContain("usr");
    expect(probe.reads.host).toBe("ENOENT");
    expect(probe.reads.catalogue).toMatch(/^VISIBLE/);
  });

  it("can change nothing that was measured, and writes to its one folder", () => {
    const { "/enclave/probe": own, ...others } = probe.writes;
    expect(own).toBe("DONE");
    expect(Object.keys(others)).toHaveLength(5);
    for (const [path, outcome] of Object.entries(others)) expect([path, outcome]).toEqual([path, "EROFS"]);
  });

  it("inherits no environment, sees no other processes, has no privileges, opens no inspector", () => {
    // Bubblewrap itself sets PWD when it changes the folder.
    expect(probe.environment.filter((name) => name !== "PWD")).toEqual(["HOME", "PATH"]);
    expect(probe.processes).toBeLessThanOrEqual(2);
    expect(probe.capabilities).toBe("0000000000000000");
    if (process.allowedNodeEnvironmentFlags.has("--disable-sigusr1"))
      expect(probe.signalInspector).toBe("--disable-sigusr1");
  });
});
