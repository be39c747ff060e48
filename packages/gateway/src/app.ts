import { randomUUID } from "node:crypto";
import {
  attestationMediaType,
  CountersignError,
  type EndpointPath,
  endpoints,
  type Hex,
  parseJsonBytes,
  toEnvelope,
} from "@countersign/core";
import { formatVkey } from "@countersign/log";
import { serveLog } from "@countersign/log/write";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { nearNames } from "./catalogue.ts";
import { sendError } from "./delivery.ts";
import type { Deps } from "./deps.ts";
import { corsHeaders, openExchange } from "./exchange.ts";
import { readPage } from "./explorer.ts";
import { streamEntries, streamProgress } from "./feed.ts";
import { describeModelWhole, listModels } from "./models.ts";
import { shareSearches } from "./monitors.ts";
import { readByRoot, readReceiptNow } from "./receipt-store.ts";
import { takeMeasurement, takeRegistration } from "./registrations.ts";
import { serveInference } from "./serve-inference.ts";
import { openStats, readEntries } from "./stats.ts";

type Env = { Bindings: HttpBindings };

/** What is told about the network; information only, nothing that a verifier believes. */
export type NetworkFacts = {
  readonly chainRpc: string | null;
  readonly explorerDir: string | null;
};

const paths = Object.keys(endpoints) as EndpointPath[];
const get = [
  "/v1/models",
  "/v1/receipts/:receiptId",
  "/v1/stats",
  "/v1/network",
  "/v1/log/entries",
  "/log/checkpoint",
  "/healthz",
];

/** The whole HTTP surface over its parts; whoever composes other parts gets another gateway, and answers for it. */
export function createApp(deps: Deps, facts: NetworkFacts = { chainRpc: null, explorerDir: null }): Hono<Env> {
  const app = new Hono<Env>();
  let running = 0;
  const intake = { held: 0, most: 64 * deps.limits.bodyBytes };

  app.use(async (c, next) => {
    if (c.req.method === "OPTIONS") return c.body(null, 204, corsHeaders);
    await next();
    if (c.res === RESPONSE_ALREADY_SENT) return;
    for (const [name, value] of Object.entries(corsHeaders)) c.res.headers.set(name, value);
    c.res.headers.set("x-request-id", randomUUID());
  });

  for (const path of paths) {
    app.post(path, async (c) => {
      const exchange = openExchange(c.env.incoming, c.env.outgoing, intake);
      try {
        const missing = deps.missing();
        if (missing.length > 0) throw notReady(missing);
        // Read before a place is taken: a sender of one byte a second would hold a place that others run in.
        const body = await exchange.readBody(deps.limits.bodyBytes);
        if (running >= deps.limits.concurrent) throw tooMany(deps.limits.concurrent);
        running++;
        try {
          await serveInference(deps, { ...exchange, readBody: async () => body }, path);
        } finally {
          running--;
        }
      } catch (error) {
        const known = CountersignError.is(error);
        if (!known) deps.onFault(error);
        deps.refusals.count(known ? error.code : "INTERNAL");
        if (!c.env.outgoing.writableEnded && !c.env.outgoing.destroyed) await sendError(exchange, error);
      }
      return RESPONSE_ALREADY_SENT;
    });
  }

  addModels(app, deps);
  addAttestations(app, deps);
  const streamed = limitStreams();
  addReceipts(app, { ...deps, monitors: shareSearches(deps.monitors) }, streamed);
  addLog(app, deps, streamed);
  addNetwork(app, deps, facts);

  const { explorerDir } = facts;
  if (explorerDir !== null) {
    app.get("/", () => readPage(explorerDir, "/"));
    app.get("/assets/*", (c) => readPage(explorerDir, c.req.path));
    app.get("/:file{[a-z0-9.-]+\\.[a-z0-9]+}", (c) => readPage(explorerDir, c.req.path));
  }

  app.notFound((c) => {
    const known = [...paths, ...get].find((p) => p === c.req.path);
    const near = nearNames(c.req.path, [...paths, ...get]);
    return answerError(
      c,
      known
        ? new CountersignError("METHOD_NOT_ALLOWED", {
            message: `${c.req.path} does not take ${c.req.method}.`,
            remedy: (paths as string[]).includes(known) ? "Use POST." : "Use GET.",
          })
        : new CountersignError("ENDPOINT_UNKNOWN", {
            message: `There is nothing at ${c.req.path}.`,
            remedy: near.length > 0 ? `Near paths: ${near.join(", ")}.` : undefined,
          }),
    );
  });
  app.onError((error, c) => {
    if (!CountersignError.is(error)) deps.onFault(error);
    return answerError(c, error);
  });
  return app;
}

function answerError(c: Context, error: unknown): Response {
  const { status, body } = toEnvelope(error);
  return c.json(body, status as 400, { "cache-control": "no-store" });
}

const notReady = (missing: readonly string[]) =>
  new CountersignError("NOT_READY", {
    message: "The gateway is not ready to sell anything.",
    why: `Missing: ${missing.join("; ")}.`,
    remedy: "Ask again in a moment.",
  });

const tooMany = (limit: number) =>
  new CountersignError("RATE_LIMITED", {
    message: `${limit} are under way; more are not taken.`,
    remedy: "Ask again in a moment.",
  });

function addModels(app: Hono<Env>, deps: Deps): void {
  app.get("/v1/models", (c) => c.json({ object: "list", data: listModels(deps.catalogue.served()) }));
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    const served = deps.catalogue.served();
    const found = served.filter((s) => s.deployment.model.id === id);
    if (found.length > 0) return c.json(describeModelWhole(found));
    const near = nearNames(
      id,
      served.map((s) => s.deployment.model.id),
    );
    throw new CountersignError("MODEL_UNKNOWN", {
      message: `No deployment serves a model named "${id}".`,
      remedy: near.length > 0 ? `Near names: ${near.join(", ")}.` : undefined,
      facts: { near },
    });
  });
}

/** The largest bodies that anybody may have read without paying: reading one keeps everybody else waiting. */
const mostBytes = { registration: 4 << 20, measurement: 1 << 17 } as const;

async function readSmall(c: Context, most: number): Promise<unknown> {
  const exchange = openExchange((c.env as HttpBindings).incoming, (c.env as HttpBindings).outgoing);
  return parseJsonBytes(await exchange.readBody(most));
}

function addAttestations(app: Hono<Env>, deps: Deps): void {
  app.get("/v1/nodes/attestation", async (c) => {
    const model = c.req.query("model");
    const nonce = c.req.query("nonce");
    if (model === undefined || nonce === undefined || !/^[0-9a-f]{64}$/.test(nonce)) {
      throw new CountersignError("REQUEST_FIELD_INVALID", {
        message: "Name a model and a nonce of 64 lowercase hexadecimal digits.",
        param: model === undefined ? "model" : "nonce",
      });
    }
    return c.json(await deps.challenge(model, nonce), 200, { "cache-control": "no-store" });
  });
  app.get("/v1/attestations/:digest", async (c) => {
    const digest = c.req.param("digest");
    const bytes = /^[0-9a-f]{64}$/.test(digest) ? await deps.attestations.get(digest) : undefined;
    if (bytes) return c.body(new Uint8Array(bytes), 200, { "content-type": attestationMediaType });
    throw new CountersignError("TEE_EVIDENCE_MISSING", { message: "No attestation of this digest is kept here." });
  });
  app.post("/v1/registrations", async (c) =>
    c.json(await takeRegistration(deps, await readSmall(c, mostBytes.registration)), 201),
  );
  app.post("/v1/measurements", async (c) =>
    c.json(await takeMeasurement(deps, await readSmall(c, mostBytes.measurement)), 201),
  );
}

const hexParam = (text: string): Hex => {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new CountersignError("RECEIPT_NOT_FOUND", {
    message: "There is no receipt with this id.",
    why: "An id has 64 lowercase hexadecimal digits.",
  });
};

/** Event streams at once, of all kinds. */
const mostStreams = 1024;

/** Opens event streams, up to a number; a HEAD would open one that nobody reads, for ever. */
function limitStreams(): (c: Context, open: () => Response) => Response {
  let streams = 0;
  return (c, open) => {
    if (c.req.method === "HEAD") {
      throw new CountersignError("METHOD_NOT_ALLOWED", { message: "Events are read with GET.", remedy: "Use GET." });
    }
    if (streams >= mostStreams) throw tooMany(mostStreams);
    const { outgoing } = c.env as HttpBindings;
    if (!outgoing.destroyed) {
      streams++;
      outgoing.once("close", () => streams--);
    }
    return open();
  };
}

function addReceipts(app: Hono<Env>, deps: Deps, streamed: ReturnType<typeof limitStreams>): void {
  app.get("/v1/receipts/by-root/:root", async (c) => c.json(await readByRoot(deps, hexParam(c.req.param("root")))));
  app.get("/v1/receipts/:id/events", async (c) => {
    const id = hexParam(c.req.param("id"));
    await readReceiptNow(deps, id);
    return streamed(c, () => streamProgress(c, deps, id));
  });
  app.get("/v1/receipts/:id", async (c) => {
    const { receipt } = await readReceiptNow(deps, hexParam(c.req.param("id")));
    return c.json({ receipt }, 200, { "cache-control": "no-store" });
  });
}

const numberParam = (text: string | undefined, fallback: number, most: number, name: string): number => {
  if (text === undefined) return fallback;
  if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Math.min(Number(text), most);
  throw new CountersignError("REQUEST_FIELD_INVALID", { message: `${name} must be a whole number.`, param: name });
};

function addLog(app: Hono<Env>, deps: Deps, streamed: ReturnType<typeof limitStreams>): void {
  const files = serveLog({ fetchTile: deps.log.writer.fetchTile, prefix: "/log/" });
  const stats = openStats(deps.log.writer);
  app.get("/log/checkpoint", (c) => files(c.req.raw));
  app.get("/log/tile/*", (c) => files(c.req.raw));
  app.get("/log/proof/:index", async (c) => {
    const proof = await deps.log.prove(numberParam(c.req.param("index"), 0, Number.MAX_SAFE_INTEGER, "index"));
    if (proof !== undefined) return c.text(proof);
    throw new CountersignError("INCLUSION_MISSING", { message: "No published checkpoint covers this index yet." });
  });
  app.get("/v1/log/entries", async (c) => {
    const from = numberParam(c.req.query("from"), 0, Number.MAX_SAFE_INTEGER, "from");
    const items = await readEntries(deps.log.writer, from, numberParam(c.req.query("count"), 64, 1024, "count"));
    return c.json({ entries: items.map(({ index, entry, bytes }) => ({ index, ...entry, bytes })) });
  });
  app.get("/v1/log/events", (c) => {
    const from = c.req.query("from") ?? c.req.header("last-event-id");
    const first = from === undefined ? undefined : numberParam(from, 0, Number.MAX_SAFE_INTEGER, "from");
    return streamed(c, () => streamEntries(c, deps, first));
  });
  app.get("/v1/stats", async (c) => c.json(await stats.read()));
}

function addNetwork(app: Hono<Env>, deps: Deps, facts: NetworkFacts): void {
  app.get("/v1/network", (c) => {
    const { identity, terms, log, trust } = deps;
    return c.json({
      network: identity.network,
      chainRpc: facts.chainRpc,
      token: { ...terms.token, payTo: terms.payTo },
      gateway: { key: identity.key, operator: identity.operator, registration: identity.registration },
      log: { origin: log.origin, vkey: formatVkey(log.writer.key), witnesses: log.witnesses },
      auditors: deps.monitors.urls,
      // Where nodes live is between them and the gateway: neither addresses nor messages that hold them.
      nodes: deps.catalogue.nodes().map(({ state, key, operator, faults }) => ({
        state,
        key,
        operator,
        faults: faults.map(({ code }) => ({ code })),
      })),
      development: trust.development,
      refusals: deps.refusals.recent(),
    });
  });
  // Only a development trust is handed out: that of a real network must not come from the one it is about.
  app.get("/trust.dev.json", (c, next) => (deps.trust.development ? c.json(deps.trust) : next()));
  app.get("/healthz", (c) => {
    const missing = deps.missing();
    return c.json({ ready: missing.length === 0, missing }, missing.length === 0 ? 200 : 503);
  });
}
