import { createHash, timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import {
  attestationMediaType,
  CountersignError,
  type Envelope,
  type Hex,
  type NodeDescription,
  toBase64,
  toEnvelope,
  toHex,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { createAdaptorServer, serve } from "@hono/node-server";
import { Hono } from "hono";
import { checkRequest } from "./check-request.ts";
import { type NodeConfig, type NodeSecrets, parseNodeConfig } from "./config.ts";
import { deploy, isPresent } from "./deploy.ts";
import type { NodeEnclave } from "./enclave/attested.ts";
import { defaultEngineLimits, Engines } from "./engines/engines.ts";
import { type NodeContext, run, systemRandom } from "./run.ts";
import { RequestTags } from "./tags.ts";

/** Bytes of a job: 64 MiB of tensors in base64, twice. */
const mostBytes = 192 * 1024 * 1024;

/** A node that serves. */
export type RunningNode = {
  readonly url: string;
  /** Public key under which it signs. */
  readonly key: Hex;
  readonly context: NodeContext;
  readonly close: () => Promise<void>;
};

/** What a node says of itself besides what it serves. */
export type NodeFacts = {
  readonly operator: string;
  /** An enclave's comes later, and then from the enclave. */
  readonly registration: Envelope | undefined;
  readonly token: string;
};

const sameText = (a: string, b: string): boolean => {
  const digest = (t: string) => createHash("sha256").update(t).digest();
  return timingSafeEqual(digest(a), digest(b));
};

/** The HTTP application of a node: /describe, /check, /run, /status for its gateways, /healthz for everybody. */
export function nodeApp(context: NodeContext, facts: NodeFacts): Hono {
  const app = new Hono();
  const encoder = new TextEncoder();
  const fail = (error: unknown): Response => {
    const { status, body } = toEnvelope(error);
    return Response.json(body, { status });
  };
  app.onError(fail);
  app.notFound(() => fail(new CountersignError("ENDPOINT_UNKNOWN", { message: "There is nothing at this path." })));
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.use("*", async (c, next) => {
    const shown = /^Bearer (.+)$/.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
    if (!sameText(shown, facts.token))
      throw new CountersignError("UNAUTHENTICATED", { message: "This node works for its gateways alone." });
    await next();
  });
  app.get("/describe", async (c) => c.json(await describeNode(context, facts)));
  app.get("/status", (c) => c.json({ engines: statusOf(context) }));
  const { enclave } = context;
  if (enclave) addEnclaveRoutes(app, enclave);
  app.post("/check", async (c) => {
    requireRegistration(context, facts);
    checkRequest(await readJob(c.req.raw), context);
    return c.json({ ok: true });
  });
  app.post("/run", async (c) => {
    requireRegistration(context, facts);
    const job = await readJob(c.req.raw);
    const stop = new AbortController();
    const events = run(job, context, stop.signal);
    // A generator that nobody pulls from rests at its last piece: it must be sent home, or its request stays reserved.
    const leave = async () => {
      stop.abort();
      await events.return();
    };
    c.req.raw.signal.addEventListener("abort", () => void leave(), { once: true });
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await events.next();
        if (next.done) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`));
      },
      cancel: leave,
    });
    return new Response(body, { headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" } });
  });
  return app;
}

/** What an enclave answers besides: its document, and whoever holds the token may hand it its registration. */
function addEnclaveRoutes(app: Hono, enclave: NodeEnclave): void {
  app.get("/attestation", async (c) => {
    const nonce = c.req.query("nonce");
    if (nonce !== undefined && !/^[0-9a-f]{64}$/.test(nonce))
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: "A nonce is 64 lowercase hexadecimal digits.",
        param: "nonce",
      });
    const bytes = nonce === undefined ? enclave.current().attestation : await enclave.attest(nonce);
    return new Response(Uint8Array.from(bytes), {
      headers: { "content-type": attestationMediaType, "cache-control": "no-store" },
    });
  });
  app.put("/registration", async (c) => {
    await enclave.register(await readJob(c.req.raw));
    return c.json({ ok: true });
  });
}

/** The registration of the key that signs. @throws NODE_NOT_ATTESTED while an enclave has none, or no fresh document */
function requireRegistration(context: NodeContext, facts: Omit<NodeFacts, "token">): Envelope {
  context.enclave?.current();
  const registration = context.enclave ? context.enclave.registration() : facts.registration;
  if (registration) return registration;
  throw new CountersignError("NODE_NOT_ATTESTED", {
    message: "The enclave's key has no registration yet.",
    why: "Its keys were born when it started, so no registrar could know them before.",
    remedy: "Register it: countersign node register",
  });
}

/** An engine's last words may quote a request: where requests come sealed they stay inside. */
const statusOf = ({ engines, channel }: NodeContext) =>
  engines.status().map((one) => (channel && one.lastFailure !== null ? { ...one, lastFailure: "kept back" } : one));

async function readJob(request: Request): Promise<unknown> {
  if (Number(request.headers.get("content-length") ?? 0) > mostBytes)
    throw new CountersignError("REQUEST_TOO_LARGE", { message: `A job has at most ${mostBytes} bytes.` });
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > mostBytes)
      throw new CountersignError("REQUEST_TOO_LARGE", { message: `A job has at most ${mostBytes} bytes.` });
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (cause) {
    throw new CountersignError("REQUEST_MALFORMED", { message: "The job is not JSON text.", cause });
  }
}

/** What a node says of itself to its gateways. */
export async function describeNode(context: NodeContext, facts: Omit<NodeFacts, "token">): Promise<NodeDescription> {
  const registration = requireRegistration(context, facts);
  const deployments = await Promise.all(
    context.served.map(async ({ envelope, manifest, about, engine }) => ({
      deployment: envelope,
      manifest: manifest.envelope,
      about,
      ...(engine.kind === "onnx" && { tensors: { inputs: engine.inputs, outputs: engine.outputs } }),
      ready: await isPresent(engine),
    })),
  );
  return {
    key: context.key,
    operator: facts.operator,
    registration,
    ...(context.enclave && { attestation: toBase64(context.enclave.current().attestation) }),
    deployments,
  };
}

/** Serves a node that is put together already; `startNode` puts one together from its configuration. */
export async function serveNode(
  context: NodeContext,
  facts: NodeFacts,
  where: {
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    /** A unix socket instead of a port: what an enclave without a network listens on. */
    readonly path?: string | undefined;
  } = {},
): Promise<RunningNode> {
  const hostname = where.host ?? "127.0.0.1";
  const { fetch } = nodeApp(context, facts);
  const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
    const made =
      where.path === undefined
        ? serve({ fetch, hostname, port: where.port ?? 0 }, () => resolve(made))
        : createAdaptorServer({ fetch }).listen(where.path, () => resolve(made));
    made.on("error", (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === "EADDRINUSE"
          ? new CountersignError("PORT_IN_USE", { message: `Port ${where.port} is taken by another process.`, cause })
          : cause,
      ),
    );
  });
  const address = server.address() as AddressInfo | string;
  return {
    url:
      typeof address === "string"
        ? `unix:${address}`
        : `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${address.port}`,
    key: context.key,
    context,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
      await context.engines.close();
    },
  };
}

/**
 * Starts a node: deployments in force, HTTP on loopback, engines on demand.
 *
 * @throws CONFIG_INVALID, MODEL_UNKNOWN, MANIFEST_SIGNATURE_INVALID, STORE_CORRUPT, PORT_IN_USE
 */
export async function startNode(
  given: NodeConfig,
  { seed, token }: NodeSecrets,
  options: {
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly now?: () => number;
    /** The enclave that this process is; `seed` is then its receipt key's. */
    readonly enclave?: NodeEnclave;
    /** A unix socket to listen on instead of a port. */
    readonly path?: string;
  } = {},
): Promise<RunningNode> {
  const config = parseNodeConfig(given);
  if (token.length < 16)
    throw new CountersignError("CONFIG_INVALID", { message: "The token needs at least 16 characters." });
  const { now = Date.now, env = process.env, enclave } = options;
  if (!enclave && !config.registration)
    throw new CountersignError("CONFIG_INVALID", { message: "A node outside an enclave needs its registration." });
  const signer = ed25519Signer(seed);
  const key = toHex(signer.publicKey);
  const served = [];
  for (const deployment of config.deployments)
    served.push(
      await deploy(deployment, { config, signer, key, suite: nodeSuite, env, attested: options.enclave !== undefined }),
    );
  const ids = served.map((s) => s.deployment.id);
  if (new Set(ids).size !== ids.length)
    throw new CountersignError("CONFIG_INVALID", { message: "Two deployments have the same id." });
  const limits = config.engines ?? {};
  const engines = new Engines({
    memory: limits.memory ?? defaultEngineLimits.memory,
    queue: limits.queue ?? defaultEngineLimits.queue,
    threads: limits.threads ?? defaultEngineLimits.threads,
  });
  const context: NodeContext = {
    key,
    network: config.network,
    gateways: config.gateways,
    served,
    suite: nodeSuite,
    now,
    random: systemRandom,
    signer,
    // Read at each run: an enclave's registration comes while it serves, and may be renewed.
    get keys() {
      const registration = enclave ? enclave.registration() : config.registration;
      return registration ? [registration] : [];
    },
    ...(enclave && { enclave }),
    engines,
    tags: await RequestTags.open(`${config.state}/request-tags.txt`, now()),
    // As well: each keyset has a key of its own.
    get channel() {
      return enclave?.channel();
    },
    runLimit: config.runLimit ?? 300_000,
  };
  const node = await serveNode(
    context,
    { operator: config.operator, registration: config.registration, token },
    { ...config, path: options.path },
  );
  for (const id of config.preload ?? []) void preload(context, id);
  return node;
}

async function preload({ served, engines }: NodeContext, id: string): Promise<void> {
  const engine = served.find((s) => s.deployment.id === id)?.engine;
  if (!engine || engine.kind === "upstream") return;
  const loading = engine.kind === "llama" ? engines.loadLanguage(engine) : engines.loadTensors();
  // A failure is told to whoever asks for the model, and stands in /status.
  await loading.catch(() => undefined);
}
