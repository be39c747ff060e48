import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { coreLimitOf, withoutCore } from "./core-limit.ts";
import { requireNoCore, requireUndisturbed, type Surroundings } from "./undisturbed.ts";

const quiet: Surroundings = { env: {}, execArgv: [], inspector: undefined, tracer: 0, core: 0 };
const check = (change: Partial<Surroundings>) => () =>
  requireUndisturbed((flag) => flag === "--disable-sigusr1", { ...quiet, ...change });
const refused = expect.objectContaining({ code: "TEE_UNAVAILABLE" });

describe("an undisturbed runtime", () => {
  it("has no options, no inspector, no tracer", () => {
    expect(check({})).not.toThrow();
    expect(check({ execArgv: ["--disable-sigusr1"], env: { PATH: "/runtime" }, tracer: null })).not.toThrow();
  });

  it.each([
    [{ env: { NODE_OPTIONS: "--require x" } }],
    [{ env: { LD_PRELOAD: "/x.so" } }],
    [{ env: { NODE_PATH: "/x" } }],
    [{ execArgv: ["--inspect=0"] }],
    [{ execArgv: ["--import", "./x.js"] }],
    [{ inspector: "ws://127.0.0.1:9229/x" }],
    [{ tracer: 42 }],
  ] as const)("is refused with %j", (change) => {
    expect(check(change)).toThrow(refused);
  });
});

describe("a process that leaves no core file", () => {
  it("is refused above one byte", () => {
    for (const core of [0, 1, null]) expect(() => requireNoCore({ core })).not.toThrow();
    for (const core of [2, 4096, Number.POSITIVE_INFINITY]) expect(() => requireNoCore({ core })).toThrow(refused);
  });

  it("is told by the system's own words, the hard limit", () => {
    const line = (soft: string, hard: string) => `Max core file size        ${soft}       ${hard}        bytes     \n`;
    expect(coreLimitOf(line("0", "unlimited"))).toBe(Number.POSITIVE_INFINITY);
    expect(coreLimitOf(`Limit\n${line("1", "1")}`)).toBe(1);
    expect(coreLimitOf("Max open files 1 1 files\n")).toBeNull();
  });

  it.skipIf(process.platform !== "linux")("is made with prlimit, and without it", () => {
    const path = process.env.PATH;
    const limit = () => {
      const [program, args] = withoutCore("/bin/cat", ["/proc/self/limits"]);
      return coreLimitOf(execFileSync(program, args, { encoding: "utf8", env: {} }));
    };
    expect(limit()).toBeLessThanOrEqual(1);
    process.env.PATH = "/nowhere";
    try {
      expect(limit()).toBe(0);
    } finally {
      process.env.PATH = path;
    }
  });
});
