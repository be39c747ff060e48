import type { Command } from "commander";
import type { Fraud } from "../network/frauds/fraud.ts";
import { groundOf, groundOfLocal } from "../network/frauds/ground.ts";
import { playFrauds } from "../network/frauds/play.ts";
import { homeFolder } from "../network/home.ts";
import { readLocal } from "../network/local.ts";
import { type Checked, checkLevels, checkModels } from "../network/self-check.ts";
import type { Network } from "../network/start.ts";
import { note, paint, print, printable, printJson, table } from "../terminal.ts";
import { showChecked, startWithProgress } from "./up.ts";

type Options = { readonly json?: boolean; readonly home?: string; readonly local?: boolean };

/** Frauds as a table, and under it what happened in each. */
export function showFrauds(frauds: readonly Fraud[]): string {
  const rows = frauds.map((f) => [
    f.name,
    f.held ? paint("green", "caught") : paint("red", "NOT AS EXPECTED"),
    f.caught ?? "nothing",
    printable(f.by),
  ]);
  const told = frauds.map((f) => `${paint("bold", f.name)}: ${printable(f.what)}.\n  ${printable(f.detail)}`);
  return [table(["fraud", "", "by what", "who lies"], rows), "", ...told].join("\n");
}

const started = () => {
  const start = performance.now();
  return () => Math.round(performance.now() - start);
};

/** Starts a network on free ports for as long as `work` takes. */
async function withNetwork<T>(options: Options, work: (network: Network) => Promise<T>): Promise<T> {
  const network = await startWithProgress({ port: 0, home: options.home });
  const stop = () => void network.stop().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    return await work(network);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await network.stop();
  }
}

async function demo(options: Options): Promise<void> {
  const ms = started();
  const show = options.json ? () => undefined : print;
  const { level, models, frauds } = await withNetwork(options, async (network) => {
    const level = await checkLevels(network);
    show(showChecked("level", level));
    show();
    const models = await checkModels(network);
    show(showChecked("job", models));
    show();
    const frauds = await playFrauds(groundOf(network), (f) => note(`played ${f.name}`));
    show(showFrauds(frauds));
    return { level, models, frauds };
  });
  if (options.json) printJson({ ready: true, level, models, frauds, ms: ms() });
  conclude(level, models, frauds, options);
}

async function demoFrauds(options: Options): Promise<void> {
  const ms = started();
  const onDone = (f: Fraud) => note(`played ${f.name}`);
  const local = options.local ? await readLocal(homeFolder(options.home)) : undefined;
  const frauds = local
    ? await playFrauds(await groundOfLocal(local), onDone)
    : await withNetwork(options, (network) => playFrauds(groundOf(network), onDone));
  if (options.json) printJson({ ready: true, frauds, ms: ms() });
  else print(showFrauds(frauds));
  conclude([], [], frauds, options);
}

function conclude(
  level: readonly Checked[],
  models: readonly Checked[],
  frauds: readonly Fraud[],
  { json }: Options,
): void {
  const unmet = [...level, ...models].filter((c) => c.outcome !== "met");
  const missed = frauds.filter((f) => !f.held);
  const held = unmet.length === 0 && missed.length === 0;
  if (!json) {
    print();
    const fault = [...unmet.map((c) => `${c.name} ${c.model}`), ...missed.map((f) => f.name)].join(", ");
    print(held ? paint("green", "Everything held.") : paint("red", `Not as it should be: ${fault}.`));
  }
  process.exitCode = held ? 0 : 2;
}

export function demoCommand(program: Command): void {
  const command = program
    .command("demo")
    .summary("show what holds: every level, every model, every fraud")
    .description(
      "Starts a network, pays one checked inference per level and per model, plays every fraud against it, and stops. Exit 0 only if everything held.",
    )
    .option("--json", "print one JSON object: ready, level[], models[], frauds[], ms")
    .option("--home <folder>", "where weights are kept and runs live (default: .countersign here)")
    .action((options: Options) => demo(options));
  command
    .command("frauds")
    .summary("play only the frauds")
    .description("Plays the frauds against a network that it starts, or with --local against the one that runs here.")
    .option("--json", "print one JSON object")
    .option("--home <folder>", "where weights are kept and runs live (default: .countersign here)")
    .option("--local", "against the network that countersign up runs here")
    .action((_: Options, sub: Command) => demoFrauds(sub.optsWithGlobals()));
}
