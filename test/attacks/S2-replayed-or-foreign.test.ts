import { readDelivery, sha256, signDelivery, toHex, utf8 } from "@countersign/core";
import { openStore } from "@countersign/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeJob, pick, post, startTestNode } from "../../packages/node/src/fixtures/job.ts";
import { keys, makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, honest, judgeIt } from "./receipts.ts";

const model = "lande-50";
let node: Awaited<ReturnType<typeof startTestNode>>;
beforeAll(async () => {
  node = await startTestNode([model]);
});
afterAll(() => node.close());

test("S2: a nonce is one run's: a store refuses its second use", async () => {
  const store = openStore({ file: ":memory:" });
  try {
    const key = (n: number) => ({
      network: "eip155:1",
      asset: `0x${"11".repeat(20)}`,
      from: `0x${"22".repeat(20)}`,
      nonce: String(n).repeat(64),
    });
    const digest = "0".repeat(64);
    const use = (n: number, requestDigest: string) =>
      store.reservations.reserve({
        paymentKey: key(n),
        offerDigest: digest,
        requestDigest,
        receiptId: String(n).repeat(64),
        validBefore: 2_000_000_000,
        now: Date.now(),
        clientNonce: "ab".repeat(32),
      });
    expect((await use(1, digest)).state).toBe("reserved");
    await expect(use(2, "1".repeat(64))).rejects.toThrow(expect.objectContaining({ code: "NONCE_REPLAYED" }));
  } finally {
    await store.close();
  }
});

test("S2: a node signs one receipt for one request under one offer", async () => {
  const job = makeJob(node, "/v1/infer", { model, inputs: {} });
  // The request itself is refused, so nothing was signed: a refusal uses no tag up.
  const first = pick(await post(node, job), "error").code;
  expect(first).not.toBe("NONCE_REPLAYED");
  const { context } = node;
  const tag = "ab".repeat(32);
  await context.tags.sign(tag, Math.floor(Date.now() / 1000) + 60);
  expect(() => context.tags.reserve(tag, Date.now())).toThrow(expect.objectContaining({ code: "NONCE_REPLAYED" }));
});

test("S2: a signature made for one purpose or receipt stands for no other", () => {
  const other = makeReceipt({ seeds: [1] });
  // A countersignature about another receipt, pinned to this one.
  const moved = judgeIt({ ...honest.receipt, delivery: other.receipt.delivery });
  expect(codesOf(moved)).toContain("DOMAIN_MISMATCH");
  // The same words about this very root, signed by the node's key in the gateway's name.
  const said = readDelivery(honest.receipt.delivery).predicate;
  const byNode = signDelivery(honest.receiptRoot, said, keys.node);
  const sig = byNode.signatures[0]?.sig as string;
  const forged = { ...byNode, signatures: [{ keyid: said.gateway, sig }] };
  expect(codesOf(judgeIt({ ...honest.receipt, delivery: forged }))).toContain("DOMAIN_MISMATCH");
  // An offer in the statement's place: another type of document, however well it is signed.
  const verdict = judgeIt({ ...honest.receipt, statement: honest.receipt.offer });
  expect(verdict.outcome).toBe("unmet");
  expect(codesOf(verdict)).toContain("STATEMENT_MALFORMED");
});

test("S2: a receipt of another chain is of no use on this one", () => {
  const { receipt, delivered } = makeReceipt({ statement: { network: "eip155:8453" } });
  expect(codesOf(judgeIt(receipt, { delivered }))).toContain("RECEIPT_WRONG_NETWORK");
});

test("S2: an answer to another nonce of mine is not an answer to this request", () => {
  const clientNonce = toHex(sha256(utf8("another nonce")));
  const verdict = judgeIt(honest.receipt, { delivered: { ...honest.delivered, clientNonce } });
  expect(verdict.outcome).toBe("refuted");
  expect(codesOf(verdict)).toContain("REQUEST_MISMATCH");
});
