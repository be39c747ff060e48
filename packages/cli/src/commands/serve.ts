import { spawn } from "node:child_process";
import { type Command, Option } from "commander";
import { entryOf } from "../network/child.ts";
import { nodeEvidenceCommand } from "./node-evidence.ts";
import { nodeRegisterCommand } from "./node-register.ts";

const about = {
  gateway:
    "Runs a gateway. Secrets: COUNTERSIGN_GATEWAY_SEED, COUNTERSIGN_LOG_SEED, COUNTERSIGN_WALLET_KEY, COUNTERSIGN_NODE_TOKEN.",
  node: "Runs a node. Secrets: COUNTERSIGN_NODE_SEED and COUNTERSIGN_NODE_TOKEN, or the same with _FILE; in an enclave the token alone, since its keys are born inside.",
  auditor: "Runs an auditor: witness and monitor. It keeps its keys in its own folder.",
} as const;

/** Runs a process entry in this terminal, until it ends; its exit status becomes ours. */
function runEntry(entry: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [entry, ...args], { stdio: "inherit" });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    child.once("exit", (code) => {
      process.exitCode = code ?? 70;
      resolve();
    });
  });
}

const platforms = ["simulated", "nitriding", "nsm", "dstack"] as const;
type NodeOptions = { readonly enclave?: (typeof platforms)[number]; readonly newKeys?: true };

/** Entry and arguments of a node: as a plain process, with a simulated enclave's launcher, or inside real hardware. */
function nodeEntry(config: string, { enclave, newKeys }: NodeOptions): readonly [string, readonly string[]] {
  const flags = newKeys ? ["--new-keys"] : [];
  if (enclave === undefined) return [entryOf("node"), [config]];
  const launcher = entryOf("enclave");
  if (enclave === "simulated") return [launcher, [config, ...flags]];
  const hardware = launcher.replace(/launcher-main(?=\.[jt]s$)/, "hardware-main");
  return [hardware, [enclave, config, ...flags]];
}

/** `countersign gateway|node|auditor CONFIG`: one process of the network, alone. */
export const serveCommand =
  (name: keyof typeof about) =>
  (program: Command): void => {
    const command = program
      .command(name)
      .summary(`run ${name === "auditor" ? "an" : "a"} ${name} alone, with a configuration file`)
      .description(`${about[name]} The configuration's form is in docs/operate.md.`)
      .argument("<config>", "configuration file");
    if (name !== "node") {
      command.action((config: string) => runEntry(entryOf(name), [config]));
      return;
    }
    command
      .addOption(new Option("--enclave <platform>", "run it in an enclave (docs/enclave.md)").choices(platforms))
      .option("--new-keys", "leave sealed keys of another measurement behind and draw new ones")
      .action((config: string, options: NodeOptions) => runEntry(...nodeEntry(config, options)));
    nodeRegisterCommand(command);
    nodeEvidenceCommand(command);
  };
