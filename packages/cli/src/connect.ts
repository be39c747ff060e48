import { CountersignError, parseTrust, type Trust } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { type Client, countersign, privateKeyWallet } from "@countersign/sdk";
import type { Command } from "commander";
import { readText } from "./files.ts";
import { homeFolder } from "./network/home.ts";
import { readLocal } from "./network/local.ts";

/** Where a command asks and whom it believes. */
export type ConnectOptions = {
  readonly local?: boolean;
  readonly home?: string;
  readonly gateway?: string;
  readonly trust?: string;
  readonly allowDevelopment?: boolean;
  readonly budget?: string;
};

/** Adds the options by which a command reaches a gateway. */
export function connectable(command: Command): Command {
  return command
    .option("--local", "the network that countersign up runs here, with its test wallet and its development trust")
    .option("--home <folder>", "home folder of that network (default: .countersign here)")
    .option("--gateway <url>", "address of a gateway")
    .option("--trust <file>", "whom to believe")
    .option("--allow-development", "let development stand-ins ground claims")
    .option("--budget <amount>", "the most that this command may pay, in the asset's smallest unit", "1000000");
}

/** A connected client. */
export type Connection = {
  readonly client: Client;
  readonly gateway: string;
  readonly trust: Trust;
  readonly allowDevelopment: boolean;
};

/**
 * A client as the options say. The paying key comes from COUNTERSIGN_WALLET_KEY, or with `--local` from the local
 * network; it is never an argument, which every user of the machine could read.
 *
 * @throws COMMAND_MISUSED, GATEWAY_UNREACHABLE, TRUST_MALFORMED
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const budget = { perRequest: options.budget ?? "1000000", total: options.budget ?? "1000000" };
  if (options.local) {
    const local = await readLocal(homeFolder(options.home));
    const client = countersign({
      gateway: local.gatewayUrl,
      trust: local.trust,
      wallet: privateKeyWallet(local.walletKey),
      allowDevelopment: true,
      budget,
      suite: nodeSuite,
    });
    return { client, gateway: local.gatewayUrl, trust: local.trust, allowDevelopment: true };
  }
  if (options.gateway === undefined || options.trust === undefined) {
    throw new CountersignError("COMMAND_MISUSED", {
      message: "Say where to ask and whom to believe.",
      remedy: "Give --gateway URL and --trust FILE, or --local for the network that countersign up runs here.",
    });
  }
  const trust = parseTrust(await readText(options.trust));
  const key = process.env.COUNTERSIGN_WALLET_KEY;
  const client = countersign({
    gateway: options.gateway,
    trust,
    ...(key !== undefined && { wallet: privateKeyWallet(key.replace(/^0x/, "")) }),
    allowDevelopment: options.allowDevelopment ?? false,
    budget,
    suite: nodeSuite,
  });
  return { client, gateway: options.gateway, trust, allowDevelopment: options.allowDevelopment ?? false };
}
