import { spawn } from "node:child_process";
import type { Command } from "commander";
import { entryOf } from "../network/child.ts";

const about = {
  gateway:
    "Runs a gateway. Secrets: COUNTERSIGN_GATEWAY_SEED, COUNTERSIGN_LOG_SEED, COUNTERSIGN_WALLET_KEY, COUNTERSIGN_NODE_TOKEN.",
  node: "Runs a node. Secrets: COUNTERSIGN_NODE_SEED and COUNTERSIGN_NODE_TOKEN, or the same with _FILE.",
  auditor: "Runs an auditor: witness and monitor. It keeps its keys in its own folder.",
} as const;

/** `countersign gateway|node|auditor CONFIG`: one process of the network, alone. */
export const serveCommand =
  (name: keyof typeof about) =>
  (program: Command): void => {
    program
      .command(name)
      .summary(`run ${name === "auditor" ? "an" : "a"} ${name} alone, with a configuration file`)
      .description(`${about[name]} The configuration's form is in docs/operate.md.`)
      .argument("<config>", "configuration file")
      .action(
        (config: string) =>
          new Promise<void>((resolve) => {
            const child = spawn(process.execPath, [entryOf(name), config], { stdio: "inherit" });
            for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
            child.once("exit", (code) => {
              process.exitCode = code ?? 70;
              resolve();
            });
          }),
      );
  };
