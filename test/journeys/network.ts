// Starts the real network for journeys: every process of `countersign up`, on free ports, with models that the
// repository itself holds.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trust } from "@countersign/core";
import { startNetwork as start } from "../../packages/cli/src/network/start.ts";

/** A network for one journey. */
export type JourneyNetwork = {
  readonly gatewayUrl: string;
  readonly trust: Trust;
  readonly trustFile: string;
  readonly home: string;
  readonly catalogue: string;
  readonly walletKey: string;
  readonly chainUrl: string;
  readonly token: string;
  readonly walletAddress: string;
  readonly stop: () => Promise<void>;
};

/** Starts it; `models` defaults to the small chat model and one classifier. */
export async function startNetwork(
  options: { readonly models?: readonly string[]; readonly page?: string } = {},
): Promise<JourneyNetwork> {
  const home = await mkdtemp(join(tmpdir(), "countersign-journey-"));
  const network = await start({
    home,
    port: 0,
    models: options.models ?? ["countersign-pocket", "lande-50", "glove-words-100d"],
    ...(options.page !== undefined && { page: options.page }),
  });
  return {
    gatewayUrl: network.gatewayUrl,
    trust: network.trust,
    trustFile: network.trustFile,
    home,
    catalogue: network.home.catalogue,
    walletKey: network.walletKey,
    chainUrl: network.chain.url,
    token: network.chain.token,
    walletAddress: network.walletAddress,
    async stop() {
      await network.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}
