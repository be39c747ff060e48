import { readFile } from "node:fs/promises";
import { amount, CountersignError, envelopeShape, fromHex, hex32, name, network, tasks } from "@countersign/core";
import * as z from "zod";

const deploymentShape = z.strictObject({
  /** Name of the deployment; the model's by default. */
  id: name.optional(),
  /** Name of a model in the catalogue. */
  model: name,
  tasks: z.array(z.enum(tasks)).min(1).optional(),
  /** Micro test-USD (the asset's smallest unit). */
  price: z.strictObject({ base: amount, perInputKiB: amount, perOutputToken: amount }).optional(),
  context: z.number().int().min(16).max(1_048_576).optional(),
  maxOutput: z.number().int().min(1).max(1_048_576).optional(),
  /** Canonical policy texts; `signature` for models that run here, `origin` for an upstream by default. */
  guarantees: z.array(z.string().min(1).max(2048)).min(1).max(16).optional(),
  labels: z
    .array(z.enum(["development", "synthetic"]))
    .max(2)
    .optional(),
  flashAttention: z.boolean().optional(),
  batch: z.number().int().min(1).max(8192).optional(),
  graph: z.enum(["disabled", "basic", "extended", "all"]).optional(),
  upstream: z
    .strictObject({
      url: z.string().regex(/^https?:\/\/.+\/v1$/, "expected a base URL that ends in /v1"),
      model: z.string().min(1).max(256),
      /** Name of the environment variable that holds the key; keys never stand in files. */
      apiKeyVariable: z
        .string()
        .regex(/^[A-Z][A-Z0-9_]{0,63}$/)
        .optional(),
      allowSubstitution: z.boolean().optional(),
    })
    .optional(),
});

/** Configuration of a node: a JSON file. Secrets come beside it, by environment variables or files. */
export const nodeConfigShape = z.strictObject({
  operator: z.string().min(1).max(128),
  network,
  host: z.string().max(255).optional(),
  /** 0 takes any free port. */
  port: z.number().int().min(0).max(65_535).optional(),
  /** Registration of the node's key by a registrar. An enclave gets it later: its key is born when it starts. */
  registration: envelopeShape.optional(),
  /** Registrars whose word an enclave takes for its key; absent: the first one that registers it (docs/enclave.md). */
  registrars: z.array(hex32).min(1).max(64).optional(),
  /** Public keys of the gateways whose offers it works for. */
  gateways: z.array(hex32).min(1).max(64),
  /** Public keys of publishers whose manifests it serves. */
  publishers: z.array(hex32).min(1).max(64),
  /** Folder of the model catalogue. */
  catalogue: z.string().min(1),
  /** Folder of its own state: versions of deployments, request tags. */
  state: z.string().min(1),
  deployments: z.array(deploymentShape).min(1).max(4096),
  engines: z
    .strictObject({
      memory: z.number().int().min(1).optional(),
      queue: z.number().int().min(0).max(10_000).optional(),
      threads: z.number().int().min(1).max(256).optional(),
    })
    .optional(),
  /** Milliseconds a run may take. */
  runLimit: z.number().int().min(1).max(3_600_000).optional(),
  /** Models to load at the start instead of at the first request. */
  preload: z.array(name).max(64).optional(),
  /** Where the node runs in an enclave (docs/enclave.md). */
  enclave: z
    .strictObject({
      /** Simulated: folder of this machine's private root. */
      home: z.string().min(1).optional(),
      /** Simulated: `auto` goes on without bubblewrap where it is missing, and says so. */
      sandbox: z.enum(["auto", "require", "none"]).optional(),
      /** Nitriding: its two servers inside the enclave. */
      internal: z.url().optional(),
      external: z.url().optional(),
      /** NSM, nitriding: path of the helper that speaks to the device. */
      helper: z.string().min(1).optional(),
      /** Files that `countersign measurement publish` saved: logged records of this measurement's build. */
      provenance: z.array(z.string().min(1)).max(4).optional(),
      /** dstack: the guest agent's socket. */
      socket: z.string().min(1).optional(),
    })
    .optional(),
});
export type NodeConfig = z.infer<typeof nodeConfigShape>;
export type DeploymentConfig = NodeConfig["deployments"][number];

/** What a node must not be told in a file that others read, nor in its arguments. */
export type NodeSecrets = {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array;
  /** Bearer token that the gateways show. */
  readonly token: string;
};

/** Reads a configuration. @throws CONFIG_INVALID with the place at fault */
export function parseNodeConfig(value: unknown): NodeConfig {
  const read = nodeConfigShape.safeParse(value);
  if (read.success) return read.data;
  throw new CountersignError("CONFIG_INVALID", {
    message: "The node's configuration cannot be used.",
    why: z.prettifyError(read.error).split("\n").slice(0, 4).join(" "),
    cause: read.error,
  });
}

/** Reads a configuration file. @throws CONFIG_INVALID */
export async function readNodeConfig(path: string): Promise<NodeConfig> {
  try {
    return parseNodeConfig(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw new CountersignError("CONFIG_INVALID", { message: `The file ${path} cannot be read as JSON.`, cause });
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

async function readSecret(env: Environment, variable: string): Promise<string> {
  const file = env[`${variable}_FILE`];
  const text = env[variable] ?? (file === undefined ? undefined : await readFile(file, "utf8").catch(() => undefined));
  if (text !== undefined && text.trim() !== "") return text.trim();
  throw new CountersignError("CONFIG_INVALID", {
    message: `Neither ${variable} nor a readable ${variable}_FILE is set.`,
  });
}

/** Reads the gateways' token alone: a node in an enclave has no seed that anybody could hand it. @throws CONFIG_INVALID */
export const readNodeToken = (env: Environment): Promise<string> => readSecret(env, "COUNTERSIGN_NODE_TOKEN");

/**
 * Reads the secrets from `COUNTERSIGN_NODE_SEED` and `COUNTERSIGN_NODE_TOKEN`, or from the files that the same names
 * with `_FILE` point to. Never from arguments: every user of the machine can read those.
 *
 * @throws CONFIG_INVALID
 */
export async function readNodeSecrets(env: Environment): Promise<NodeSecrets> {
  const seed = await readSecret(env, "COUNTERSIGN_NODE_SEED");
  if (!/^[0-9a-f]{64}$/.test(seed)) {
    throw new CountersignError("CONFIG_INVALID", {
      message: "COUNTERSIGN_NODE_SEED must be 64 lowercase hexadecimal digits.",
    });
  }
  return { seed: fromHex(seed), token: await readNodeToken(env) };
}
