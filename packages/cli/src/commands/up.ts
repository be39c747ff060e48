import { join } from "node:path";
import { CountersignError } from "@countersign/core";
import type { Command } from "commander";
import { fetchDefaultWeights } from "../network/fetch-default.ts";
import { homeFolder } from "../network/home.ts";
import { forgetLocal, requireNoLocal, saveLocal } from "../network/local.ts";
import { type Checked, checkLevels, checkModels } from "../network/self-check.ts";
import { type Network, startNetwork, type Upstream } from "../network/start.ts";
import { note, paint, print, printable, progress, table } from "../terminal.ts";

const clip = (text: string, length: number) => {
  const line = printable(text.replaceAll("\n", " "));
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
};

/** The rows of a self-check as a table. */
export function showChecked(title: string, rows: readonly Checked[]): string {
  const outcome = (r: Checked) => (r.outcome === "met" ? paint("green", "met") : paint("red", r.outcome));
  return table(
    [title, "model", "verdict", "", "charged", "ms", "answer"],
    rows.map((r) => [
      r.name,
      r.model,
      outcome(r),
      r.development ? paint("yellow", "dev") : "",
      r.charged ?? "-",
      String(r.ms),
      clip(r.outcome === "error" ? `${r.code}: ${r.message}` : r.answer, 60),
    ]),
  );
}

/** Folder of the built page, in the source tree. */
export const pageFolder = (): string => join(import.meta.dirname, "..", "..", "..", "explorer", "dist");

/** Starts the network with a line of progress on standard error. */
export async function startWithProgress(options: {
  readonly port: number;
  readonly home?: string | undefined;
  readonly models?: readonly string[] | undefined;
  readonly trustFile?: string | undefined;
  readonly upstream?: Upstream | undefined;
  /** Whether a simulated enclave is started; true by default. */
  readonly enclave?: boolean | undefined;
  /** Whether weights that are not here may be fetched; true by default. */
  readonly fetch?: boolean | undefined;
}): Promise<Network> {
  if (options.models === undefined && options.fetch !== false) await fetchDefaultWeights(homeFolder(options.home));
  const bar = progress("Starting", "steps");
  const started = performance.now();
  let steps = 0;
  try {
    const network = await startNetwork({
      home: homeFolder(options.home),
      port: options.port,
      models: options.models,
      trustFile: options.trustFile,
      upstream: options.upstream,
      enclave: options.enclave,
      page: pageFolder(),
      onStep: (step) => {
        steps++;
        bar.update(steps, undefined);
        if (process.stderr.isTTY !== true) note(`starting: ${step}`);
      },
      onEnd: (child, why) =>
        note(
          `${paint("red", "lost", process.stderr)} the ${child} process: ${why}. Its output is in the run's logs folder.`,
        ),
    });
    bar.end();
    note(`Started in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    return network;
  } finally {
    bar.end();
  }
}

const portOf = (text: string): number => {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new CountersignError("COMMAND_MISUSED", { message: `"${text}" is not a port.` });
};

/** The status view of a running network. */
export function showNetwork(network: Network): string {
  const processes = network.children.map((c) => [
    c.name,
    c.ended() ?? paint("green", "up"),
    String(c.pid),
    String(c.ready.url ?? ""),
  ]);
  return [
    paint(["black", "bgYellow"], " DEVELOPMENT NETWORK "),
    "A local chain, test tokens and keys that live until Ctrl-C. Nothing signed here is worth anything elsewhere,",
    "and no default trust accepts it: every check must name the trust file and say --allow-development.",
    "",
    table(["process", "", "pid", "address"], [["chain", paint("green", "up"), "", network.chain.url], ...processes]),
    "",
    network.page ? `page      ${network.gatewayUrl}/` : "page      not built here: npm run page, then start again",
    `OpenAI    ${network.gatewayUrl}/v1   (paid: use the SDK's fetch, or countersign chat)`,
    `network   eip155:${network.chain.chainId}, tUSD at ${network.chain.token}`,
    `wallet    ${network.walletAddress} holds test tokens: countersign chat --local pays with it`,
    `trust     ${network.trustFile}`,
    ...(network.enclave
      ? [
          `enclave   SIMULATED (${network.enclave.tier}), holds ${network.enclave.models.join(", ")}: it proves nothing about hardware`,
          ...(network.enclave.missing === null ? [] : [`          ${printable(network.enclave.missing)}`]),
        ]
      : []),
    ...(network.absent.length > 0
      ? [`absent    ${network.absent.join(", ")}: fetch with  countersign models pull ${network.absent[0]}`]
      : []),
  ].join("\n");
}

type UpOptions = {
  readonly port: string;
  readonly home?: string;
  readonly trustFile: string;
  readonly models?: string;
  readonly upstream?: string;
  readonly upstreamModel?: string;
  readonly enclave: boolean;
  readonly fetch: boolean;
  readonly check: boolean;
};

/** The upstream that was named, both parts of it or none. @throws COMMAND_MISUSED */
function upstreamOf({ upstream, upstreamModel }: UpOptions): Upstream | undefined {
  if (upstream === undefined && upstreamModel === undefined) return undefined;
  if (upstream !== undefined && upstreamModel !== undefined) return { url: upstream, model: upstreamModel };
  throw new CountersignError("COMMAND_MISUSED", { message: "--upstream and --upstream-model belong together." });
}

export function upCommand(program: Command): void {
  program
    .command("up")
    .summary("start a whole network on this machine")
    .description(
      "Starts chain, node, auditor and gateway on this machine, checks one paid inference per level, and serves until Ctrl-C.",
    )
    .option("--port <port>", "port of the gateway", "4402")
    .option("--home <folder>", "where weights are kept and runs live (default: .countersign here)")
    .option("--trust-file <file>", "where to write the trust file of this run", "trust.dev.json")
    .option("--models <names>", "only these models, by comma")
    .option(
      "--upstream <url>",
      "sell the answers of an OpenAI-compatible server too, at the level origin: its base URL, ending in /v1",
    )
    .option("--upstream-model <name>", "the model's name there; its key comes from COUNTERSIGN_UPSTREAM_KEY")
    .option("--no-enclave", "start no simulated enclave")
    .option("--no-fetch", "do not fetch weights that are not here")
    .option("--no-check", "skip the self-check")
    .action(async (options: UpOptions) => {
      await requireNoLocal(homeFolder(options.home));
      // Heard from the first moment: a start that is interrupted tidies up as well.
      const ending = untilSignal();
      const network = await startWithProgress({
        port: portOf(options.port),
        home: options.home,
        models: options.models?.split(","),
        trustFile: options.trustFile,
        upstream: upstreamOf(options),
        enclave: options.enclave,
        fetch: options.fetch,
      });
      await saveLocal(homeFolder(options.home), network);
      print(showNetwork(network));
      let failed = false;
      const check = async () => {
        print();
        const levels = await checkLevels(network);
        print(showChecked("level", levels));
        print();
        const models = await checkModels(network);
        print(showChecked("job", models));
        failed = [...levels, ...models].some((r) => r.outcome !== "met");
        print();
        print(
          failed
            ? paint("red", "The self-check found failures, see above.")
            : paint("green", `Every answer was paid, receipted and met its policy under ${network.trustFile}.`),
        );
      };
      if (options.check) await Promise.race([check(), ending]);
      print(paint("dim", "\nServing. Ctrl-C stops everything."));
      await ending;
      note("Stopping.");
      await network.stop();
      await forgetLocal(homeFolder(options.home));
      process.exitCode = failed ? 2 : 0;
    });
}

/** Resolves when the user asks to stop. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
}
