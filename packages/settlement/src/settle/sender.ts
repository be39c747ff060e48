import type { Hex as HexString } from "viem";
import { type Rpc, RpcRefusal } from "../chain/rpc.ts";
import type { Wallet } from "../chain/wallet.ts";

/** Signs and sends the transactions of one key, each with the next nonce. */
export type Sender = {
  /** Takes the next free nonce; `forget` makes the sender ask the chain again. */
  readonly nextNonce: (held: number | undefined) => Promise<number>;
  readonly forgetNonce: () => void;
  readonly sign: (
    to: string,
    data: HexString,
    nonce: number,
    raise: number,
  ) => Promise<{ raw: string; hash: string; nonce: number }>;
  /** Sends signed bytes: "sent" also when the node has them already. */
  readonly send: (raw: string) => Promise<"sent" | "nonce-taken" | "fee-too-low" | { readonly refused: string }>;
  /** Nonce that the chain expects next. */
  readonly chainNonce: (block: "latest" | "pending") => Promise<number>;
};

/** How long a fee is believed, in milliseconds. */
const feeLife = 3000;

export function openSender(args: {
  readonly rpc: Rpc;
  readonly wallet: Wallet;
  readonly chainId: number;
  readonly gas: bigint;
  readonly hash: (raw: string) => string;
}): Sender {
  const { rpc, wallet, chainId } = args;
  let next: number | undefined;
  let fee: { readonly price: bigint; readonly tip: bigint; readonly at: number } | undefined;
  const chainNonce = async (block: "latest" | "pending") =>
    Number(await rpc.call<string>("eth_getTransactionCount", [wallet.address, block]));
  const currentFee = async () => {
    if (fee && performance.now() - fee.at < feeLife) return fee;
    const [price, tip] = await Promise.all([
      rpc.call<string>("eth_gasPrice"),
      rpc.call<string>("eth_maxPriorityFeePerGas"),
    ]);
    fee = { price: BigInt(price), tip: BigInt(tip), at: performance.now() };
    return fee;
  };
  return {
    chainNonce,
    async nextNonce(held) {
      next ??= Math.max(await chainNonce("pending"), (held ?? -1) + 1);
      return next++;
    },
    forgetNonce() {
      next = undefined;
    },
    async sign(to, data, nonce, raise) {
      const { price, tip } = await currentFee();
      const times = BigInt(2 + raise);
      const raw = await wallet.signTransaction({
        chainId,
        nonce,
        to,
        data,
        gas: args.gas,
        maxFeePerGas: price * times + tip,
        maxPriorityFeePerGas: tip * (times - 1n),
      });
      return { raw, hash: args.hash(raw), nonce };
    },
    async send(raw) {
      try {
        await rpc.call("eth_sendRawTransaction", [raw]);
        return "sent";
      } catch (error) {
        if (!(error instanceof RpcRefusal)) throw error;
        if (/already (known|imported)/i.test(error.message)) return "sent";
        if (/nonce.*(too low|already|used)/i.test(error.message)) return "nonce-taken";
        if (/underpriced|fee.*(less than|too low|below)/i.test(error.message)) return "fee-too-low";
        return { refused: error.message };
      }
    },
  };
}
