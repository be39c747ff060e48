import { randomBytes } from "node:crypto";
import { fromHex, type Hex, toHex } from "@countersign/core";
import type { Hex as HexString } from "viem";
import { privateKeyToAccount } from "viem/accounts";

/** A key that pays or sends transactions. Its secret stays behind `signTransaction` and `signDigest`. */
export type Wallet = {
  /** Lowercase, 0x. */
  readonly address: string;
  /** Raw signed EIP-1559 transaction, 0x hex. */
  readonly signTransaction: (transaction: Transaction) => Promise<HexString>;
  /** 65 bytes r ‖ s ‖ v in hex without 0x, over a 32-byte digest. */
  readonly signDigest: (digest: Uint8Array) => Promise<string>;
};

/** The fields of an EIP-1559 transaction; amounts in wei. */
export type Transaction = {
  readonly chainId: number;
  readonly nonce: number;
  readonly to?: string;
  readonly data?: HexString;
  readonly value?: bigint;
  readonly gas: bigint;
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
};

/** A wallet from a private key, 32 bytes in hex. */
export function openWallet(privateKey: Hex): Wallet {
  fromHex(privateKey);
  const account = privateKeyToAccount(`0x${privateKey}`);
  return {
    address: account.address.toLowerCase(),
    signTransaction: ({ to, ...rest }) =>
      account.signTransaction({ type: "eip1559", ...rest, ...(to === undefined ? {} : { to: to as HexString }) }),
    signDigest: async (digest) => (await account.sign({ hash: `0x${toHex(digest)}` })).slice(2),
  };
}

/** A fresh private key, 32 bytes in hex. */
export const generatePrivateKey = (): Hex => toHex(randomBytes(32));
