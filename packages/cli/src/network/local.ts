import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CountersignError, type Hex, parseTrust, type Trust } from "@countersign/core";
import type { Network } from "./start.ts";

/** What another command of this user needs to talk to the network that `up` started. */
export type Local = {
  readonly gatewayUrl: string;
  readonly walletKey: Hex;
  readonly trust: Trust;
  readonly trustFile: string;
  readonly catalogue: string;
};

const fileOf = (home: string) => join(home, "local.json");

/** Notes the running network for `--local`; only the user may read it, and it ends with the network. */
export async function saveLocal(home: string, network: Network): Promise<void> {
  const { gatewayUrl, walletKey, trustFile } = network;
  const value = { gatewayUrl, walletKey, trustFile, catalogue: network.home.catalogue };
  await writeFile(fileOf(home), JSON.stringify(value), { mode: 0o600 });
}

export const forgetLocal = (home: string): Promise<void> => rm(fileOf(home), { force: true });

/** The network that `up` runs here. It is named by the caller's own word `--local`: nothing picks it up by itself. @throws GATEWAY_UNREACHABLE */
export async function readLocal(home: string): Promise<Local> {
  try {
    const value = JSON.parse(await readFile(fileOf(home), "utf8")) as Omit<Local, "trust">;
    return { ...value, trust: parseTrust(await readFile(value.trustFile, "utf8")) };
  } catch (cause) {
    throw new CountersignError("GATEWAY_UNREACHABLE", {
      message: "No local network runs here.",
      remedy: "Start one with countersign up, or name a gateway with --gateway, --trust and a wallet.",
      cause,
    });
  }
}
