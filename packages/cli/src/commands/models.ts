import { existsSync } from "node:fs";
import { join } from "node:path";
import { CountersignError } from "@countersign/core";
import { defaultModels, fetchWeights, smollm2 } from "@countersign/node";
import { listModels, showModel, verifyModel } from "@countersign/registry";
import type { Command } from "commander";
import { type ConnectOptions, connect, connectable } from "../connect.ts";
import { homeFolder, weightsFolder } from "../network/home.ts";
import { readLocal } from "../network/local.ts";
import { addFile } from "../network/publish.ts";
import { note, paint, print, printJson, progress, table } from "../terminal.ts";

type Place = { readonly home?: string; readonly catalogue?: string; readonly json?: boolean };

/** The catalogue that was named, or the running local network's. */
async function catalogueOf(options: Place): Promise<string> {
  return options.catalogue ?? (await readLocal(homeFolder(options.home))).catalogue;
}

const placed = (command: Command) =>
  command
    .option("--catalogue <folder>", "catalogue of models (default: the running local network's)")
    .option("--home <folder>", "home folder (default: .countersign here)")
    .option("--json", "print JSON");

export function modelsCommand(program: Command): void {
  const models = program.command("models").summary("models as content-addressed, signed manifests");

  connectable(
    models
      .command("offered")
      .description("What a gateway serves: digests, levels, prices.")
      .option("--json", "print JSON"),
  ).action(async (options: ConnectOptions & { json?: boolean }) => {
    const { client } = await connect(options);
    const list = await client.models();
    if (options.json) return printJson(list);
    const rows = list.map((m) => {
      const c = (m.countersign ?? {}) as {
        digest?: string;
        levels?: readonly string[];
        tasks?: readonly string[];
        price?: { base?: string; perOutputToken?: string };
      };
      return [
        String(m.id),
        c.digest?.slice(0, 16) ?? "",
        (c.levels ?? []).join(", "),
        (c.tasks ?? []).join(", "),
        `${c.price?.base ?? "?"} + ${c.price?.perOutputToken ?? "0"}/token`,
      ];
    });
    print(table(["model", "digest", "levels", "tasks", "price"], rows));
  });

  placed(models.command("list").description("Models that this project knows, and those of a catalogue.")).action(
    async (options: Place) => {
      const weights = weightsFolder(homeFolder(options.home));
      const known = await Promise.all(
        defaultModels(weights).map(async (m) => {
          const files = await m.files().catch(() => []);
          const present = await Promise.all(files.map((f) => !("path" in f) || existsSync(f.path)));
          return {
            id: m.id,
            job: m.facts.job,
            title: m.facts.title,
            licence: m.facts.licence,
            here: present.length > 0 && present.every(Boolean),
          };
        }),
      );
      const registered = await catalogueOf(options).then(listModels, () => []);
      if (options.json)
        return printJson({ known, registered: registered.map((r) => ({ id: r.manifest.name, digest: r.digest })) });
      print(
        table(
          ["model", "job", "weights", "licence"],
          known.map((k) => [k.id, k.job, k.here ? paint("green", "here") : paint("yellow", "absent"), k.licence]),
        ),
      );
      if (registered.length > 0) {
        print();
        print(
          table(
            ["registered", "digest"],
            registered.map((r) => [r.manifest.name, r.digest]),
          ),
        );
      }
    },
  );

  placed(models.command("show").description("A model's manifest.").argument("<name>")).action(
    async (name: string, options: Place) => {
      const { manifest, digest } = await showModel(await catalogueOf(options), name);
      if (options.json) return printJson({ digest, manifest });
      print(`${manifest.name}  ${digest}`);
      print(JSON.stringify(manifest.predicate, null, 2));
    },
  );

  placed(
    models
      .command("verify")
      .description("Hashes a registered model's files again and compares them with its manifest.")
      .argument("<name>"),
  ).action(async (name: string, options: Place) => {
    const files = await verifyModel(await catalogueOf(options), name);
    if (options.json) printJson(files);
    else
      print(
        table(
          ["file", "", "expected", "found"],
          files.map((f) => [
            f.name,
            f.status === "same" ? paint("green", "same") : paint("red", f.status),
            f.expected.slice(0, 16),
            f.found?.slice(0, 16) ?? "-",
          ]),
        ),
      );
    process.exitCode = files.every((f) => f.status === "same") ? 0 : 1;
  });

  placed(
    models
      .command("add")
      .description("Registers a GGUF file of your own in a catalogue: hashed, chunked, signed by your publisher key.")
      .argument("<file>")
      .requiredOption("--name <name>", "name of the model")
      .requiredOption("--licence <text>", "licence of the weights")
      .option("--key-file <file>", "publisher seed, 64 hex digits; made when it is not there", "publisher.seed"),
  ).action(async (file: string, options: Place & { name: string; licence: string; keyFile: string }) => {
    const bar = progress(`Hashing ${file}`);
    const added = await addFile({
      file,
      catalogue: options.catalogue ?? join(homeFolder(options.home), "catalogue"),
      name: options.name,
      licence: options.licence,
      keyFile: options.keyFile,
      onProgress: (done, total) => bar.update(done, total),
    });
    bar.end();
    if (options.json) return printJson({ id: options.name, digest: added.digest, publisher: added.publisher });
    print(`${options.name}  ${added.digest}`);
    note(`Signed by publisher ${added.publisher}, whose secret key is in ${options.keyFile}: keep it to yourself.`);
    note("To serve it, name that key and this catalogue in a node's configuration (docs/operate.md).");
  });

  models
    .command("pull")
    .description("Fetches a model's weights, checked against the digest that this project pins.")
    .argument("<name>", smollm2.id)
    .option("--home <folder>", "home folder (default: .countersign here)")
    .action(async (name: string, options: { home?: string }) => {
      if (name !== smollm2.id) {
        const known = defaultModels(weightsFolder(homeFolder(options.home))).some((m) => m.id === name);
        if (known) return note(`${name} comes with this project; there is nothing to fetch.`);
        throw new CountersignError("MODEL_UNKNOWN", {
          message: `No model is known as ${name}.`,
          remedy: `Weights can be fetched for ${smollm2.id}.`,
        });
      }
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      const bar = progress(name);
      const path = await fetchWeights(smollm2, {
        cacheDir: weightsFolder(homeFolder(options.home)),
        onProgress: (done, total) => bar.update(done, total),
        signal: stop.signal,
      }).finally(() => bar.end());
      print(path);
    });
}
