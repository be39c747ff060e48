import { type Authorization, type Payment, splitSignature } from "@countersign/core";
import { paymentKeyText } from "@countersign/store";
import { encodeFunctionData, type Hex as HexString } from "viem";
import { tokenAbi } from "../contracts/token.ts";

/** What a job's transaction shall do; kept in the store, so plain JSON. */
export type Plan =
  | {
      readonly kind: "settle";
      readonly network: string;
      readonly token: string;
      readonly authorization: Authorization;
      /** 130 hex digits. */
      readonly signature: string;
    }
  | {
      readonly kind: "refund";
      readonly token: string;
      readonly from: string;
      readonly to: string;
      readonly value: string;
      readonly reason: string;
    };

/** The plan that settles a payment. */
export const planSettlement = (payment: Payment): Plan => ({
  kind: "settle",
  network: payment.network,
  token: payment.token.address,
  authorization: payment.authorization,
  signature: payment.signature,
});

/** The store's key of a payment's settlement: one payment, one job. */
export const settlementKey = (payment: Payment): string =>
  paymentKeyText({
    network: payment.network,
    asset: payment.token.address,
    from: payment.authorization.from,
    nonce: payment.authorization.nonce,
  });

/** The transfer that must be in the log for the job to be done. */
export const expectedTransfer = (plan: Plan) =>
  plan.kind === "settle"
    ? { from: plan.authorization.from, to: plan.authorization.to, value: BigInt(plan.authorization.value) }
    : { from: plan.from, to: plan.to, value: BigInt(plan.value) };

/** The call to the token. */
export function callData(plan: Plan): HexString {
  if (plan.kind === "refund") {
    const args = [plan.to as HexString, BigInt(plan.value)] as const;
    return encodeFunctionData({ abi: tokenAbi, functionName: "transfer", args });
  }
  const a = plan.authorization;
  const { recovery } = splitSignature(plan.signature);
  return encodeFunctionData({
    abi: tokenAbi,
    functionName: "transferWithAuthorization",
    args: [
      a.from as HexString,
      a.to as HexString,
      BigInt(a.value),
      BigInt(a.validAfter),
      BigInt(a.validBefore),
      `0x${a.nonce}`,
      recovery + 27,
      `0x${plan.signature.slice(0, 64)}`,
      `0x${plan.signature.slice(64, 128)}`,
    ],
  });
}
