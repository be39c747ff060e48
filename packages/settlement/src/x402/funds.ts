import { CountersignError } from "@countersign/core";
import { readAuthorizationState, readBalance } from "../chain/read.ts";
import type { Rpc } from "../chain/rpc.ts";
import type { CheckedPayment } from "./verify-payment.ts";

/** Code that was seen at an address does not go away on the chains that this is for (EIP-6780), so one look is enough. */
const seenCode = new WeakMap<Rpc, Set<string>>();

async function assertCode(rpc: Rpc, address: string): Promise<void> {
  const seen = seenCode.get(rpc) ?? new Set<string>();
  seenCode.set(rpc, seen);
  if (seen.has(address)) return;
  if ((await rpc.call<string>("eth_getCode", [address, "latest"])) === "0x") {
    throw new CountersignError("CONTRACT_MISSING", {
      message: "There is no contract at the token's address.",
      why: "A payment to it would succeed and move nothing.",
    });
  }
  seen.add(address);
}

/**
 * Checks on chain that the payment can be taken now: the wallet holds the amount and the authorisation is unused.
 *
 * Nothing here is a promise: the payer can spend the money in the next block. It keeps out those who never had it.
 *
 * @throws FUNDS_INSUFFICIENT, PAYMENT_REPLAYED, CONTRACT_MISSING, CHAIN_UNREACHABLE
 */
export async function checkFunds(
  rpc: Rpc,
  paid: Pick<CheckedPayment, "key"> & { readonly amount: string },
): Promise<void> {
  const { asset, from, nonce } = paid.key;
  await assertCode(rpc, asset);
  const [balance, used] = await Promise.all([
    readBalance(rpc, asset, from),
    readAuthorizationState(rpc, asset, from, nonce),
  ]);
  if (used) {
    throw new CountersignError("PAYMENT_REPLAYED", {
      message: "This payment authorisation was used or cancelled before.",
      why: "The token's contract has its nonce.",
      remedy: "Sign a new one.",
    });
  }
  if (balance < BigInt(paid.amount)) {
    throw new CountersignError("FUNDS_INSUFFICIENT", {
      message: "The paying wallet holds less than the price.",
      why: `It holds ${balance} of ${paid.amount} units.`,
      remedy: "Fund the wallet, or ask for something cheaper.",
      facts: { balance: balance.toString(), amount: paid.amount },
    });
  }
}
