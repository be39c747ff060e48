import { CountersignError, fromHex, keccak256, toHex } from "@countersign/core";
import { encodeDeployData, encodeFunctionData, type Hex as HexString } from "viem";
import { artifacts } from "../contracts/artifacts.ts";
import { tokenAbi } from "../contracts/token.ts";
import type { Rpc } from "./rpc.ts";
import type { Wallet } from "./wallet.ts";

/** A contract as the configuration names it. */
export type Contract = {
  readonly address: string;
  /** keccak256 of the code at the address, hex: what start-up asserts. */
  readonly codeHash: string;
};

/** What a chain of ours holds. */
export type Deployment = {
  readonly chainId: number;
  readonly token: Contract & { readonly name: string; readonly version: string; readonly decimals: number };
  readonly anchors: Contract;
};

type Receipt = { readonly status: string; readonly contractAddress: string | null; readonly blockNumber: string };

/** Sends one transaction with generous gas and waits for it; for setting up chains, not for settling. @throws SETTLEMENT_REVERTED */
export async function sendAndWait(
  rpc: Rpc,
  wallet: Wallet,
  transaction: { readonly to?: string; readonly data?: HexString; readonly value?: bigint },
  deadline = 30_000,
): Promise<Receipt> {
  const [chainId, nonce, price] = await Promise.all([
    rpc.call<string>("eth_chainId"),
    rpc.call<string>("eth_getTransactionCount", [wallet.address, "pending"]),
    rpc.call<string>("eth_gasPrice"),
  ]);
  const raw = await wallet.signTransaction({
    ...transaction,
    chainId: Number(chainId),
    nonce: Number(nonce),
    gas: transaction.to ? 500_000n : 5_000_000n,
    maxFeePerGas: BigInt(price) * 2n,
    maxPriorityFeePerGas: 0n,
  });
  const hash = await rpc.call<string>("eth_sendRawTransaction", [raw]);
  for (const last = performance.now() + deadline; performance.now() < last; ) {
    const receipt = await rpc.call<Receipt | null>("eth_getTransactionReceipt", [hash]);
    if (receipt?.status === "0x1") return receipt;
    if (receipt)
      throw new CountersignError("SETTLEMENT_REVERTED", { message: `The transaction ${hash} was reverted.` });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new CountersignError("CHAIN_UNREACHABLE", { message: `The transaction ${hash} was not mined in time.` });
}

/** keccak256 of the code at an address, or undefined when there is none. */
export async function readCodeHash(rpc: Rpc, address: string): Promise<string | undefined> {
  const code = await rpc.call<string>("eth_getCode", [address, "latest"]);
  return code === "0x" ? undefined : toHex(keccak256(fromHex(code.slice(2))));
}

async function deploy(
  rpc: Rpc,
  wallet: Wallet,
  name: keyof typeof artifacts,
  args: readonly unknown[],
): Promise<Contract> {
  const { abi, bytecode } = artifacts[name];
  const receipt = await sendAndWait(rpc, wallet, { data: encodeDeployData({ abi, bytecode, args }) });
  const address = receipt.contractAddress?.toLowerCase() ?? "";
  const codeHash = await readCodeHash(rpc, address);
  if (!codeHash) throw new CountersignError("CONTRACT_MISSING", { message: `${name} was not created.` });
  return { address, codeHash };
}

/** Puts our contracts on a chain. The wallet pays for them, and is the faucet of the test token. */
export async function deployContracts(rpc: Rpc, wallet: Wallet): Promise<Deployment> {
  const chainId = Number(await rpc.call<string>("eth_chainId"));
  const token = await deploy(rpc, wallet, "TestUSD", [wallet.address]);
  const anchors = await deploy(rpc, wallet, "AnchorRegistry", []);
  return { chainId, token: { ...token, name: "Test USD", version: "1", decimals: 6 }, anchors };
}

/** Gives an address coins for gas on a development chain. @param wei default 100 coins */
export async function fundGas(rpc: Rpc, address: string, wei = 100n * 10n ** 18n): Promise<void> {
  await rpc.call("anvil_setBalance", [address, `0x${wei.toString(16)}`]);
}

/** Mints test tokens, in the token's smallest unit. */
export async function mint(rpc: Rpc, faucet: Wallet, token: string, to: string, value: bigint): Promise<void> {
  const data = encodeFunctionData({ abi: tokenAbi, functionName: "mint", args: [to as HexString, value] });
  await sendAndWait(rpc, faucet, { to: token, data });
}
