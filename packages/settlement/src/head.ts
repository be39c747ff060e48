import { concat, domainSeparator, fromHex, type Hex, hex32, keccak256, seconds, uint, utf8 } from "@countersign/core";
import * as z from "zod";

/** A receipt as contracts read it (spec/receipt.md): the one EIP-712 form of this project. Digests in hex without 0x. */
export const headShape = z.strictObject({
  receiptRoot: hex32,
  modelDigest: hex32,
  requestDigest: hex32,
  outputRoot: hex32,
  termsDigest: hex32,
  linkRoot: hex32,
  /** Seconds. */
  issuedAt: seconds,
  step: z.number().int().min(0).max(255),
});
export type Head = z.infer<typeof headShape>;

const headType = keccak256(
  utf8(
    "Head(bytes32 receiptRoot,bytes32 modelDigest,bytes32 requestDigest,bytes32 outputRoot,bytes32 termsDigest,bytes32 linkRoot,uint64 issuedAt,uint8 step)",
  ),
);
const word = (value: number) => concat(new Uint8Array(24), uint(value, 8));

/** EIP-712 struct hash of a head, 32 bytes. */
export function headStruct(head: Head): Uint8Array {
  const digests: readonly Hex[] = [
    head.receiptRoot,
    head.modelDigest,
    head.requestDigest,
    head.outputRoot,
    head.termsDigest,
    head.linkRoot,
  ];
  return keccak256(concat(headType, ...digests.map(fromHex), word(head.issuedAt), word(head.step)));
}

/** EIP-712 digest that a node signs, 32 bytes; domain `Countersign`/`1` of a chain and a settlement contract. */
export function headDigest(
  head: Head,
  chain: { readonly chainId: number; readonly verifyingContract: string },
): Uint8Array {
  const separator = domainSeparator({ name: "Countersign", version: "1", ...chain });
  return keccak256(concat(new Uint8Array([0x19, 0x01]), separator, headStruct(head)));
}
