import {
  type Authorization,
  addressOf,
  authorizationDigest,
  CountersignError,
  domainSeparator,
  fromHex,
  recoverAddress,
  type TokenDomain,
  toHex,
} from "@countersign/core";
import { secp256k1 } from "@noble/curves/secp256k1.js";

/** EIP-712 form of an authorisation, for wallets that show people what they sign. */
export type TypedAuthorization = {
  readonly domain: TokenDomain;
  readonly types: { readonly TransferWithAuthorization: readonly { readonly name: string; readonly type: string }[] };
  readonly primaryType: "TransferWithAuthorization";
  readonly message: {
    readonly from: `0x${string}`;
    readonly to: `0x${string}`;
    readonly value: bigint;
    readonly validAfter: bigint;
    readonly validBefore: bigint;
    readonly nonce: `0x${string}`;
  };
};

/** Something that signs payments for one address; the key stays behind it. */
export type Wallet = {
  /** 0x and 40 hex digits, any case. */
  readonly address: string;
  /**
   * Signs a 32-byte EIP-712 digest: r ‖ s ‖ v in hex, 65 bytes, low s, with or without 0x.
   *
   * `typed` is the same content in words; the answer must be a signature of exactly `digest`.
   */
  readonly signDigest: (digest: Uint8Array, typed: TypedAuthorization) => Promise<string>;
};

/** A wallet from a 32-byte secp256k1 key in hex. @throws CONFIG_INVALID */
export function privateKeyWallet(key: string): Wallet {
  const bytes = /^(?:0x)?[0-9a-fA-F]{64}$/.test(key) ? fromHex(key.replace(/^0x/, "").toLowerCase()) : undefined;
  if (!bytes || !secp256k1.utils.isValidSecretKey(bytes)) {
    // The key itself never stands in a message: messages end up in logs.
    throw new CountersignError("CONFIG_INVALID", {
      message: "This is not a private key of a wallet.",
      remedy: "Give 32 bytes as 64 hexadecimal digits.",
    });
  }
  return {
    address: addressOf(secp256k1.getPublicKey(bytes, false)),
    signDigest: async (digest) => {
      const signed = secp256k1.sign(digest, bytes, { prehash: false, lowS: true, format: "recovered" });
      return toHex(signed.subarray(1)) + (27 + (signed[0] as number)).toString(16);
    },
  };
}

/** A wallet from a viem account, or anything else that signs typed data. */
export function viemWallet(account: {
  readonly address: string;
  // Wallet libraries type this by generics over the typed data; only what comes back matters, and it is checked.
  // biome-ignore lint/suspicious/noExplicitAny: structural type of foreign wallets
  readonly signTypedData: (parameters: any) => Promise<string>;
}): Wallet {
  return { address: account.address, signDigest: (_digest, typed) => account.signTypedData(typed) };
}

const transferFields = [
  { name: "from", type: "address" },
  { name: "to", type: "address" },
  { name: "value", type: "uint256" },
  { name: "validAfter", type: "uint256" },
  { name: "validBefore", type: "uint256" },
  { name: "nonce", type: "bytes32" },
] as const;

/**
 * Has a wallet sign an EIP-3009 authorisation and checks what it gives back.
 *
 * @returns Signature of 130 hex digits.
 * @throws SIGNATURE_NOT_CANONICAL, PAYER_MISMATCH when another key signed (contract wallets are not supported)
 */
export async function signAuthorization(wallet: Wallet, message: Authorization, domain: TokenDomain): Promise<string> {
  const digest = authorizationDigest(message, domainSeparator(domain));
  const answer = await wallet.signDigest(digest, {
    domain,
    types: { TransferWithAuthorization: transferFields },
    primaryType: "TransferWithAuthorization",
    message: {
      from: message.from as `0x${string}`,
      to: message.to as `0x${string}`,
      value: BigInt(message.value),
      validAfter: BigInt(message.validAfter),
      validBefore: BigInt(message.validBefore),
      nonce: `0x${message.nonce}`,
    },
  });
  const signature = answer.replace(/^0x/, "").toLowerCase();
  if (recoverAddress(digest, signature) !== message.from) {
    throw new CountersignError("PAYER_MISMATCH", {
      message: "The wallet's signature is not by the wallet's address.",
      remedy: "Use a wallet with a key of its own; contract wallets cannot sign these payments.",
    });
  }
  return signature;
}
