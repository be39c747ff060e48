import { chmod, mkdtemp, readdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { machineHome, openMachine } from "./machine.ts";

const now = Date.now();
const fresh = async () => join(await mkdtemp(join(tmpdir(), "countersign-machine-")), "home");
const registers = [1, 2, 3].map((n) => new Uint8Array(48).fill(n));
const invalid = expect.objectContaining({ code: "CONFIG_INVALID" });

describe("a machine's root", () => {
  it("is made once, also by launchers that start together, and read by its owner alone", async () => {
    const home = await fresh();
    const machines = await Promise.all([1, 2, 3].map(() => openMachine(home, now)));
    const roots = new Set(machines.map((m) => toHex(m.root.der)));
    expect(roots.size).toBe(1);
    expect(await readdir(home)).toEqual(["machine.json"]);
    expect((await stat(join(home, "machine.json"))).mode & 0o777).toBe(0o600);
    expect(Buffer.from(machines[0]?.root.der ?? []).toString("latin1")).toContain("SIMULATED-NOT-A-TEE");
  });

  it("gives a sealing key by machine and PCR 0, 1, 2", async () => {
    const [here, there] = [await openMachine(await fresh(), now), await openMachine(await fresh(), now)];
    const key = toHex(here.sealingKey(registers));
    expect(toHex(here.sealingKey(registers))).toBe(key);
    expect(toHex(there.sealingKey(registers))).not.toBe(key);
    for (const i of registers.keys()) {
      const other = registers.map((r, at) => (at === i ? r.with(47, 9) : r));
      expect(toHex(here.sealingKey(other))).not.toBe(key);
    }
  });

  it("is refused when others may read it, or it is something else", async () => {
    const home = await fresh();
    await openMachine(home, now);
    await chmod(join(home, "machine.json"), 0o640);
    await expect(openMachine(home, now)).rejects.toEqual(invalid);
    await chmod(join(home, "machine.json"), 0o600);
    await writeFile(join(home, "machine.json"), "{}");
    await expect(openMachine(home, now)).rejects.toEqual(invalid);
  });

  it("lies in the user's home unless a folder is named", () => {
    expect(machineHome({ COUNTERSIGN_ENCLAVE_HOME: "/else" })).toBe("/else");
    expect(machineHome({})).toMatch(/\.countersign.enclave$/);
  });
});
