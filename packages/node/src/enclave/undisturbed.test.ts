import { describe, expect, it } from "vitest";
import { requireUndisturbed, type Surroundings } from "./undisturbed.ts";

const quiet: Surroundings = { env: {}, execArgv: [], inspector: undefined, tracer: 0 };
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
