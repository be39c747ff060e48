import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CountersignError, type Hex, parseJson, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { checkSplitView, type FetchTile, formatVkey, openCheckpoint, type SplitView } from "@countersign/log";
import { createWitness, openWitnessStore } from "@countersign/log/write";
import { type ServerType, serve } from "@hono/node-server";
import type { AuditorConfig } from "./config.ts";
import { openKey, readIfThere, replaceFile } from "./durable.ts";
import { follow, splitViewOf } from "./follow.ts";
import { openMirror } from "./mirror.ts";
import { makeRoutes } from "./serve.ts";
import { openTally } from "./tally.ts";

/** A running auditor. */
export type Auditor = {
  readonly url: string;
  /** Public key of the monitor that signs snapshots, hex: for `Trust.monitors`. */
  readonly key: Hex;
  /** Verifier key of the witness (C2SP): for `Trust.witnesses`. */
  readonly witnessKey: string;
  /** Looks at the log now instead of at the next turn; never rejects, what went wrong is at /status. */
  readonly look: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const largestFile = 4 << 20;

/** Reads a log's files over HTTP. */
function fetchFrom(url: string, get: typeof fetch): FetchTile {
  return async (path) => {
    const fail = (why: string, cause?: unknown) =>
      new CountersignError("GATEWAY_UNREACHABLE", { message: `The log did not give ${path}.`, why, cause });
    let answer: Response;
    try {
      answer = await get(new URL(path, url), { redirect: "error", signal: AbortSignal.timeout(10_000) });
    } catch (cause) {
      throw fail("It does not answer.", cause);
    }
    if (!answer.ok) throw fail(`It answered ${answer.status}.`);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of answer.body ?? []) {
      length += part.length;
      // A full bundle of the largest entries is 16 MiB, of ours 56 KiB; more is an attempt to fill the memory.
      if (length > largestFile) throw fail("It sent too much.");
      parts.push(part);
    }
    return Buffer.concat(parts);
  };
}

/**
 * Starts an auditor: witness, mirror and monitor of one log, each with its own key.
 *
 * @throws CONFIG_INVALID, LOG_LOCKED while another process has the directory, LOG_CORRUPT for a damaged copy, PORT_IN_USE
 */
export async function startAuditor(
  config: AuditorConfig,
  world: { readonly now?: () => number; readonly fetch?: typeof fetch } = {},
): Promise<Auditor> {
  const now = world.now ?? Date.now;
  const { directory, log } = config;
  mkdirSync(directory, { recursive: true });
  // The lock comes first: two processes with one key would cosign two histories.
  const store = openWitnessStore(join(directory, "witness"));
  const closers: (() => void)[] = [store.close];
  try {
    const monitor = openKey(directory, "monitor");
    const splitFile = join(directory, "split-view.json");
    let split = readSplitView(splitFile, config);
    let fault: unknown;
    const keep = (evidence: SplitView) => {
      if (split) return;
      split = evidence;
      replaceFile(splitFile, `${JSON.stringify(evidence, null, 2)}\n`);
    };
    const witness = createWitness({
      name: config.name,
      signer: openKey(directory, "witness"),
      logs: [log.key],
      store,
      now,
      suite: nodeSuite,
      onSplitView: keep,
    });
    const mirror = openMirror(join(directory, "mirror"), (note) =>
      openCheckpoint(note, { log: log.key, suite: nodeSuite }),
    );
    closers.push(mirror.close);
    const tally = openTally(config.standing);
    for (const entry of mirror.entries()) tally.add(entry);
    const cosigned = () => store.read(log.key.name);
    const followed = follow({
      log: log.key,
      fetchTile: fetchFrom(log.url, world.fetch ?? fetch),
      mirror,
      tally,
      monitor,
      cosigned,
      now,
    });

    let looking: Promise<void> | undefined;
    // One look at a time: callers that come meanwhile share it.
    const look = (): Promise<void> => {
      if (split) return Promise.resolve();
      looking ??= followed
        .look()
        .then(
          () => {
            fault = undefined;
          },
          (error: unknown) => {
            fault = error;
            const evidence = splitViewOf(error);
            if (evidence) keep(evidence);
          },
        )
        .finally(() => {
          looking = undefined;
        });
      return looking;
    };

    const key = toHex(monitor.publicKey);
    const witnessKey = formatVkey(witness.key);
    const routes = makeRoutes({
      origin: log.key.name,
      key,
      witnessKey,
      followed,
      tally,
      splitView: () => split,
      fault: () => fault,
      cosigned,
      look,
      witness: witness.handle,
      now,
    });
    const { server, url } = await listen(routes.fetch, config.listen);
    const timer = config.every > 0 ? setInterval(() => void look(), config.every) : undefined;
    void look();
    return {
      url,
      key,
      witnessKey,
      look,
      async close() {
        clearInterval(timer);
        await new Promise((done) => {
          server.close(done);
          if ("closeAllConnections" in server) server.closeAllConnections();
        });
        await looking;
        for (const close of closers.toReversed()) close();
      },
    };
  } catch (error) {
    for (const close of closers.toReversed()) close();
    throw error;
  }
}

/** Evidence from an earlier run: a log that split once is not cosigned again because somebody restarted the process. */
function readSplitView(file: string, { log }: AuditorConfig): SplitView | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  const evidence = parseJson(text) as unknown as SplitView;
  const check = checkSplitView({ evidence, log: log.key, suite: nodeSuite });
  if (check.status === "ok") return evidence;
  throw new CountersignError("LOG_CORRUPT", {
    message: `The evidence in ${file} does not check against the configured log.`,
    why: check.reason,
    remedy: "Was the log's key changed in the configuration? One directory is for one log.",
  });
}

type Fetch = (request: Request) => Response | Promise<Response>;

function listen(handle: Fetch, { host, port }: AuditorConfig["listen"]): Promise<{ server: ServerType; url: string }> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: handle, hostname: host, port }, (address) => {
      const name = host.includes(":") ? `[${host}]` : host;
      resolve({ server, url: `http://${name}:${address.port}` });
    });
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === "EADDRINUSE";
      reject(
        new CountersignError(taken ? "PORT_IN_USE" : "INTERNAL", {
          message: taken ? `The port ${port} is taken.` : `The auditor cannot listen on ${host}:${port}.`,
          cause,
        }),
      );
    });
  });
}
