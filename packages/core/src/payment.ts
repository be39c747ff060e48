import { secp256k1 } from "@noble/curves/secp256k1.js";
import * as z from "zod";
import { concat, fromHex, type Hex, toHex, uint, utf8 } from "./bytes.ts";
import { CountersignError } from "./errors/error.ts";
import { keccak256, taggedHash } from "./hash.ts";
import { address, amount, hex32, network, seconds } from "./shapes.ts";

/** EIP-3009 `TransferWithAuthorization`, as x402's scheme `exact` signs it. */
export const authorizationShape = z.strictObject({
  from: address,
  to: address,
  value: amount,
  validAfter: seconds,
  validBefore: seconds,
  /** 32 bytes: ours commits to offer and request, see `paymentNonce`. */
  nonce: hex32,
});
export type Authorization = z.infer<typeof authorizationShape>;

/** The token's EIP-712 domain. */
export type TokenDomain = {
  readonly name: string;
  readonly version: string;
  readonly chainId: number;
  readonly verifyingContract: string;
};

/** The committed payment: leaf `payment` of the statement (spec/receipt.md §3). */
export const paymentShape = z.strictObject({
  scheme: z.literal("exact"),
  network,
  token: z.strictObject({ address, name: z.string().max(64), version: z.string().max(16) }),
  authorization: authorizationShape,
  /** r ‖ s ‖ v, 65 bytes. */
  signature: z.string().regex(/^[0-9a-f]{130}$/),
  /** The salt inside a bound nonce; null when the client drew its nonce itself (stock x402 clients). */
  salt: hex32.nullable(),
  /** What may be charged if the guarantee is met. */
  chargeable: amount,
});
export type Payment = z.infer<typeof paymentShape>;

const typeHash = (type: string) => keccak256(utf8(type));
const domainType = typeHash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const transferType = typeHash(
  "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)",
);
const word = (value: bigint) =>
  concat(new Uint8Array(16), uint((value >> 64n) & 0xffffffffffffffffn, 8), uint(value & 0xffffffffffffffffn, 8));
const addressWord = (text: string) => concat(new Uint8Array(12), fromHex(text.slice(2)));
const amountWord = (text: string) => fromHex(BigInt(text).toString(16).padStart(64, "0"));

/** EIP-712 domain separator of a token, 32 bytes. */
export function domainSeparator(domain: TokenDomain): Uint8Array {
  return keccak256(
    concat(
      domainType,
      keccak256(utf8(domain.name)),
      keccak256(utf8(domain.version)),
      word(BigInt(domain.chainId)),
      addressWord(domain.verifyingContract),
    ),
  );
}

/** EIP-712 digest that the payer signs, 32 bytes: the identity of a payment. */
export function authorizationDigest(a: Authorization, separator: Uint8Array): Uint8Array {
  const struct = keccak256(
    concat(
      transferType,
      addressWord(a.from),
      addressWord(a.to),
      amountWord(a.value),
      word(BigInt(a.validAfter)),
      word(BigInt(a.validBefore)),
      fromHex(a.nonce),
    ),
  );
  return keccak256(concat(new Uint8Array([0x19, 0x01]), separator, struct));
}

/** Nonce that binds an authorisation to an offer and a request (protocol-review A6, payments §9). */
export function paymentNonce(offer: Hex, request: Hex, salt: Hex): Hex {
  return toHex(taggedHash("countersign/x402-nonce/v1", fromHex(offer), fromHex(request), fromHex(salt)));
}

/** Half the order of secp256k1: a larger s is the second spelling of a signature. */
const halfOrder = secp256k1.Point.Fn.ORDER / 2n;

/** Splits a payer's signature. @throws SIGNATURE_NOT_CANONICAL unless 65 bytes, v 27 or 28, 0 < r < n, 0 < s ≤ n/2. */
export function splitSignature(signature: string): {
  readonly compact: Uint8Array;
  readonly recovery: 0 | 1;
} {
  const refuse = (why: string): never => {
    throw new CountersignError("SIGNATURE_NOT_CANONICAL", {
      message: "The payment signature is not in its one canonical form.",
      why,
    });
  };
  if (!/^[0-9a-f]{130}$/.test(signature)) refuse("It must be 65 bytes in lowercase hex.");
  const bytes = fromHex(signature);
  const v = bytes[64] as number;
  if (v !== 27 && v !== 28) refuse(`v is ${v}; only 27 and 28 are allowed.`);
  const r = BigInt(`0x${signature.slice(0, 64)}`);
  const s = BigInt(`0x${signature.slice(64, 128)}`);
  if (r === 0n || r >= secp256k1.Point.Fn.ORDER) refuse("r is out of range.");
  if (s === 0n || s > halfOrder) refuse("s is in the upper half: the contract would not accept it.");
  return { compact: bytes.subarray(0, 64), recovery: (v - 27) as 0 | 1 };
}

/** Address of an uncompressed public key (65 bytes with 0x04, or 64 without). */
export function addressOf(publicKey: Uint8Array): string {
  return `0x${toHex(keccak256(publicKey.subarray(publicKey.length - 64)).subarray(12))}`;
}

/** Address that signed a digest, in plain JavaScript (about 2 ms). @throws SIGNATURE_NOT_CANONICAL */
export function recoverAddress(digest: Uint8Array, signature: string): string {
  const { compact, recovery } = splitSignature(signature);
  const point = secp256k1.Signature.fromBytes(compact, "compact").addRecoveryBit(recovery).recoverPublicKey(digest);
  return addressOf(point.toBytes(false));
}
