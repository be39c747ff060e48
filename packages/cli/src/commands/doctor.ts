import { existsSync } from "node:fs";
import { access, constants, mkdir, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { CountersignError } from "@countersign/core";
import { findIsolation, probeEngines, smollm2, weightsPath } from "@countersign/node";
import { findAnvil, loadNativeRecover } from "@countersign/settlement";
import type { Command } from "commander";
import { homeFolder, weightsFolder } from "../network/home.ts";
import { paint, print, printJson, table } from "../terminal.ts";
import { pageFolder } from "./up.ts";

type Found = {
  readonly what: string;
  readonly state: "ok" | "missing" | "optional";
  readonly detail: string;
  readonly remedy?: string;
};

const attempt = async (
  what: string,
  check: () => Promise<string> | string,
  remedy: string,
  optional = false,
): Promise<Found> => {
  try {
    return { what, state: "ok", detail: await check() };
  } catch (error) {
    const detail = CountersignError.is(error)
      ? error.detail.message
      : ((error as Error).message.split("\n")[0] as string);
    return { what, state: optional ? "optional" : "missing", detail, remedy };
  }
};

/** Looks at everything that the network needs on this machine. */
async function examine(home: string): Promise<readonly Found[]> {
  return [
    await attempt(
      "Node",
      () => {
        const [major = 0] = process.versions.node.split(".").map(Number);
        if (major < 24) throw new Error(`This is Node ${process.versions.node}.`);
        return process.versions.node;
      },
      "Run through npm (npm start), which brings Node 24, or: node tools/link-node.mjs",
    ),
    await attempt(
      "local chain",
      () => findAnvil(),
      "Install the optional dependencies: npm ci without --omit=optional. On other systems set up a chain and name its RPC.",
    ),
    await attempt(
      "native secp256k1",
      () => {
        loadNativeRecover();
        return "loaded";
      },
      "npm rebuild secp256k1, or set chain.recovery to portable in the gateway's configuration (slower).",
    ),
    await attempt(
      "llama.cpp",
      probeEngines.llama,
      "Install the optional dependencies; there is no prebuilt library for some systems.",
    ),
    await attempt("onnxruntime", probeEngines.onnx, "npm ci again; the library lies in the package."),
    await attempt(
      "bubblewrap",
      () => {
        const { tier, missing } = findIsolation();
        if (missing !== null) throw new Error(missing);
        return `${tier}: the simulated enclave has no network and a read-only file system`;
      },
      "Install bubblewrap (on Debian: apt-get install bubblewrap). Without it the simulated enclave is a plain process.",
      true,
    ),
    await attempt(
      "home folder",
      async () => {
        await mkdir(home, { recursive: true });
        await access(home, constants.W_OK);
        const { bavail, bsize } = await statfs(home);
        const free = (bavail * bsize) / 1e9;
        if (free < 1) throw new Error(`Only ${free.toFixed(1)} GB are free at ${home}.`);
        return `${home}, ${free.toFixed(0)} GB free`;
      },
      "Name another with --home.",
    ),
    await attempt(
      "port 4402",
      () =>
        new Promise<string>((resolve, reject) => {
          const server = createServer().once("error", () => reject(new Error("Taken by another process.")));
          server.listen(4402, "127.0.0.1", () => server.close(() => resolve("free")));
        }),
      "Choose another with --port.",
      true,
    ),
    await attempt(
      "page",
      () => {
        if (!existsSync(pageFolder())) throw new Error("Not built.");
        return pageFolder();
      },
      "npm run page",
      true,
    ),
    await attempt(
      smollm2.id,
      () => {
        const path = weightsPath(smollm2, weightsFolder(home));
        if (!existsSync(path)) throw new Error("Weights are not here.");
        return path;
      },
      `countersign models pull ${smollm2.id}`,
      true,
    ),
  ];
}

export function doctorCommand(program: Command): void {
  program
    .command("doctor")
    .summary("what is missing on this machine, and how to get it")
    .description("Looks at everything the network needs on this machine. Exit 69 when something needed is missing.")
    .option("--home <folder>", "home folder (default: .countersign here)")
    .option("--json", "print JSON")
    .action(async (options: { home?: string; json?: boolean }) => {
      const found = await examine(homeFolder(options.home));
      const sign = {
        ok: paint("green", "ok"),
        missing: paint("red", "missing"),
        optional: paint("yellow", "optional"),
      };
      if (options.json) printJson(found);
      else {
        print(
          table(
            ["", "what", "found"],
            found.map((f) => [sign[f.state], f.what, f.detail]),
          ),
        );
        for (const f of found) if (f.remedy !== undefined) print(`\n${f.what}: ${f.remedy}`);
      }
      process.exitCode = found.some((f) => f.state === "missing") ? 69 : 0;
    });
}
