import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { CountersignError } from "@countersign/core";
import { english, generateMnemonic } from "viem/accounts";
import { openRpc, type Rpc } from "./rpc.ts";

/** A local chain that runs as a child of this process. */
export type Anvil = {
  readonly rpc: Rpc;
  readonly url: string;
  readonly port: number;
  readonly chainId: number;
  readonly pid: number;
  /** Ends it in order: it writes its state file first, if it has one. */
  readonly stop: () => Promise<void>;
  /** Ends it at once, as a crash would. */
  readonly kill: () => Promise<void>;
};

/** Path of anvil's binary, which lies in the npm package of this platform. @throws TOOL_MISSING */
export function findAnvil(): string {
  const system = ({ linux: "linux", darwin: "darwin", win32: "win32" } as Record<string, string>)[process.platform];
  const cpu = ({ x64: "amd64", arm64: "arm64" } as Record<string, string>)[process.arch];
  try {
    const require = createRequire(import.meta.url);
    // The platform packages are dependencies of @foundry-rs/anvil, so they are looked up from there.
    const outer = createRequire(require.resolve("@foundry-rs/anvil/package.json"));
    const folder = dirname(outer.resolve(`@foundry-rs/anvil-${system}-${cpu}/package.json`));
    const path = join(folder, "bin", process.platform === "win32" ? "anvil.exe" : "anvil");
    if (existsSync(path)) return path;
    throw new Error(`${path} is not there`);
  } catch (cause) {
    throw new CountersignError("TOOL_MISSING", {
      message: "The local chain's program, anvil, is not on this machine.",
      why: `The package @foundry-rs/anvil-${system}-${cpu} is not installed.`,
      remedy: "Install the optional dependencies, or name another chain's RPC endpoint in the configuration.",
      cause,
    });
  }
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

/** A chain id that no known chain uses, new for each local chain: signatures do not carry over (protocol-review B10). */
export const randomChainId = (): number => 2_000_000_000_000 + randomInt(1 << 30);

/**
 * Starts anvil on loopback and waits until it answers.
 *
 * Its accounts come from a fresh mnemonic, so that the published development keys own nothing. It lies in a process
 * group of its own, so that Ctrl-C reaches only this process, which then ends it in order; a watchdog ends it when this
 * process dies in any other way.
 *
 * @throws TOOL_MISSING, PORT_IN_USE, CHAIN_UNREACHABLE
 */
export async function startAnvil(
  options: {
    /** 0 or absent: any free port. */
    readonly port?: number;
    /** Absent: a random one. Name it when a state file is used again. */
    readonly chainId?: number;
    /** Keeps the chain's state over restarts. */
    readonly stateFile?: string;
    /** Seconds between blocks; absent: a block for each transaction. */
    readonly blockTime?: number;
    /** Milliseconds to wait for the first answer. */
    readonly deadline?: number;
  } = {},
): Promise<Anvil> {
  const path = findAnvil();
  const port = options.port || (await freePort());
  const chainId = options.chainId ?? randomChainId();
  const args = ["--host", "127.0.0.1", "--port", String(port), "--silent", "--chain-id", String(chainId)];
  args.push("--accounts", "1", "--mnemonic", generateMnemonic(english));
  if (options.stateFile) args.push("--state", options.stateFile, "--state-interval", "5");
  if (options.blockTime) args.push("--block-time", String(options.blockTime));
  const child = spawn(path, args, { stdio: "ignore", detached: true });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const atExit = () => child.kill("SIGKILL");
  process.once("exit", atExit);
  const watchdog = child.pid === undefined ? undefined : watch(child.pid);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
    process.removeListener("exit", atExit);
    watchdog?.kill("SIGKILL");
  };
  const url = `http://127.0.0.1:${port}`;
  const rpc = openRpc(url);
  try {
    await waitFor(rpc, child, chainId, options.deadline ?? 20_000);
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
  return { rpc, url, port, chainId, pid: child.pid as number, stop: () => end("SIGTERM"), kill: () => end("SIGKILL") };
}

/** A shell whose input is a pipe from this process: the system closes it when this process dies, however it dies. */
function watch(pid: number): ChildProcess | undefined {
  if (process.platform === "win32") return undefined;
  const shell = spawn("/bin/sh", ["-c", `cat >/dev/null; kill -9 ${pid}`], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.on("error", () => {});
  shell.stdin?.on("error", () => {});
  shell.unref();
  (shell.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return shell;
}

async function waitFor(rpc: Rpc, child: ChildProcess, chainId: number, deadline: number): Promise<void> {
  const last = performance.now() + deadline;
  for (;;) {
    if (child.exitCode !== null || child.pid === undefined) {
      throw new CountersignError("PORT_IN_USE", {
        message: "The local chain ended before it answered.",
        why: `anvil left with status ${child.exitCode}; most often its port is taken.`,
        remedy: "Choose another port.",
      });
    }
    try {
      const answer = await rpc.call<string>("eth_chainId");
      if (Number(answer) === chainId) return;
      // Another program's chain answers on this port: ours will fail to bind it and leave.
    } catch (error) {
      if (performance.now() > last) throw error;
    }
    if (performance.now() > last) {
      throw new CountersignError("PORT_IN_USE", {
        message: "Another chain answers on the local chain's port.",
        remedy: "Choose another port.",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
