import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CountersignError,
  type Envelope,
  type Hex,
  type Registration,
  type Signer,
  signRegistration,
  type Trust,
  toHex,
} from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { type Gateway, parseConfig, startGateway } from "@countersign/gateway";
import { formatVkey, verifierKey } from "@countersign/log";
import {
  defaultModels,
  deploy,
  type EngineSpec,
  Engines,
  type NodeConfig,
  type NodeContext,
  parseNodeConfig,
  RequestTags,
  type RunningNode,
  registerModel,
  type Served,
  serveNode,
  startNode,
  systemRandom,
} from "@countersign/node";
import type { Client } from "@countersign/sdk";
import {
  fundGas,
  generatePrivateKey,
  openRpc,
  openWallet,
  readBalance,
  readCodeHash,
  readToken,
} from "@countersign/settlement";
import { localClient } from "../self-check.ts";
import type { Ground } from "./ground.ts";

/** The model that the swapped file belongs to, and the two between which a node lies. */
export const stageModels = {
  tensors: "lande-50",
  chat: "countersign-pocket",
  cheap: "countersign-pocket-mini",
} as const;

/**
 * A stage beside a running network, on its chain and with its wallet: an honest gateway, an honest node, and a node whose
 * owner lies.
 *
 * The liars are put together from the same public functions as honest parties; nothing in the product has a switch for
 * them. Their keys are new, live in memory and are properly registered: by a registrar whom `trust` names besides the
 * network's own. A registration says who somebody is, not that he is honest.
 */
export type Stage = {
  readonly ground: Ground;
  /** The network's trust, and whom the plays add to it. */
  readonly trust: Trust;
  /** Catalogue of the stage's nodes. */
  readonly catalogue: string;
  readonly scratch: string;
  /** The stage's honest gateway. */
  readonly gateway: Gateway;
  /** The liar's node as its owner can see it: the true model is deployed in it. */
  readonly liar: NodeContext;
  /** A client who trusts what `trust` says and checks every answer; of the network's own gateway by default. */
  readonly client: (gatewayUrl?: string) => Client;
  /** Test tokens that the wallet holds. */
  readonly balance: () => Promise<bigint>;
  readonly close: () => Promise<void>;
};

const hexOf = (signer: Signer): Hex => toHex(signer.publicKey);
const freshSeed = () => toHex(generateSeed());

/** Opens the stage: a second or two, most of it the engines' start. @throws WEIGHTS_UNAVAILABLE, FILE_UNREADABLE */
export async function openStage(ground: Ground): Promise<Stage> {
  const scratch = await mkdtemp(join(tmpdir(), "countersign-frauds-"));
  const closers: (() => Promise<void>)[] = [() => rm(scratch, { recursive: true, force: true })];
  const close = async () => {
    for (const end of closers.splice(0).toReversed()) await end();
  };
  try {
    const { network } = ground.trust;
    const registrar = ed25519Signer(generateSeed());
    const publisher = ed25519Signer(generateSeed());
    const gatewaySeed = freshSeed();
    const logSeed = freshSeed();
    const gatewayKey = hexOf(ed25519Signer(Buffer.from(gatewaySeed, "hex")));
    const origin = "localhost/frauds";
    const logKey = formatVkey(verifierKey(origin, "note", ed25519Signer(Buffer.from(logSeed, "hex")).publicKey));
    const trust: Trust = {
      ...ground.trust,
      name: `${ground.trust.name}, and a registrar who registered liars`,
      registrars: [...ground.trust.registrars, { name: "frauds-registrar", key: hexOf(registrar) }],
      publishers: [...ground.trust.publishers, { name: "frauds-publisher", key: hexOf(publisher) }],
      logs: [...ground.trust.logs, logKey],
    };
    const register = (role: Registration["role"], key: Hex): Envelope => {
      const now = Date.now();
      return signRegistration(
        {
          suite: "countersign/registration/v1",
          network,
          registrar: hexOf(registrar),
          role,
          key,
          operator: `${role} of the frauds (development)`,
          notBefore: now - 60_000,
          notAfter: now + 86_400_000,
        },
        registrar,
      );
    };

    const catalogue = join(scratch, "catalogue");
    await mkdir(catalogue, { recursive: true });
    const known = new Map(defaultModels(join(scratch, "weights")).map((m) => [m.id, m]));
    const deployments: NodeConfig["deployments"] = [];
    for (const id of Object.values(stageModels)) {
      const model = known.get(id);
      if (!model) throw new CountersignError("MODEL_UNKNOWN", { message: `No model is known as ${id}.` });
      await registerModel(catalogue, model, publisher);
      deployments.push({ model: id, labels: ["development"], ...model.deployment });
    }
    const token = freshSeed();
    const configOf = (operator: string, signer: Signer, models: readonly string[]): NodeConfig =>
      parseNodeConfig({
        operator,
        network,
        registration: register("node", hexOf(signer)),
        gateways: [gatewayKey],
        publishers: [hexOf(publisher)],
        catalogue,
        state: join(scratch, operator.replaceAll(" ", "-")),
        deployments: deployments.filter((d) => models.includes(d.model)),
      });

    const honestSeed = generateSeed();
    const honest = await startNode(configOf("honest node", ed25519Signer(honestSeed), [stageModels.tensors]), {
      seed: honestSeed,
      token,
    });
    closers.push(honest.close);
    const { liar, node } = await startLiar(
      (signer) => configOf("lying node", signer, [stageModels.chat, stageModels.cheap]),
      token,
    );
    closers.push(node.close);

    const rpc = openRpc(ground.chainUrl);
    const settler = generatePrivateKey();
    await fundGas(rpc, openWallet(settler).address);
    const gateway = await startGateway(
      parseConfig({
        listen: { port: 0 },
        operator: "gateway of the frauds (development)",
        dataDir: join(scratch, "gateway"),
        trust: "given",
        registration: register("gateway", gatewayKey),
        nodes: [honest.url, node.url],
        log: { origin },
        chain: { rpc: ground.chainUrl, ...(await contractsOf(ground)) },
      }),
      { gatewaySeed, logSeed, walletKey: settler, nodeToken: token },
      // Its log has no witnesses: what is played here is settled by signatures and content.
      { trust: { ...trust, witnesses: "quorum none\n" }, onFault: () => undefined },
    );
    closers.push(gateway.close);
    const missing = gateway.deps.missing();
    if (missing.length > 0)
      throw new CountersignError("NOT_READY", {
        message: "The stage's gateway does not serve.",
        why: missing.join("; "),
      });

    const payer = openWallet(ground.walletKey).address;
    const asset = ground.trust.contracts.token as string;
    return {
      ground,
      trust,
      catalogue,
      scratch,
      gateway,
      liar,
      client: (gatewayUrl = ground.gatewayUrl) => localClient({ gatewayUrl, walletKey: ground.walletKey, trust }),
      balance: () => readBalance(rpc, asset, payer),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The node whose owner lies: what it signs as the chat model is run by the smaller sister. */
async function startLiar(
  configOf: (signer: Signer) => NodeConfig,
  token: string,
): Promise<{ readonly liar: NodeContext; readonly node: RunningNode }> {
  const signer = ed25519Signer(generateSeed());
  const config = configOf(signer);
  const key = hexOf(signer);
  const served: Served[] = [];
  for (const given of config.deployments)
    served.push(await deploy(given, { config, signer, key, suite: nodeSuite, env: {} }));
  const find = (id: string) => served.find((s) => s.deployment.model.id === id) as Served;
  const truth = find(stageModels.chat);
  const cheap = find(stageModels.cheap).engine as EngineSpec;
  const liar: NodeContext = {
    key,
    network: config.network,
    gateways: config.gateways,
    served: [truth],
    suite: nodeSuite,
    now: Date.now,
    random: systemRandom,
    signer,
    keys: config.registration ? [config.registration] : [],
    engines: new Engines(),
    tags: await RequestTags.open(null, Date.now()),
    runLimit: 60_000,
  };
  const node = await serveNode(
    { ...liar, served: [{ ...truth, engine: cheap }] },
    { operator: config.operator, registration: config.registration, token },
  );
  return { liar, node };
}

async function contractsOf({ trust, chainUrl }: Ground) {
  const rpc = openRpc(chainUrl);
  const read = async (address: string | undefined) => {
    const codeHash = address === undefined ? undefined : await readCodeHash(rpc, address);
    if (address !== undefined && codeHash !== undefined) return { address, codeHash };
    throw new CountersignError("CONTRACT_MISSING", {
      message: "The local chain does not hold the network's contracts.",
    });
  };
  const token = await read(trust.contracts.token);
  return {
    chainId: Number(trust.network.slice("eip155:".length)),
    token: { ...token, ...(await readToken(rpc, token.address)) },
    anchors: await read(trust.contracts.anchors),
  };
}
