import type { Inclusion } from "@countersign/store";
import type { Rpc } from "../chain/rpc.ts";
import { authorizationUsedTopic, transferTopic } from "../contracts/token.ts";
import { expectedTransfer, type Plan } from "./plan.ts";

/** A log, as JSON-RPC gives it. */
type Log = {
  readonly address: string;
  readonly topics: readonly string[];
  readonly data: string;
  readonly removed?: boolean;
  readonly transactionHash: string;
};
/** A transaction's receipt, as JSON-RPC gives it. */
export type TransactionReceipt = {
  readonly status: string;
  readonly transactionHash: string;
  readonly blockNumber: string;
  readonly blockHash: string;
  readonly logs: readonly Log[];
};

/** What a mined transaction did: moved the money, was reverted, or neither. */
export type Judgement = "transferred" | "reverted" | "no-transfer";

const topicOf = (address: string) => `0x${address.slice(2).padStart(64, "0")}`;

/**
 * Judges by the logs, never by the status alone: where an address has no code a call "succeeds" and moves nothing
 * (silent failures P2), and a router can succeed while the call inside it fails.
 */
export function judgeReceipt(receipt: TransactionReceipt, plan: Plan): Judgement {
  if (receipt.status !== "0x1") return "reverted";
  const want = expectedTransfer(plan);
  const logs = receipt.logs.filter((log) => log.removed !== true && log.address.toLowerCase() === plan.token);
  const moved = logs.some(
    ({ topics, data }) =>
      topics.length === 3 &&
      topics[0] === transferTopic &&
      topics[1] === topicOf(want.from) &&
      topics[2] === topicOf(want.to) &&
      /^0x[0-9a-f]{64}$/.test(data) &&
      BigInt(data) === want.value,
  );
  const used = plan.kind === "refund" || logs.some((log) => usesAuthorization(log, plan));
  return moved && used ? "transferred" : "no-transfer";
}

const usesAuthorization = ({ topics }: Log, { authorization }: Extract<Plan, { kind: "settle" }>) =>
  topics[0] === authorizationUsedTopic &&
  topics[1] === topicOf(authorization.from) &&
  topics[2] === `0x${authorization.nonce}`;

export const readReceipt = (rpc: Rpc, hash: string) =>
  rpc.call<TransactionReceipt | null>("eth_getTransactionReceipt", [hash]);

/** Where a receipt stands. */
export const inclusionOf = (receipt: TransactionReceipt): Inclusion => ({
  transaction: receipt.transactionHash,
  block: Number(receipt.blockNumber),
  blockHash: receipt.blockHash,
});

/** Whether the block of an inclusion is on the canonical chain, under at least `depth` others. */
export async function isCanonical(rpc: Rpc, at: Inclusion, depth: number): Promise<"yes" | "shallow" | "gone"> {
  const number = `0x${at.block.toString(16)}`;
  const [block, latest] = await Promise.all([
    rpc.call<{ hash: string } | null>("eth_getBlockByNumber", [number, false]),
    depth === 0 ? undefined : rpc.call<string>("eth_blockNumber"),
  ]);
  if (block?.hash !== at.blockHash) return "gone";
  return latest === undefined || Number(latest) >= at.block + depth ? "yes" : "shallow";
}

/**
 * The transaction in which somebody else submitted our authorisation: anybody who saw it may, and then the money did
 * arrive although our own transaction is reverted.
 */
export async function findForeignSettlement(
  rpc: Rpc,
  plan: Plan,
  lookback = 5000,
): Promise<TransactionReceipt | undefined> {
  if (plan.kind !== "settle") return undefined;
  const latest = Number(await rpc.call<string>("eth_blockNumber"));
  const logs = await rpc.call<readonly Log[]>("eth_getLogs", [
    {
      address: plan.token,
      fromBlock: `0x${Math.max(0, latest - lookback).toString(16)}`,
      toBlock: "latest",
      topics: [authorizationUsedTopic, topicOf(plan.authorization.from), `0x${plan.authorization.nonce}`],
    },
  ]);
  for (const log of logs) {
    const receipt = await readReceipt(rpc, log.transactionHash);
    if (receipt && judgeReceipt(receipt, plan) === "transferred") return receipt;
  }
  return undefined;
}
