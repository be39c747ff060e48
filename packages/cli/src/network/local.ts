import { readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CountersignError, type Hex, parseTrust, type Trust } from "@countersign/core";
import { readText } from "../files.ts";
import { isAlive } from "./home.ts";
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

type Noted = Omit<Local, "trust"> & { readonly pid: number };

async function readNoted(home: string): Promise<Noted | undefined> {
  const text = await readFile(fileOf(home), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : (JSON.parse(text) as Noted);
}

/** Refuses a second network in one home folder: it would take the first one's trust file and wallet away. @throws NETWORK_RUNNING */
export async function requireNoLocal(home: string): Promise<void> {
  const noted = await readNoted(home).catch(() => undefined);
  if (noted === undefined || !isAlive(noted.pid)) return;
  throw new CountersignError("NETWORK_RUNNING", {
    message: `A network runs from this folder already: ${noted.gatewayUrl}.`,
    why: "A second one would replace its trust file and its note for --local.",
    remedy: "Stop it with Ctrl-C, or start the second with another --home and --trust-file.",
  });
}

/** Notes the running network for `--local`; only the user may read it, and it ends with the network. */
export async function saveLocal(home: string, network: Network): Promise<void> {
  const { gatewayUrl, walletKey } = network;
  const noted: Noted = {
    gatewayUrl,
    walletKey,
    trustFile: resolve(network.trustFile),
    catalogue: network.home.catalogue,
    pid: process.pid,
  };
  await writeFile(fileOf(home), JSON.stringify(noted), { mode: 0o600 });
}

/** Removes the note if it is this process's own. */
export async function forgetLocal(home: string): Promise<void> {
  const noted = await readNoted(home).catch(() => undefined);
  if (noted?.pid === process.pid) await rm(fileOf(home), { force: true });
}

/**
 * The network that `up` runs here. It is named by the caller's own word `--local`: nothing picks it up by itself.
 *
 * @throws GATEWAY_UNREACHABLE, FILE_UNREADABLE, TRUST_MALFORMED
 */
export async function readLocal(home: string): Promise<Local> {
  const noted = await readNoted(home).catch(() => undefined);
  if (noted === undefined) {
    throw new CountersignError("GATEWAY_UNREACHABLE", {
      message: `No local network runs from ${home}.`,
      remedy: "Start one with countersign up, name its folder with --home, or leave out --local and say where to look.",
    });
  }
  return { ...noted, trust: parseTrust(await readText(noted.trustFile)) };
}
