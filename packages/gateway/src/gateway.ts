import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  CountersignError,
  type Envelope,
  envelopeShape,
  fromHex,
  parseTrust,
  recoverAddress,
  type Trust,
  toHex,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { rememberVendorSignatures } from "@countersign/evidence-tee";
import { assertChain, openRpc, openSettleQueue, openWallet, type Rpc, type SettleQueue } from "@countersign/settlement";
import { openStore } from "@countersign/store";
import { type ServerType, serve } from "@hono/node-server";
import { createApp } from "./app.ts";
import { openAttestations } from "./attestations.ts";
import { describeOverHttp, openCatalogue } from "./catalogue.ts";
import { challengeOverHttp } from "./challenge.ts";
import type { GatewayConfig, GatewaySecrets } from "./config.ts";
import type { Deps, Identity } from "./deps.ts";
import { openGatewayLog } from "./log.ts";
import { makeGood } from "./make-good.ts";
import { openMonitors } from "./monitors.ts";
import { checkOverHttp } from "./node-check.ts";
import { openNodeRunner } from "./node-run.ts";
import { openRefusals } from "./refusals.ts";
import { openRegistryEntries } from "./registry-entries.ts";

/** A gateway that serves. */
export type Gateway = {
  /** Base URL, with the port that was taken. */
  readonly url: string;
  /** Public key of the log, C2SP form, for trust files. */
  readonly deps: Deps;
  /** Takes nothing new, lets what runs end for a while, and gives everything back. */
  readonly close: () => Promise<void>;
};

/** What a caller may bring along instead of files. */
export type GatewayParts = {
  readonly trust?: Trust;
  readonly rpc?: Rpc;
  readonly now?: () => number;
  readonly onFault?: (error: unknown) => void;
  readonly fetch?: typeof fetch;
};

const printFault = (error: unknown): void => {
  const text = CountersignError.is(error) ? error.message.split("\n")[0] : error instanceof Error ? error.stack : error;
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
};

/**
 * Starts a gateway: store, log, chain, nodes, HTTP. It listens at once and answers NOT_READY until the chain was checked
 * and a node serves.
 *
 * @throws CONFIG_INVALID, TRUST_MALFORMED, STORE_CORRUPT, LOG_LOCKED, LOG_CORRUPT, PORT_IN_USE
 */
export async function startGateway(
  config: GatewayConfig,
  secrets: GatewaySecrets,
  parts: GatewayParts = {},
): Promise<Gateway> {
  const now = parts.now ?? Date.now;
  const onFault = parts.onFault ?? printFault;
  const trust = parts.trust ?? parseTrust(readFileSync(config.trust, "utf8"));
  const network = `eip155:${config.chain.chainId}`;
  if (trust.network !== network) {
    throw new CountersignError("CONFIG_INVALID", {
      message: "The trust file is for another network than the configuration.",
      why: `It names ${trust.network}; the configuration ${network}.`,
    });
  }
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const identity = identityOf(config, secrets, network);
  const store = openStore({ file: join(config.dataDir, "gateway.db") });
  const log = await openGatewayLog({
    dir: join(config.dataDir, "log"),
    origin: config.log.origin,
    flushMs: config.log.flushMs,
    signer: ed25519Signer(fromHex(secrets.logSeed)),
    suite: nodeSuite,
    trust,
    ...(parts.fetch && { fetch: parts.fetch }),
    onFault,
  });
  const rpc = parts.rpc ?? openRpc(config.chain.rpc);
  const wallet = openWallet(secrets.walletKey);
  const catalogue = openCatalogue({
    nodes: config.nodes,
    trust,
    suite: rememberVendorSignatures(nodeSuite),
    now,
    describe: describeOverHttp(secrets.nodeToken),
  });
  const runner = openNodeRunner({ ...config.limits, token: secrets.nodeToken });
  const refusals = openRefusals({
    network,
    gateway: identity.signer,
    development: trust.development,
    append: log.append,
    now,
  });
  let queue: SettleQueue | undefined;
  let recover = recoverAddress;
  let chainFault = "the chain was not checked yet";
  const token = config.chain.token;
  const settling = (): SettleQueue => {
    if (queue) return queue;
    throw new CountersignError("NOT_READY", { message: "The chain was not checked yet." });
  };
  const deps: Deps = {
    attestations: openAttestations(join(config.dataDir, "attestations")),
    identity,
    terms: {
      token: {
        name: token.name,
        version: token.version,
        chainId: config.chain.chainId,
        verifyingContract: token.address,
      },
      payTo: config.chain.payTo ?? wallet.address,
      offerSeconds: config.offerSeconds,
      paymentSeconds: config.paymentSeconds,
    },
    limits: config.limits,
    trust,
    suite: nodeSuite,
    catalogue,
    store,
    payments: {
      rpc,
      recover: (digest, signature) => recover(digest, signature),
      settle: (payment) => settling().settle(payment),
      refund: (refund) => settling().refund(refund),
    },
    log,
    monitors: openMonitors({ urls: config.auditors, onFault, ...(parts.fetch && { fetch: parts.fetch }) }),
    runOnNode: runner.run,
    challenge: challengeOverHttp({ served: catalogue.served, token: secrets.nodeToken }),
    checkOnNode: checkOverHttp({ token: secrets.nodeToken }),
    refusals,
    missing: () => [
      ...(queue ? [] : [chainFault]),
      ...(catalogue.served().length > 0 ? [] : ["no node serves a deployment"]),
    ],
    now,
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    onFault,
  };
  const checkChain = async () => {
    if (queue) return;
    try {
      const { chainId, anchors, recovery } = config.chain;
      const asserted = await assertChain({
        rpc,
        deployment: { chainId, token, anchors },
        recovery: recovery === "native" ? "native" : recoverAddress,
      });
      recover = asserted.recover;
      queue = openSettleQueue({ store, rpc, chainId, wallet, depth: config.chain.depth, now });
      makeGood({ store, queue, now, onFault });
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      chainFault = `${error.code}: ${error.detail.message}`;
    }
  };
  const registered = openRegistryEntries({
    served: catalogue.served,
    append: log.append,
    attestations: deps.attestations,
    development: trust.development,
  });
  const look = async () => {
    await Promise.all([checkChain(), catalogue.refresh(), refusals.flush(), store.purge(now())]);
    await registered.flush();
  };
  const app = createApp(deps, {
    chainRpc: config.chain.publish ? config.chain.rpc : null,
    explorerDir: config.explorer,
  });
  const server = await listen(app.fetch, config.listen);
  await look().catch(onFault);
  const clock = repeat(() => look().catch(onFault), config.nodesMs);
  return {
    url: server.url,
    deps,
    close: async () => {
      clock();
      await server.close();
      await refusals.flush().catch(onFault);
      await queue?.close();
      await runner.close();
      await log.writer.close();
      await store.close();
    },
  };
}

function identityOf(config: GatewayConfig, secrets: GatewaySecrets, network: string): Identity {
  const signer = ed25519Signer(fromHex(secrets.gatewaySeed));
  const { registration } = config;
  let last = 0;
  return {
    network,
    signer,
    key: toHex(signer.publicKey),
    operator: config.operator,
    registration:
      typeof registration === "string"
        ? (envelopeShape.parse(JSON.parse(readFileSync(registration, "utf8"))) as Envelope)
        : registration,
    tick: (now) => {
      last = Math.max(last + 1, now);
      return last;
    },
  };
}

/** Runs `work` again and again, never twice at once; returns what stops it. */
function repeat(work: () => Promise<void>, milliseconds: number): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout;
  const next = () => {
    timer = setTimeout(async () => {
      await work();
      if (!stopped) next();
    }, milliseconds);
    timer.unref();
  };
  next();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Listens; a connection that idles at the end does not hold up the stop. @throws PORT_IN_USE */
export async function listen(
  fetch: Parameters<typeof serve>[0]["fetch"],
  { host, port }: { readonly host: string; readonly port: number },
): Promise<{ readonly url: string; readonly server: ServerType; readonly close: () => Promise<void> }> {
  const server = await new Promise<ServerType>((resolve, reject) => {
    const made = serve({ fetch, hostname: host, port }, () => resolve(made));
    made.once("error", (cause) => {
      reject(new CountersignError("PORT_IN_USE", { message: `Port ${port} of ${host} cannot be taken.`, cause }));
    });
  });
  const at = server.address();
  const taken = typeof at === "object" && at !== null ? at.port : port;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${taken}`,
    server,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => "closeAllConnections" in server && server.closeAllConnections(), 5000);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        if ("closeIdleConnections" in server) server.closeIdleConnections();
      }),
  };
}
