import { readFileSync } from "node:fs";
import { address, CountersignError, envelopeShape, hex32, name } from "@countersign/core";
import * as z from "zod";

const url = z.url({ protocol: /^https?$/ });
const milliseconds = z.number().int().min(1).max(3_600_000);
const contract = z.strictObject({ address, codeHash: hex32 });

/** A gateway's configuration: one JSON file. Secrets are named by environment variable, or lie in files of their own. */
export const configShape = z.strictObject({
  listen: z.strictObject({ host: z.string().min(1).default("127.0.0.1"), port: z.number().int().min(0).max(65_535) }),
  /** Who runs it. */
  operator: z.string().min(1).max(128),
  /** Directory of store and log. */
  dataDir: z.string().min(1),
  /** Trust file by which it checks nodes and receipts, witnesses with their URLs included. */
  trust: z.string().min(1),
  /** A registrar's registration of its key, as a file; absent where trust files name the key. */
  registration: z
    .union([z.string().min(1), envelopeShape])
    .nullable()
    .default(null),
  /** Base URLs of nodes. */
  nodes: z.array(url).min(1).max(256),
  /** Base URLs of auditors that sign snapshots. */
  auditors: z.array(url).max(64).default([]),
  log: z.strictObject({ origin: name, flushMs: milliseconds.default(25) }),
  chain: z.strictObject({
    rpc: url,
    chainId: z.number().int().min(1),
    token: contract.extend({
      name: z.string().min(1).max(64),
      version: z.string().min(1).max(16),
      decimals: z.number().int().min(0).max(36),
    }),
    anchors: contract,
    /** Receives the payments; the settling wallet's own address when absent. Refunds are paid from the settling wallet. */
    payTo: address.nullable().default(null),
    /** Blocks on top of a transfer before it counts. */
    depth: z.number().int().min(0).max(1000).default(0),
    /** "portable" recovers signatures in plain JavaScript where no native library is to be had; it is slower. */
    recovery: z.enum(["native", "portable"]).default("native"),
    /** Whether `GET /v1/network` tells the RPC's URL. */
    publish: z.boolean().default(false),
  }),
  offerSeconds: z.number().int().min(5).max(3600).default(120),
  paymentSeconds: z.number().int().min(10).max(600).default(300),
  limits: z
    .strictObject({
      bodyBytes: z
        .number()
        .int()
        .min(1024)
        .max(256 << 20)
        .default(8 << 20),
      concurrent: z.number().int().min(1).max(100_000).default(256),
      runMs: milliseconds.default(600_000),
      heartbeatMs: milliseconds.default(1000),
      witnessMs: milliseconds.default(10_000),
      answerMs: milliseconds.default(600_000),
      answerBytes: z
        .number()
        .int()
        .min(1024)
        .max(1 << 30)
        .default(64 << 20),
    })
    .prefault({}),
  /** Milliseconds between two looks at the nodes. */
  nodesMs: milliseconds.default(5000),
  /** Directory of the explorer page, or null for none. */
  explorer: z.string().min(1).nullable().default(null),
});
export type GatewayConfig = z.infer<typeof configShape>;

/** Secrets of a gateway, 32 bytes each in hex: they come by environment, never by argument or configuration file. */
export type GatewaySecrets = {
  /** Ed25519 seed that signs offers and countersigns receipts. */
  readonly gatewaySeed: string;
  /** Ed25519 seed of the log. */
  readonly logSeed: string;
  /** secp256k1 key that sends settlements and refunds. */
  readonly walletKey: string;
  /** Bearer token that the nodes ask for, or null where they ask for none. */
  readonly nodeToken: string | null;
};

const invalid = (message: string, why?: string, cause?: unknown) =>
  new CountersignError("CONFIG_INVALID", { message, why, cause });

/** Reads a configuration value. @throws CONFIG_INVALID naming the place */
export function parseConfig(value: unknown): GatewayConfig {
  const read = configShape.safeParse(value);
  if (read.success) return read.data;
  throw invalid("The gateway's configuration cannot be used.", z.prettifyError(read.error), read.error);
}

/** Reads a configuration file. @throws CONFIG_INVALID */
export function readConfig(file: string): GatewayConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw invalid(`The configuration file ${file} cannot be read.`, undefined, cause);
  }
  return parseConfig(value);
}

const variables = {
  gatewaySeed: "COUNTERSIGN_GATEWAY_SEED",
  logSeed: "COUNTERSIGN_LOG_SEED",
  walletKey: "COUNTERSIGN_WALLET_KEY",
} as const;

/** Reads the secrets from `COUNTERSIGN_GATEWAY_SEED`, `COUNTERSIGN_LOG_SEED`, `COUNTERSIGN_WALLET_KEY`. @throws CONFIG_INVALID */
export function readSecrets(env: Readonly<Record<string, string | undefined>>): GatewaySecrets {
  const secret = (variable: string): string => {
    const value = env[variable];
    if (value !== undefined && /^[0-9a-f]{64}$/.test(value) && !/^0+$/.test(value)) return value;
    // The value itself is never repeated: error texts end up in logs.
    throw invalid(`${variable} must hold 64 lowercase hexadecimal digits.`);
  };
  return {
    gatewaySeed: secret(variables.gatewaySeed),
    logSeed: secret(variables.logSeed),
    walletKey: secret(variables.walletKey),
    nodeToken: env.COUNTERSIGN_NODE_TOKEN || null,
  };
}
