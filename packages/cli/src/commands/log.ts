import { CountersignError, decodeEntry, type Entry } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { fsckLog, openReader, parseCheckpoint, parseNote, parseVkey } from "@countersign/log";
import { fsckDirectory } from "@countersign/log/write";
import type { Command } from "commander";
import { readTrust } from "../files.ts";
import { homeFolder } from "../network/home.ts";
import { readLocal } from "../network/local.ts";
import { paint, print, printJson, progress, table } from "../terminal.ts";

type Options = {
  readonly local?: boolean;
  readonly home?: string;
  readonly url?: string;
  readonly trust?: string;
  readonly json?: boolean;
};

const sourced = (command: Command) =>
  command
    .option("--local", "the log of the network that countersign up runs here")
    .option("--home <folder>", "home folder of that network")
    .option("--url <url>", "address of a log, in front of checkpoint and tile/")
    .option("--trust <file>", "trust file that names the log's key")
    .option("--json", "print JSON");

async function sourceOf(options: Options) {
  const local = options.local ? await readLocal(homeFolder(options.home)) : undefined;
  const trust = local?.trust ?? (await readTrust(options.trust));
  const base = local ? `${local.gatewayUrl}/log/` : options.url?.replace(/\/*$/, "/");
  const [vkey] = trust.logs;
  if (base === undefined || vkey === undefined) {
    throw new CountersignError("COMMAND_MISUSED", {
      message: "Say which log and whose key.",
      remedy: "Give --local, or --url URL and --trust FILE.",
    });
  }
  const fetchTile = async (path: string) => {
    const answer = await fetch(base + path).catch((cause: unknown) => {
      throw new CountersignError("GATEWAY_UNREACHABLE", { message: `The log at ${base} does not answer.`, cause });
    });
    if (!answer.ok)
      throw new CountersignError("LOG_CORRUPT", { message: `The log does not serve ${path}: HTTP ${answer.status}.` });
    return new Uint8Array(await answer.arrayBuffer());
  };
  return { fetchTile, log: parseVkey(vkey), suite: nodeSuite };
}

export function logCommand(program: Command): void {
  const log = program.command("log").summary("read and check the transparency log");

  sourced(log.command("checkpoint").description("The log's newest checkpoint, with its signatures.")).action(
    async (options: Options) => {
      const { fetchTile } = await sourceOf(options);
      const text = new TextDecoder().decode(await fetchTile("checkpoint"));
      const { origin, size } = parseCheckpoint(parseNote(text).text);
      if (options.json) printJson({ origin, size, note: text });
      else print(text.trimEnd());
    },
  );

  sourced(log.command("entries").description("The newest entries.").option("--count <n>", "how many", "20")).action(
    async (options: Options & { count: string }) => {
      const reader = openReader(await sourceOf(options));
      const checkpoint = await reader.checkpoint();
      const count = Math.max(1, Math.min(1000, Number(options.count) || 20));
      const from = Math.max(0, checkpoint.size - count);
      const entries: ({ readonly index: number } & Entry)[] = [];
      for await (const { index, entry } of reader.entries(checkpoint, from, checkpoint.size))
        entries.push({ index, ...decodeEntry(entry) });
      if (options.json) return printJson(entries);
      print(
        table(
          ["index", "kind", "flags", "demanded", "bought", "subject"],
          entries.map((e) => [
            String(e.index),
            e.kind,
            e.flags.join(" "),
            e.demanded.join("|"),
            String(e.bought),
            e.subject.slice(0, 24),
          ]),
        ),
      );
    },
  );

  sourced(
    log
      .command("fsck")
      .description(
        "Hashes every entry and tile again and compares them with the signed checkpoint. Exit 1 for a log that contradicts itself.",
      )
      .option("--dir <folder>", "a log's own folder instead of its address"),
  ).action(async (options: Options & { dir?: string }) => {
    const bar = progress("Checking", "steps");
    const onProgress = (done: number, total: number) => bar.update(done, total);
    const source = options.dir === undefined ? await sourceOf(options) : undefined;
    const trust = options.dir === undefined ? undefined : await readTrust(options.trust);
    const vkey = trust?.logs[0];
    if (options.dir !== undefined && vkey === undefined)
      throw new CountersignError("COMMAND_MISUSED", { message: "--dir needs --trust, which names the log's key." });
    const report =
      source !== undefined
        ? await fsckLog({ ...source, onProgress })
        : await fsckDirectory({
            dir: options.dir as string,
            log: parseVkey(vkey as string),
            suite: nodeSuite,
            onProgress,
          });
    bar.end();
    const good = report.faults.length === 0;
    if (options.json) printJson(report);
    else {
      for (const fault of report.faults) print(`${paint("red", "fault")} ${fault.path}: ${fault.reason}`);
      print(
        `${good ? paint("green", "sound") : paint("red", "corrupt")}: ${report.entries} entries, ${report.files} files, size ${report.size ?? "unknown"}`,
      );
    }
    process.exitCode = good ? 0 : 1;
  });
}
