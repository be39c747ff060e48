import { readFileSync } from "node:fs";
import { fromHex, recoverAddress, toHex } from "@countersign/core";
import fc from "fast-check";
import { type Hex as HexString, hashStruct, hashTypedData } from "viem";
import { expect, test } from "vitest";
import { openWallet } from "./chain/wallet.ts";
import { type Head, headDigest, headShape, headStruct } from "./head.ts";

const types = {
  Head: [
    { name: "receiptRoot", type: "bytes32" },
    { name: "modelDigest", type: "bytes32" },
    { name: "requestDigest", type: "bytes32" },
    { name: "outputRoot", type: "bytes32" },
    { name: "termsDigest", type: "bytes32" },
    { name: "linkRoot", type: "bytes32" },
    { name: "issuedAt", type: "uint64" },
    { name: "step", type: "uint8" },
  ],
} as const;
const byViem = (head: Head) => ({
  types,
  primaryType: "Head" as const,
  message: {
    receiptRoot: `0x${head.receiptRoot}` as HexString,
    modelDigest: `0x${head.modelDigest}` as HexString,
    requestDigest: `0x${head.requestDigest}` as HexString,
    outputRoot: `0x${head.outputRoot}` as HexString,
    termsDigest: `0x${head.termsDigest}` as HexString,
    linkRoot: `0x${head.linkRoot}` as HexString,
    issuedAt: BigInt(head.issuedAt),
    step: head.step,
  },
});
type Chain = { readonly chainId: number; readonly verifyingContract: string };
const domain = (chain: Chain) => ({
  name: "Countersign",
  version: "1",
  chainId: chain.chainId,
  verifyingContract: chain.verifyingContract as HexString,
});

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const head: fc.Arbitrary<Head> = fc.record({
  receiptRoot: digest,
  modelDigest: digest,
  requestDigest: digest,
  outputRoot: digest,
  termsDigest: digest,
  linkRoot: digest,
  issuedAt: fc.integer({ min: 0, max: 253_402_300_799 }),
  step: fc.integer({ min: 0, max: 255 }),
});

test("a head's digest is what viem computes", () => {
  const contract = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((b) => `0x${toHex(b)}`);
  fc.assert(
    fc.property(head, contract, fc.integer({ min: 1, max: 2 ** 52 }), (one, verifyingContract, chainId) => {
      const chain = { chainId, verifyingContract };
      expect(`0x${toHex(headStruct(one))}`).toBe(hashStruct({ ...byViem(one), data: byViem(one).message }));
      expect(`0x${toHex(headDigest(one, chain))}`).toBe(hashTypedData({ domain: domain(chain), ...byViem(one) }));
    }),
  );
});

test("the frozen vector holds", async () => {
  const file = new URL("../../../spec/vectors/head.json", import.meta.url);
  const vector = JSON.parse(readFileSync(file, "utf8")) as {
    cases: {
      head: Head;
      chain: Chain;
      struct: string;
      digest: string;
      key: string;
      signer: string;
      signature: string;
    }[];
  };
  expect(vector.cases.length).toBeGreaterThan(0);
  for (const one of vector.cases) {
    const parsed = headShape.parse(one.head);
    expect(toHex(headStruct(parsed))).toBe(one.struct);
    expect(toHex(headDigest(parsed, one.chain))).toBe(one.digest);
    expect(await openWallet(one.key).signDigest(fromHex(one.digest))).toBe(one.signature);
    expect(recoverAddress(fromHex(one.digest), one.signature)).toBe(one.signer);
  }
});
