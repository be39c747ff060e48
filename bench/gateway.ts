// What the gateway costs: added latency, throughput against a bare proxy, and receipts a second (spec/receipt.md).
//
// The upstream is the same in every row: a node in a thread of its own that commits to each run and signs it for real.
// Gateway and proxy have a thread of their own too; the client is this thread.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { serve } from "@hono/node-server";
import { Pool } from "undici";
import {
  type Contents,
  commit,
  demandBytes,
  encodeEntry,
  fromHex,
  type Job,
  noTrust,
  type Offer,
  presets,
  printPolicy,
  type RunEvent,
  readDeployment,
  recoverAddress,
  requestDigest,
  type Statement,
  signOffer,
  signRun,
  type Trust,
  toBase64,
  toHex,
  utf8,
} from "../packages/core/src/index.ts";
import { ed25519Signer, nodeSuite } from "../packages/core/src/node.ts";
import { type FakeModel, runJob, startFakeNode } from "../packages/gateway/src/fixtures/fake-node.ts";
import {
  countersign,
  createApp,
  type Deps,
  describeLog,
  describeOverHttp,
  makeReceipt,
  openCatalogue,
  openMonitors,
  openNodeRunner,
  openRefusals,
  receiptEntry,
} from "../packages/gateway/src/index.ts";
import { openLog } from "../packages/log/src/write/index.ts";
import { openRpc } from "../packages/settlement/src/index.ts";
import { openStore } from "../packages/store/src/index.ts";

/** One measured line: `ratio` is value over baseline. */
type Row = {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
  readonly ratio: number;
  readonly target: number;
  readonly met: boolean;
};

const network = "eip155:2000000000001";
const seedOf = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const [registrar, publisher, gateway, logSigner] = [seedOf(1), seedOf(2), seedOf(3), seedOf(4)] as const;
const model: FakeModel = { id: "mock", tasks: ["chat"] };
const body = utf8(JSON.stringify({ model: "mock", messages: [{ role: "user", content: "Count to three, please." }] }));
const token = "0x00000000000000000000000000000000000000aa";
const trust: Trust = {
  ...noTrust,
  name: "bench",
  network,
  registrars: [{ name: "r", key: toHex(registrar.publicKey) }],
  gateways: [{ name: "g", key: toHex(gateway.publicKey) }],
  publishers: [{ name: "p", key: toHex(publisher.publicKey) }],
  witnesses: "quorum none\n",
};
const demand = { policy: presets.signature, release: "met", deadline: null, source: "default" } as const;

/** A gateway put together from its public parts: no chain, because nothing here is paid. */
async function startBenchGateway(nodeUrl: string, dir: string): Promise<string> {
  const writer = await openLog({
    dir: join(dir, "log"),
    origin: "bench.example/log",
    signer: logSigner,
    suite: nodeSuite,
  });
  const log = describeLog(writer, "bench.example/log", 0);
  const store = openStore({ file: join(dir, "gateway.db") });
  const catalogue = openCatalogue({
    nodes: [nodeUrl],
    trust,
    suite: nodeSuite,
    now: Date.now,
    describe: describeOverHttp(null),
  });
  await catalogue.refresh();
  let last = 0;
  const onFault = (error: unknown) => console.error(error);
  const never = async () => {
    throw new Error("nothing is paid here");
  };
  const deps: Deps = {
    identity: {
      network,
      signer: gateway,
      key: toHex(gateway.publicKey),
      operator: "bench",
      registration: null,
      tick: (now) => {
        last = Math.max(last + 1, now);
        return last;
      },
    },
    terms: {
      token: { name: "T", version: "1", chainId: 2000000000001, verifyingContract: token },
      payTo: token,
      offerSeconds: 60,
      paymentSeconds: 60,
    },
    limits: {
      bodyBytes: 1 << 20,
      concurrent: 1000,
      runMs: 60_000,
      heartbeatMs: 1000,
      witnessMs: 1000,
      answerMs: 60_000,
      answerBytes: 1 << 20,
    },
    trust,
    suite: nodeSuite,
    attestations: { put: never, get: async () => undefined },
    challenge: never,
    catalogue,
    store,
    payments: { rpc: openRpc("http://127.0.0.1:9"), recover: recoverAddress, settle: never, refund: never },
    log,
    monitors: openMonitors({ urls: [] }),
    runOnNode: openNodeRunner({ runMs: 60_000, answerBytes: 1 << 20, token: null }).run,
    refusals: openRefusals({ network, gateway, development: false, append: log.append, now: Date.now }),
    missing: () => [],
    now: Date.now,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    onFault,
  };
  return new Promise((resolve) => {
    const server = serve({ fetch: createApp(deps).fetch, hostname: "127.0.0.1", port: 0 }, () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

/** The least that stands between client and upstream: bytes in, bytes out. */
function startProxy(nodeUrl: string): Promise<string> {
  const { hostname, port } = new URL(nodeUrl);
  const server = createServer((incoming, outgoing) => {
    const through = forward({ hostname, port, path: "/run", method: "POST", headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(through);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

type Role = { readonly role: "node" | "gateway" | "proxy"; readonly nodeUrl?: string; readonly dir?: string };

async function play({ role, nodeUrl = "", dir = "" }: Role): Promise<void> {
  parentPort?.on("message", () => {
    const { user, system } = process.threadCpuUsage();
    parentPort?.postMessage(user + system);
  });
  if (role === "node") {
    const node = await startFakeNode({ network, registrar, publisher, models: [model] });
    parentPort?.postMessage({
      url: node.url,
      deployment: node.description.deployments[0]?.deployment,
      key: node.key,
      registration: node.description.registration,
    });
  } else
    parentPort?.postMessage({
      url: role === "gateway" ? await startBenchGateway(nodeUrl, dir) : await startProxy(nodeUrl),
    });
}

const started: Worker[] = [];
const start = (role: Role): Promise<{ url: string } & Record<string, unknown>> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: role });
    started.push(worker);
    worker.once("message", resolve);
    worker.once("error", reject);
  });

/** Microseconds of CPU that a thread has used. */
const cpuOf = (worker: Worker): Promise<number> =>
  new Promise((resolve) => {
    worker.once("message", resolve);
    worker.postMessage("cpu");
  });

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))] as number;

type Target = { readonly pool: Pool; readonly path: string; readonly body: Uint8Array };

async function ask({ pool, path, body }: Target): Promise<void> {
  const { statusCode, body: answer } = await pool.request({
    path,
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await answer.text();
  if (statusCode !== 200) throw new Error(`${statusCode}: ${text}`);
}

/** Milliseconds of each request, one after the other, the targets in turn so that both see the same machine. */
async function latencies(targets: readonly Target[], rounds: number): Promise<readonly (readonly number[])[]> {
  const times = targets.map(() => [] as number[]);
  for (let i = -50; i < rounds; i++) {
    for (const [t, target] of targets.entries()) {
      const before = performance.now();
      await ask(target);
      if (i >= 0) times[t]?.push(performance.now() - before);
    }
  }
  return times;
}

/** Answers a second over 16 connections. */
async function throughput(target: Target, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() < end) {
        await ask(target);
        done++;
      }
    }),
  );
  return done / seconds;
}

function jobFor(
  deployment: ReturnType<typeof readDeployment>["predicate"],
  node: string,
  clientNonce: string,
  madeAt: number,
): Job {
  const digest = requestDigest({
    clientNonce: fromHex(clientNonce),
    method: "POST",
    path: "/v1/chat/completions",
    policy: demandBytes(demand),
    body,
  });
  const offer: Offer = {
    suite: "countersign/offer/v1",
    network,
    gateway: toHex(gateway.publicKey),
    node,
    model: deployment.model,
    deployment: { id: deployment.id, version: deployment.version },
    guarantee: deployment.guarantees[0] as string,
    release: "met",
    unmet: "promised",
    scheme: "exact",
    asset: token,
    payTo: token,
    amount: "0",
    validBefore: 2_000_000_000,
    requestDigest: toHex(digest),
    deadline: null,
    madeAt,
    expires: 2_000_000_000,
  };
  return {
    path: "/v1/chat/completions",
    body: toBase64(body),
    clientNonce,
    nonceSource: "gateway",
    demand: { require: printPolicy(demand.policy), release: "met", deadline: null, source: "default" },
    offer: signOffer(offer, gateway),
    payment: null,
    log: "bench.example/log",
    labels: [],
  };
}

/** Receipts per CPU second of this thread: commitment, statement, countersignature, entry, durable append. */
async function receipts(node: Record<string, unknown>, seconds: number): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  const log = await openLog({ dir, origin: "bench.example/log", signer: logSigner, suite: nodeSuite });
  const { predicate: deployment } = readDeployment(node.deployment);
  const signer = seedOf(9);
  const issuer = toHex(signer.publicKey);
  const key = toHex(gateway.publicKey);
  const first = jobFor(deployment, issuer, "ab".repeat(32), Date.now());
  // One honest run gives the contents and the statement; each receipt is then made anew under a secret of its own.
  let contents: Contents = {};
  let template: Statement | undefined;
  const events = runJob(
    first,
    deployment,
    signer,
    issuer,
    {
      recommit: (made) => {
        contents = made;
        return made;
      },
      restate: (made) => {
        template = made;
        return made;
      },
    },
    node.registration as never,
  );
  const { result, keys } = events.at(-1) as Extract<RunEvent, { type: "done" }>;
  const outputs = events.flatMap((e) => (e.type === "output" ? [e.output] : []));
  let made = 0;
  const one = async () => {
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const receiptId = toHex(secret);
    const { roots, leaves, openings } = commit(contents, () => secret);
    const statement: Statement = { ...(template as Statement), issuedAt: Date.now() };
    const envelope = signRun(roots.receiptRoot, statement, signer);
    const done = {
      type: "done",
      statement: envelope,
      leaves,
      openings,
      receiptSecret: receiptId,
      result,
      keys,
    } as const;
    const delivery = countersign(
      roots.receiptRoot,
      {
        network,
        offerDigest: receiptId,
        requestTag: statement.requestTag,
        requestDigest: statement.requestDigest,
        paymentDigest: null,
        paymentBound: false,
        deliveredAt: Date.now(),
      },
      { key, signer: gateway },
    );
    makeReceipt({
      done,
      statement,
      outputs,
      offer: first.offer,
      delivery,
      registration: null,
      receiptId,
      clientNonce: receiptId,
    });
    const { usage } = result;
    const entry = receiptEntry({
      receiptRoot: roots.receiptRoot,
      envelope,
      statement,
      usage,
      price: "0",
      hardware: null,
      unmet: false,
    });
    await log.append(encodeEntry(entry));
    made++;
  };
  const run = async (ms: number) => {
    const end = performance.now() + ms;
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        while (performance.now() < end) await one();
      }),
    );
  };
  await run(1000);
  made = 0;
  const before = process.threadCpuUsage();
  await run(seconds * 1000);
  const { user, system } = process.threadCpuUsage(before);
  await log.close();
  rmSync(dir, { recursive: true, force: true });
  return (made * 1e6) / (user + system);
}

/** The least that two signatures (statement, countersignature) cost: pairs per CPU second, with nothing around them. */
function bareSignatures(seconds: number): number {
  const end = performance.now() + seconds * 1000;
  const message = new Uint8Array(1500);
  const before = process.threadCpuUsage();
  let done = 0;
  while (performance.now() < end) {
    gateway.sign(message);
    gateway.sign(message);
    done++;
  }
  const { user, system } = process.threadCpuUsage(before);
  return (done * 1e6) / (user + system);
}

async function main(): Promise<void> {
  const seconds = Number(process.env.BENCH_SECONDS ?? 3);
  const dir = mkdtempSync(join(tmpdir(), "countersign-bench-gateway-"));
  const rows: Row[] = [];
  try {
    const node = await start({ role: "node" });
    const [through, plain] = await Promise.all([
      start({ role: "gateway", nodeUrl: node.url, dir }),
      start({ role: "proxy", nodeUrl: node.url }),
    ]);
    const { predicate: deployment } = readDeployment(node.deployment);
    const job = utf8(JSON.stringify(jobFor(deployment, node.key as string, "ab".repeat(32), Date.now())));
    const direct: Target = { pool: new Pool(node.url), path: "/run", body: job };
    const proxied: Target = { pool: new Pool(plain.url, { connections: 16 }), path: "/run", body: job };
    const served: Target = { pool: new Pool(through.url, { connections: 16 }), path: "/v1/chat/completions", body };
    const [a = [], b = [], c = []] = await latencies([direct, served, proxied], 300 * seconds);
    const [, gatewayThread, proxyThread] = started as [Worker, Worker, Worker];
    const [p50, q50] = [quantile(a, 0.5), quantile(b, 0.5)];
    const added = q50 - p50;
    rows.push({
      name: "gateway added p50",
      value: added,
      unit: "ms",
      baseline: p50,
      ratio: added / p50,
      target: 0.3,
      met: added <= 0.3,
    });
    const hop = quantile(c, 0.5) - p50;
    rows.push({
      name: "bare proxy added p50",
      value: hop,
      unit: "ms",
      baseline: p50,
      ratio: hop / p50,
      target: 0.3,
      met: hop <= 0.3,
    });
    await throughput(served, 1);
    const bare = await throughput(proxied, seconds);
    const spent = await cpuOf(gatewayThread);
    const full = await throughput(served, seconds);
    const used = ((await cpuOf(gatewayThread)) - spent) / (full * seconds);
    const idle = await cpuOf(proxyThread);
    const again = await throughput(proxied, seconds);
    const least = ((await cpuOf(proxyThread)) - idle) / (again * seconds);
    rows.push({
      name: "gateway CPU a request",
      value: used,
      unit: "us",
      baseline: least,
      ratio: used / least,
      target: 250,
      met: used <= 250,
    });
    rows.push({
      name: "gateway throughput",
      value: full,
      unit: "1/s",
      baseline: bare,
      ratio: full / bare,
      target: 0.5,
      met: full / bare >= 0.5,
    });
    for (const worker of started) await worker.terminate();
    const rate = await receipts(node, seconds);
    const signs = bareSignatures(1);
    rows.push({
      name: "receipts on one core",
      value: rate,
      unit: "1/CPU-s",
      baseline: signs,
      ratio: rate / signs,
      target: 4000,
      met: rate >= 4000,
    });
  } finally {
    for (const worker of started) await worker.terminate();
    rmSync(dir, { recursive: true, force: true });
  }
  for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
}

if (isMainThread) await main();
else await play(workerData as Role);
