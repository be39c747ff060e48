import { fromBase64Url, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { checkInclusion, checkTlogProof, hashLeaf, hashNode, parsePolicy, parseVkey, treeRoot } from "@countersign/log";
import { expect, test } from "vitest";
import { trust } from "../fixtures/receipt.ts";
import { codesOf, honest, judgeIt } from "./receipts.ts";

const leaves = ["a", "b", "c"].map((t) => hashLeaf(utf8(t)));
const [a, b, c] = leaves as [Uint8Array, Uint8Array, Uint8Array];
const root = treeRoot(leaves);
const check = (leafHash: Uint8Array, index: number, size: number, path: readonly Uint8Array[]) =>
  checkInclusion({ leaf: leafHash, index, size, proof: path, root }).status;

test("L5: leaves and nodes are of different kinds, and no odd leaf counts twice", () => {
  expect(check(a, 0, 3, [b, c])).toBe("ok");
  expect(check(c, 2, 3, [hashNode(a, b)])).toBe("ok");
  // An entry whose bytes are those of an inner node is another leaf than the node; and no odd leaf is paired with itself.
  expect(check(hashLeaf(Buffer.concat([a, b])), 0, 2, [c])).toBe("failed");
  expect(check(c, 3, 4, [c, hashNode(a, b)])).toBe("failed");
  expect(hashNode(a, b)).not.toEqual(hashLeaf(Buffer.concat([a, b])));
});

test("L5: a path of another length than index and size ask for proves nothing", () => {
  for (const path of [[], [b], [b, c, c]]) expect(check(a, 0, 3, path)).toBe("failed");
});

test("L5: a receipt whose proof is of another entry has none", () => {
  const [inclusion] = honest.receipt.inclusion as [(typeof honest.receipt.inclusion)[number]];
  const proof = inclusion.proof.replace(/^index \d+/m, "index 0");
  expect(proof).not.toBe(inclusion.proof);
  const verdict = judgeIt({ ...honest.receipt, inclusion: [{ ...inclusion, proof }] }, { policy: "logged" });
  expect(verdict.outcome).not.toBe("met");
  expect(codesOf(verdict)).toContain("PROOF_INVALID");
  const result = checkTlogProof({
    proof: inclusion.proof,
    entry: Uint8Array.from([...fromBase64Url(inclusion.entry), 0]),
    log: parseVkey(trust.logs[0] as string),
    witnesses: parsePolicy(trust.witnesses),
    suite: nodeSuite,
  });
  expect(result.outcome).not.toBe("logged");
});
