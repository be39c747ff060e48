import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CountersignError, type Receipt, readRun } from "@countersign/core";
import { ed25519Signer, generateSeed } from "@countersign/core/node";
import { defaultModels, Engines, type Replay, registerModel, replayReceipt } from "@countersign/node";
import type { Command } from "commander";
import { readReceipt } from "../files.ts";
import { homeFolder, weightsFolder } from "../network/home.ts";
import { readLocal } from "../network/local.ts";
import { tellReplay } from "../network/tell-replay.ts";
import { findSpec } from "../network/weights.ts";
import { note, paint, print, printable, printJson, table } from "../terminal.ts";

type Options = {
  readonly catalogue?: string;
  readonly local?: boolean;
  readonly home?: string;
  readonly json?: boolean;
};

const exits = { same: 0, different: 1, "not-comparable": 2 } as const;

const signs = {
  same: () => paint(["green", "bold"], "SAME"),
  different: () => paint(["red", "bold"], "DIFFERENT"),
  "not-comparable": () => paint(["yellow", "bold"], "NOT COMPARABLE"),
} as const;

/** Runs `work` with the catalogue that was named, or with one made of the models that this project knows. */
async function withCatalogue<T>(
  { catalogue, local, home }: Options,
  model: string,
  work: (catalogue: string) => Promise<T>,
): Promise<T> {
  if (catalogue !== undefined && local)
    throw new CountersignError("COMMAND_MISUSED", { message: "Give --catalogue or --local, not both." });
  if (catalogue !== undefined) return work(catalogue);
  if (local) return work((await readLocal(homeFolder(home))).catalogue);
  const scratch = await mkdtemp(join(tmpdir(), "countersign-replay-"));
  try {
    // Under a publisher of the moment: a manifest's digest covers its content, not who signed it.
    const publisher = ed25519Signer(generateSeed());
    const known = defaultModels(weightsFolder(homeFolder(home))).find((m) => m.id === model);
    if (known) await registerModel(scratch, known, publisher);
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function replay(receipt: Receipt, options: Options): Promise<Replay> {
  const { predicate } = readRun(receipt.statement);
  const engines = new Engines();
  try {
    return await withCatalogue(options, predicate.model.id, (catalogue) =>
      replayReceipt({ receipt, models: (manifest) => findSpec(catalogue, manifest), engines }),
    );
  } finally {
    await engines.close();
  }
}

/** A replay for people: the finding, where it first differs, and what it does not say. */
export function showReplay(found: Replay, model: string): string {
  const rows = found.profileDifferences.map((d) => [d.setting, printable(d.recorded), printable(d.here)]);
  return [
    `${signs[found.status]()} ${printable(model)}: ${printable(tellReplay(found))}${found.code ? ` (${found.code})` : ""}.`,
    ...(rows.length > 0 ? ["", table(["setting", "in the receipt", "here"], rows)] : []),
    paint(
      "dim",
      found.input === "not-checked"
        ? "The recorded model input was run as it stands: that it follows from the request was not checked here."
        : "The request was rendered again as well.",
    ),
  ].join("\n");
}

export function replayCommand(program: Command): void {
  program
    .command("replay")
    .summary("run an open model again and compare with the receipt")
    .description(
      "Runs the recorded inference again on this machine, in the recorded execution profile, and compares token by token. Exit 0 same, 1 different, 2 not comparable.",
    )
    .argument("<receipt>", 'your own complete copy, as the SDK or countersign chat keeps it; "-" for standard input')
    .option(
      "--catalogue <folder>",
      "catalogue with the model's weights; default: the models that come with this project",
    )
    .option("--local", "catalogue of the network that countersign up runs here")
    .option("--home <folder>", "where weights are kept and runs live (default: .countersign here)")
    .option("--json", "print the finding as JSON")
    .action(async (file: string, options: Options) => {
      const receipt = await readReceipt(file);
      const { predicate } = readRun(receipt.statement);
      const found = await replay(receipt, options);
      if (options.json) printJson({ model: predicate.model, ...found });
      else {
        print(showReplay(found, predicate.model.id));
        note(paint("dim", "A replay reads no signature: countersign verify says who signed this.", process.stderr));
      }
      process.exitCode = exits[found.status];
    });
}
