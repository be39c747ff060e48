import { describe, expect, it } from "vitest";
import { parseConfig, readConfig, readSecrets } from "./config.ts";

const seed = "ab".repeat(32);
const contract = { address: `0x${"00".repeat(20)}`, codeHash: seed };
const small = {
  listen: { port: 0 },
  operator: "me",
  dataDir: "data",
  trust: "trust.json",
  nodes: ["http://127.0.0.1:1"],
  log: { origin: "me.example/log" },
  chain: {
    rpc: "http://127.0.0.1:2",
    chainId: 5,
    token: { ...contract, name: "T", version: "1", decimals: 6 },
    anchors: contract,
  },
};
const invalid = expect.objectContaining({ code: "CONFIG_INVALID" });

describe("the configuration", () => {
  it("fills in defaults", () => {
    expect(parseConfig(small)).toMatchObject({
      limits: { concurrent: 256 },
      listen: { host: "127.0.0.1" },
      auditors: [],
    });
  });

  it.each([
    { ...small, nodes: [] },
    { ...small, nodes: ["file:///etc/passwd"] },
    { ...small, secret: "x" },
    { ...small, paymentSeconds: 601 },
    {},
  ])("refuses %j", (value) => {
    expect(() => parseConfig(value)).toThrow(invalid);
  });

  it("names a file that is not there", () => {
    expect(() => readConfig("/nowhere/gateway.json")).toThrow(invalid);
  });
});

describe("the secrets", () => {
  const env = { COUNTERSIGN_GATEWAY_SEED: seed, COUNTERSIGN_LOG_SEED: seed, COUNTERSIGN_WALLET_KEY: seed };

  it("come by environment, and are not repeated in errors", () => {
    expect(readSecrets(env).walletKey).toBe(seed);
    const almost = `${seed.slice(2)}zz`;
    expect(() => readSecrets({ ...env, COUNTERSIGN_WALLET_KEY: almost })).toThrow(invalid);
    try {
      readSecrets({ ...env, COUNTERSIGN_WALLET_KEY: almost });
    } catch (error) {
      expect(String((error as Error).message)).not.toContain(almost);
    }
  });

  it("are refused when missing or zero", () => {
    expect(() => readSecrets({ ...env, COUNTERSIGN_LOG_SEED: undefined })).toThrow(invalid);
    expect(() => readSecrets({ ...env, COUNTERSIGN_LOG_SEED: "0".repeat(64) })).toThrow(invalid);
  });
});
