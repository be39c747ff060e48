import { CountersignError } from "@countersign/core";
import { loadNativeRecover, type Recover } from "../x402/recover-native.ts";
import { type Contract, type Deployment, readCodeHash } from "./deploy.ts";
import { readToken } from "./read.ts";
import type { Rpc } from "./rpc.ts";

/** Contracts with code already seen at their address in this process. */
async function assertContract(rpc: Rpc, name: string, contract: Contract): Promise<void> {
  const codeHash = await readCodeHash(rpc, contract.address);
  if (codeHash === contract.codeHash) return;
  throw new CountersignError("CONTRACT_MISSING", {
    message: `${name} is not on the chain.`,
    why:
      codeHash === undefined
        ? `There is no code at ${contract.address}: every payment would "succeed" and move nothing.`
        : `The code at ${contract.address} hashes to ${codeHash}; the configuration says ${contract.codeHash}.`,
    remedy: "Deploy the contracts, or correct the addresses in the configuration.",
  });
}

/**
 * What must hold before anything is sold: the right chain, the right code at every address, a token that calls itself
 * what the offers say (its EIP-712 domain), and native signature recovery unless portable was asked for by name.
 *
 * @returns the recovery to check payments with
 * @throws CHAIN_UNREACHABLE, CHAIN_MISMATCH, CONTRACT_MISSING, NATIVE_MODULE_MISSING
 */
export async function assertChain(args: {
  readonly rpc: Rpc;
  readonly deployment: Deployment;
  /** "portable" only where the configuration says so. */
  readonly recovery?: "native" | Recover;
}): Promise<{ readonly recover: Recover }> {
  const { rpc, deployment } = args;
  const recover = args.recovery === undefined || args.recovery === "native" ? loadNativeRecover() : args.recovery;
  const chainId = Number(await rpc.call<string>("eth_chainId"));
  if (chainId !== deployment.chainId) {
    throw new CountersignError("CHAIN_MISMATCH", {
      message: "The chain is another one than the configuration names.",
      why: `${rpc.url} is chain ${chainId}; the configuration says ${deployment.chainId}.`,
      remedy: "Correct the RPC endpoint or the chain id. Signatures for one chain are worth nothing on another.",
    });
  }
  await assertContract(rpc, "The token", deployment.token);
  await assertContract(rpc, "The anchor registry", deployment.anchors);
  const said = await readToken(rpc, deployment.token.address);
  for (const field of ["name", "version", "decimals"] as const) {
    if (said[field] === deployment.token[field]) continue;
    throw new CountersignError("CHAIN_MISMATCH", {
      message: "The token is another one than the configuration names.",
      why: `Its ${field} is ${said[field]}; the configuration says ${deployment.token[field]}.`,
    });
  }
  return { recover };
}
