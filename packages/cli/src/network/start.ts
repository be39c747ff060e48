import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  CountersignError,
  type Hex,
  type Registration,
  type Signer,
  signRegistration,
  type Trust,
  toHex,
} from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { formatVkey, verifierKey } from "@countersign/log";
import { defaultModels, registerModel } from "@countersign/node";
import { addModel } from "@countersign/registry";
import {
  type Anvil,
  type Deployment,
  deployContracts,
  fundGas,
  generatePrivateKey,
  mint,
  openWallet,
  startAnvil,
} from "@countersign/settlement";
import { type Child, entryOf, startChild } from "./child.ts";
import { type Home, makeHome } from "./home.ts";
import { registerEnclave } from "./register-node.ts";

/** A whole network on this machine. */
export type Network = {
  readonly gatewayUrl: string;
  readonly trust: Trust;
  /** Where the trust file lies. */
  readonly trustFile: string;
  /** Private key of the funded demonstration wallet: it owns test tokens of this chain and nothing else. */
  readonly walletKey: Hex;
  readonly walletAddress: string;
  readonly chain: { readonly url: string; readonly chainId: number; readonly token: string };
  readonly models: readonly string[];
  /** Models that the simulated enclave holds, and how it is kept apart from this machine; undefined where none was started. */
  readonly enclave:
    | { readonly models: readonly string[]; readonly tier: string; readonly missing: string | null }
    | undefined;
  /** Models that are known but whose weights are not on this machine. */
  readonly absent: readonly string[];
  /** Whether the gateway serves the page: only where it was built. */
  readonly page: boolean;
  readonly children: readonly Child[];
  readonly home: Home;
  readonly stop: () => Promise<void>;
};

/** A key that lives for one run. */
type Key = { readonly seed: string; readonly signer: Signer; readonly key: Hex };
const freshKey = (): Key => {
  const seed = randomBytes(32);
  const signer = ed25519Signer(seed);
  return { seed: seed.toString("hex"), signer, key: toHex(signer.publicKey) };
};

/** Models that are served from a simulated enclave too. */
const enclaveModels: readonly string[] = ["countersign-pocket", "smollm2-135m-instruct", "guard-injection"];
const enclaveOperator = "local enclave (simulated)";
/** Micro test-USD: an enclave costs more than the plain node, so that nobody gets it who did not ask. */
const enclavePrice = { base: "200", perInputKiB: "20", perOutputToken: "4" };

export const logOrigin = "localhost/countersign";
const year = 365 * 86_400_000;

/** A port that is free now. @throws PORT_IN_USE when a certain one was asked for and is taken */
async function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause) =>
      reject(
        new CountersignError("PORT_IN_USE", {
          message: `Port ${port} is taken by another process.`,
          remedy: "End that process, or choose another with --port.",
          cause,
        }),
      ),
    );
    server.listen(port, "127.0.0.1", () => {
      const taken = (server.address() as { port: number }).port;
      server.close(() => resolve(taken));
    });
  });
}

/** Somebody's OpenAI-compatible server. Its key comes from COUNTERSIGN_UPSTREAM_KEY. */
export type Upstream = { readonly url: string; readonly model: string };

/** Name under which an upstream is sold. */
export const upstreamId = "upstream";
const apiKeyVariable = "COUNTERSIGN_UPSTREAM_KEY";

/** Whether there is a page to serve. */
const hasPage = (folder: string | undefined): folder is string => folder !== undefined && existsSync(folder);

/** What `startNetwork` can be told. */
export type StartOptions = {
  readonly home: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Where to write the trust file; in the run's own folder when absent. */
  readonly trustFile?: string | undefined;
  /** Only these models; all whose weights are here when absent. */
  readonly models?: readonly string[] | undefined;
  /** An OpenAI-compatible server to sell answers of, at the level `origin`. */
  readonly upstream?: Upstream | undefined;
  /** Folder of the built page. */
  readonly page?: string | undefined;
  /** Whether a simulated enclave serves beside the plain node; true by default. */
  readonly enclave?: boolean | undefined;
  readonly onStep?: (step: string) => void;
  readonly onEnd?: (child: string, why: string) => void;
};

/**
 * Starts the whole network: chain with contracts, registered models, a node, an auditor, the gateway.
 *
 * Every start makes a new chain id and new keys (protocol-review B10): nothing signed here is worth anything elsewhere.
 */
export async function startNetwork(options: StartOptions): Promise<Network> {
  const step = options.onStep ?? (() => undefined);
  const home = await makeHome(options.home);
  const children: Child[] = [];
  let anvil: Anvil | undefined;
  const stop = async () => {
    // Whoever depends on others ends first.
    for (const child of children.toReversed()) await child.stop();
    await anvil?.stop();
    await home.remove();
  };
  try {
    const port = await freePort(options.port);
    step("local chain");
    anvil = await startAnvil();
    const keys = {
      registrar: freshKey(),
      node: freshKey(),
      gateway: freshKey(),
      log: freshKey(),
      publisher: freshKey(),
    };
    const wallets = { faucet: generatePrivateKey(), settle: generatePrivateKey(), demo: generatePrivateKey() };
    const contracts = await fund(anvil, wallets);
    const network = `eip155:${contracts.chainId}`;

    step("models");
    const registered = await registerModels(home, keys.publisher.signer, options.models, step);
    const { absent } = registered;
    const models = [...registered.models];
    if (options.upstream) {
      await registerUpstream(home, keys.publisher.signer, options.upstream);
      models.push(upstreamId);
    }

    step("auditor");
    const gatewayUrl = `http://127.0.0.1:${port}`;
    const logKey = formatVkey(verifierKey(logOrigin, "note", keys.log.signer.publicKey));
    const write = async (name: string, value: unknown) => {
      const path = join(home.run, `${name}.json`);
      await writeFile(path, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
      return path;
    };
    const launch = async (
      name: "auditor" | "node" | "enclave" | "gateway",
      config: unknown,
      secrets: Record<string, string>,
    ) => {
      const child = await startChild({
        name,
        entry: entryOf(name),
        config: await write(name, config),
        secrets,
        logFile: join(home.logs, `${name}.log`),
        onEnd: (why) => options.onEnd?.(name, why),
      });
      children.push(child);
      return child;
    };
    const auditor = await launch(
      "auditor",
      {
        name: "auditor.localhost/one",
        directory: join(home.run, "auditor"),
        log: { key: logKey, url: `${gatewayUrl}/log/` },
        every: 1000,
      },
      {},
    );
    const auditorUrl = String(auditor.ready.url);
    const token = randomBytes(32).toString("hex");
    const known = new Map(defaultModels(home.weights).map((m) => [m.id, m]));
    const enclosed = options.enclave === false ? [] : models.filter((m) => enclaveModels.includes(m));
    if (enclosed.length > 0) step("simulated enclave");
    const enclave =
      enclosed.length === 0
        ? undefined
        : await launch(
            "enclave",
            {
              operator: enclaveOperator,
              network,
              gateways: [keys.gateway.key],
              registrars: [keys.registrar.key],
              publishers: [keys.publisher.key],
              catalogue: home.catalogue,
              state: join(home.run, "enclave"),
              enclave: { home: join(home.run, "machine") },
              deployments: enclosed.map((model) => ({
                model,
                id: `${model}-enclave`,
                labels: ["development"],
                ...known.get(model)?.deployment,
                price: enclavePrice,
              })),
            },
            { COUNTERSIGN_NODE_TOKEN: token },
          );
    const trust = trustOf({ network, keys, contracts, logKey, auditor: auditor.ready, auditorUrl, enclave });
    const trustFile = options.trustFile ?? join(home.run, "trust.dev.json");
    await writeFile(trustFile, `${JSON.stringify(trust, null, 2)}\n`);

    if (enclave) {
      step("registration of the enclave's keys");
      await registerEnclave({
        nodeUrl: String(enclave.ready.url),
        token,
        // The gateway finds document and registration with the node, keeps them and logs them.
        gatewayUrl: null,
        registrar: keys.registrar.signer,
        trust,
        custody: "self-hosted",
        custodyGround: "none",
        operator: enclaveOperator,
        notAfter: Date.now() + year,
        now: Date.now,
        allowDevelopment: true,
      });
    }

    step("node");
    const now = Date.now();
    const register = (role: Registration["role"], key: Hex) =>
      signRegistration(
        {
          suite: "countersign/registration/v1",
          network,
          registrar: keys.registrar.key,
          role,
          key,
          operator: `local ${role} (development)`,
          notBefore: now - 60_000,
          notAfter: now + year,
        },
        keys.registrar.signer,
      );
    const upstreamKey = process.env[apiKeyVariable];
    const node = await launch(
      "node",
      {
        operator: "local node (development)",
        network,
        registration: register("node", keys.node.key),
        gateways: [keys.gateway.key],
        publishers: [keys.publisher.key],
        catalogue: home.catalogue,
        state: join(home.run, "node"),
        deployments: models.map((model) => ({
          model,
          labels: ["development"],
          ...known.get(model)?.deployment,
          ...(model === upstreamId && { upstream: { ...options.upstream, ...(upstreamKey && { apiKeyVariable }) } }),
        })),
      },
      {
        COUNTERSIGN_NODE_SEED: keys.node.seed,
        COUNTERSIGN_NODE_TOKEN: token,
        ...(upstreamKey && { [apiKeyVariable]: upstreamKey }),
      },
    );

    step("gateway");
    await launch(
      "gateway",
      {
        listen: { host: "127.0.0.1", port },
        operator: "local gateway (development)",
        dataDir: join(home.run, "gateway"),
        trust: trustFile,
        registration: register("gateway", keys.gateway.key),
        nodes: [String(node.ready.url), ...(enclave ? [String(enclave.ready.url)] : [])],
        auditors: [auditorUrl],
        log: { origin: logOrigin },
        chain: {
          rpc: anvil.url,
          chainId: contracts.chainId,
          token: contracts.token,
          anchors: contracts.anchors,
          publish: true,
        },
        explorer: hasPage(options.page) ? options.page : null,
      },
      {
        COUNTERSIGN_GATEWAY_SEED: keys.gateway.seed,
        COUNTERSIGN_LOG_SEED: keys.log.seed,
        COUNTERSIGN_WALLET_KEY: wallets.settle,
        COUNTERSIGN_NODE_TOKEN: token,
      },
    );
    await untilReady(gatewayUrl);
    return {
      gatewayUrl,
      trust,
      trustFile,
      walletKey: wallets.demo as Hex,
      walletAddress: openWallet(wallets.demo).address,
      chain: { url: anvil.url, chainId: contracts.chainId, token: contracts.token.address },
      models,
      enclave: enclave && {
        models: enclosed,
        tier: String(enclave.ready.tier),
        missing: typeof enclave.ready.missing === "string" ? enclave.ready.missing : null,
      },
      absent,
      page: hasPage(options.page),
      children,
      home,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function fund(
  anvil: Anvil,
  wallets: { readonly faucet: string; readonly settle: string; readonly demo: string },
): Promise<Deployment> {
  const faucet = openWallet(wallets.faucet);
  const settle = openWallet(wallets.settle);
  await fundGas(anvil.rpc, faucet.address);
  await fundGas(anvil.rpc, settle.address);
  const contracts = await deployContracts(anvil.rpc, faucet);
  // Test tokens: 100 tUSD for the demonstration wallet, and some for refunds.
  await mint(anvil.rpc, faucet, contracts.token.address, openWallet(wallets.demo).address, 100_000_000n);
  await mint(anvil.rpc, faucet, contracts.token.address, settle.address, 1_000_000n);
  return contracts;
}

async function registerModels(
  home: Home,
  publisher: Signer,
  wanted: readonly string[] | undefined,
  step: (text: string) => void,
) {
  const models: string[] = [];
  const absent: string[] = [];
  await mkdir(home.catalogue, { recursive: true });
  for (const model of defaultModels(home.weights)) {
    if (wanted ? !wanted.includes(model.id) : !model.byDefault) continue;
    step(`model ${model.id}`);
    try {
      await registerModel(home.catalogue, model, publisher);
      models.push(model.id);
    } catch (error) {
      if (!CountersignError.is(error, "FILE_UNREADABLE") && !CountersignError.is(error, "WEIGHTS_UNAVAILABLE"))
        throw error;
      absent.push(model.id);
    }
  }
  const unknown = wanted?.find((id) => !models.includes(id) && !absent.includes(id));
  if (unknown === undefined && models.length > 0) return { models, absent };
  throw new CountersignError("MODEL_UNKNOWN", {
    message: unknown === undefined ? "No model's weights are on this machine." : `No model is known as ${unknown}.`,
    remedy: "countersign models list shows what is known; countersign models pull NAME fetches weights.",
  });
}

/** A manifest for a model that nobody here has: it names the server and the name there, and claims no weights. */
async function registerUpstream(home: Home, publisher: Signer, upstream: Upstream): Promise<void> {
  const facts = {
    title: `${upstream.model} as ${upstream.url} serves it`,
    job: "chat",
    architecture: "unknown",
    engine: "upstream",
    entry: "served-by.txt",
    quantisation: "unknown",
    parameters: null,
    licence: "unknown",
    tokenizer: null,
    chatTemplate: null,
  } as const;
  const files = [{ name: "served-by.txt", bytes: Buffer.from(`${upstream.model} at ${upstream.url}\n`) }];
  await addModel(home.catalogue, { id: upstreamId, facts, files }, publisher);
}

function trustOf(args: {
  readonly network: string;
  readonly keys: { readonly registrar: Key; readonly publisher: Key };
  readonly contracts: Deployment;
  readonly logKey: string;
  readonly auditor: Readonly<Record<string, unknown>>;
  readonly auditorUrl: string;
  readonly enclave: Child | undefined;
}): Trust {
  return {
    format: "countersign/trust/v1",
    name: "countersign up (development)",
    development: true,
    network: args.network,
    registrars: [{ name: "local-registrar", key: args.keys.registrar.key }],
    nodes: [],
    gateways: [],
    logs: [args.logKey],
    witnesses: `witness auditor ${String(args.auditor.witnessKey)} ${args.auditorUrl}\nquorum auditor\n`,
    monitors: { quorum: 1, keys: [{ name: "auditor", key: String(args.auditor.key) as Hex }] },
    snapshotMaxAge: 600,
    publishers: [{ name: "local-publisher", key: args.keys.publisher.key }],
    auditors: { quorum: 1, keys: [] },
    hardware: args.enclave
      ? [
          {
            format: "nitro",
            root: String(args.enclave.ready.root) as Hex,
            assurance: "simulated",
            measurements: [String(args.enclave.ready.measurement) as Hex],
            revoked: [],
            tcb: { statuses: [], advisories: [], floors: {} },
            custody: ["self-hosted"],
            provenance: false,
          },
        ]
      : [],
    proof: [],
    contracts: { token: args.contracts.token.address, anchors: args.contracts.anchors.address },
  };
}

/** Waits until the gateway says that it serves. @throws NOT_READY with what it says is missing */
async function untilReady(url: string): Promise<void> {
  let said = "";
  for (const last = Date.now() + 60_000; Date.now() < last; ) {
    const answer = await fetch(`${url}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
    said = answer ? await answer.text() : "It does not answer.";
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new CountersignError("NOT_READY", { message: "The gateway did not become ready.", why: said.slice(0, 500) });
}
