import { decodeFunctionResult, encodeFunctionData, type Hex as HexString } from "viem";
import { tokenAbi } from "../contracts/token.ts";
import type { Rpc } from "./rpc.ts";

const call = async (rpc: Rpc, to: string, data: HexString) =>
  await rpc.call<HexString>("eth_call", [{ to, data }, "latest"]);

/** A token's balance in its smallest unit. */
export async function readBalance(rpc: Rpc, token: string, owner: string): Promise<bigint> {
  const data = encodeFunctionData({ abi: tokenAbi, functionName: "balanceOf", args: [owner as HexString] });
  return decodeFunctionResult({ abi: tokenAbi, functionName: "balanceOf", data: await call(rpc, token, data) });
}

/** Whether an EIP-3009 nonce (hex without 0x) was used or cancelled. */
export async function readAuthorizationState(rpc: Rpc, token: string, from: string, nonce: string): Promise<boolean> {
  const args = [from as HexString, `0x${nonce}` as HexString] as const;
  const data = encodeFunctionData({ abi: tokenAbi, functionName: "authorizationState", args });
  return decodeFunctionResult({
    abi: tokenAbi,
    functionName: "authorizationState",
    data: await call(rpc, token, data),
  });
}

/** A token's name, version and decimals, as its contract says them. */
export async function readToken(rpc: Rpc, token: string): Promise<{ name: string; version: string; decimals: number }> {
  const read = async (functionName: "name" | "version" | "decimals") =>
    decodeFunctionResult({
      abi: tokenAbi,
      functionName,
      data: await call(rpc, token, encodeFunctionData({ abi: tokenAbi, functionName })),
    });
  const [name, version, decimals] = await Promise.all([read("name"), read("version"), read("decimals")]);
  return { name: String(name), version: String(version), decimals: Number(decimals) };
}
