import { afterAll, beforeAll, expect, test } from "vitest";
import { makeJob, pick, post, startTestNode } from "../../packages/node/src/fixtures/job.ts";
import { makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, judgeIt } from "./receipts.ts";

const model = "lande-50";
let node: Awaited<ReturnType<typeof startTestNode>>;
beforeAll(async () => {
  node = await startTestNode([model]);
});
afterAll(() => node.close());

test("X8: a node does not run an offer for a version of the deployment that is not in force", async () => {
  const inputs = { x: { type: "float32", dims: [1], data: "AACAPw==" } };
  for (const offer of [{ deployment: { id: model, version: 2 } }, { model: { id: model, digest: "00".repeat(32) } }]) {
    const events = await post(node, makeJob(node, "/v1/infer", { model, inputs }, { offer }));
    expect(pick(events, "error").code).toBe("DEPLOYMENT_CHANGED");
  }
});

test("X8: each statement names the version that ran, and one that the offer does not name is a contradiction", () => {
  const { receipt, delivered } = makeReceipt({ statement: { deployment: { id: "pocket", version: 2 } } });
  const verdict = judgeIt(receipt, { delivered });
  expect(verdict.outcome).toBe("refuted");
  expect(codesOf(verdict)).toContain("DEPLOYMENT_SUBSTITUTED");
});
