import { CountersignError, type Hex, type Trust } from "@countersign/core";
import type { Local } from "../local.ts";
import type { Network } from "../start.ts";

/** The running network on which frauds are played: what any of its clients may know, and the URL of its local chain. */
export type Ground = {
  readonly gatewayUrl: string;
  readonly walletKey: Hex;
  readonly trust: Trust;
  readonly chainUrl: string;
};

/** The ground that a network of this process gives. */
export const groundOf = ({ gatewayUrl, walletKey, trust, chain }: Network): Ground => ({
  gatewayUrl,
  walletKey,
  trust,
  chainUrl: chain.url,
});

/** The ground that the network of another process gives; its gateway says where the chain is. @throws GATEWAY_UNREACHABLE */
export async function groundOfLocal({ gatewayUrl, walletKey, trust }: Local): Promise<Ground> {
  const unreachable = (cause?: unknown) =>
    new CountersignError("GATEWAY_UNREACHABLE", {
      message: `The local network at ${gatewayUrl} does not answer.`,
      remedy: "Start one with countersign up.",
      cause,
    });
  let chainUrl: unknown;
  try {
    const answer = await fetch(`${gatewayUrl}/v1/network`);
    chainUrl = ((await answer.json()) as { chainRpc?: unknown }).chainRpc;
  } catch (cause) {
    throw unreachable(cause);
  }
  if (typeof chainUrl !== "string" || !trust.development) throw unreachable();
  return { gatewayUrl, walletKey, trust, chainUrl };
}
