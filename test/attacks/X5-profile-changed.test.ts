import { type Contents, commit, openFields, parseCanonical, type RunEvent } from "@countersign/core";
import { formatTensors, replayReceipt } from "@countersign/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleOf } from "../../packages/cli/src/network/examples.ts";
import { makeJob, pick, post, startTestNode } from "../../packages/node/src/fixtures/job.ts";

const model = "lande-50";
let node: Awaited<ReturnType<typeof startTestNode>>;
let events: readonly RunEvent[];
beforeAll(async () => {
  node = await startTestNode([model]);
  const { tensors } = await exampleOf(model);
  const inputs = formatTensors(tensors);
  events = await post(node, makeJob(node, "/v1/infer", { model, inputs }));
});
afterAll(() => node.close());

const models = async () => {
  const engine = node.context.served[0]?.engine;
  return engine?.kind === "onnx" ? engine : undefined;
};

/** The run's receipt with another execution profile committed. */
function withProfile(change: object) {
  const done = pick(events, "done");
  const { fields, elements } = openFields(done);
  const bytes = (f: string) => (fields.get(f as never) as { bytes: Uint8Array }).bytes;
  const list = (f: string) => [...elements].filter(([k]) => k.startsWith(`${f}/`)).map(([, v]) => v);
  const profile = { ...(parseCanonical(bytes("profile")) as object), ...change };
  const sorted = Object.fromEntries(Object.entries(profile).sort(([a], [b]) => (a < b ? -1 : 1)));
  const contents: Contents = {
    model: bytes("model"),
    params: bytes("params"),
    modelInput: list("modelInput"),
    profile: new TextEncoder().encode(JSON.stringify(sorted)),
    output: list("output"),
  };
  return { ...done, ...commit(contents, () => new Uint8Array(32)) };
}
const replay = (change: object) =>
  replayReceipt({ receipt: withProfile(change), models, engines: node.context.engines });

test("X5: a replay in the recorded profile gives the same bits", async () => {
  expect(await replay({})).toMatchObject({ status: "same" });
});

test.each([{ dtype: "q4_0" }, { engine: "llama.cpp" }, { device: "cuda" }, { library: "00".repeat(32) }])(
  "X5: an engine that fell back to %j is not compared as if it had not: neither a pass nor a refutation",
  async (change) => {
    expect(await replay(change)).toMatchObject({ status: "not-comparable", code: "EXECUTION_PROFILE_MISMATCH" });
  },
);
