// Forgeries of the draw: whoever may draw again until he likes the answer has chosen it.
import { describe, expect, test } from "vitest";
import { json, judge, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { answer, body, makeReceipt } from "../../../../test/fixtures/receipt.ts";

const asked = JSON.parse(new TextDecoder().decode(body));
const mismatch = ["EXECUTION_PROFILE_MISMATCH"];
const message = (content: string) => ({ ...answer, content }) as typeof answer;

test.each([
  ["a seed from the client's nonce", {}],
  ["the client's own seed", { body: json({ ...asked, seed: 7 }), seeds: [7] }],
  ["no draw", { body: json({ ...asked, temperature: 0 }), seeds: [], sampler: "greedy" }],
])("honest: %s", (_, changes) => {
  expect(view(judge(makeReceipt(changes), { policy: "audit" }))).toEqual(sound);
});

describe("the node's own seed", () => {
  test("as a parameter that nobody asked for", () => {
    const effective = { temperature: "0.7", max_tokens: 16, seed: 4242 };
    expect(view(judge(makeReceipt({ effective, seeds: [4242] }), { policy: "audit" }))).toEqual(
      unmet(mismatch, "sampling"),
    );
  });
  test("in the place of the client's, as a declared rewrite", () => {
    const made = makeReceipt({
      body: json({ ...asked, seed: 1 }),
      effective: { temperature: "0.7", max_tokens: 16, seed: 4242 },
      seeds: [4242],
      statement: { rewrites: ["params.seed"] },
    });
    expect(view(judge(made, { policy: "sampling" }))).toEqual(unmet(mismatch, "prompt", "sampling"));
  });
  test("under a request digest that was tried until the draw pleased: nothing shows whose digest it is", () => {
    const made = makeReceipt({ digestBody: json({ any: 1 }) });
    const openings = made.receipt.openings.filter((o) => !["clientNonce", "policy"].includes(o.path));
    const verdict = judge({ ...made, receipt: { ...made.receipt, openings } }, { policy: "sampling" });
    expect(view(verdict)).toEqual(unmet([], "request", "prompt", "sampling"));
  });
});

describe("no seed, or too few", () => {
  test("greedy in the profile beside a temperature", () => {
    const made = makeReceipt({ sampler: "greedy", seeds: [] });
    expect(view(judge(made, { policy: "audit" }))).toEqual(unmet(mismatch, "sampling"));
  });
  test("one seed for three choices", () => {
    const made = makeReceipt({ body: json({ ...asked, n: 3 }), answers: ["Paris", "Lyon", "Nice"].map(message) });
    expect(view(judge(made, { policy: "audit" }))).toEqual(unmet(mismatch, "sampling"));
  });
  test("seeds where nothing is drawn", () => {
    const made = makeReceipt({
      endpoint: "/v1/embeddings",
      body: json({ model: "pocket", input: "x" }),
      seeds: [1],
      answers: [{ kind: "embedding", data: "AAAAAA==" }],
      delivers: json({ data: [{ index: 0, embedding: "AAAAAA==" }] }),
    });
    expect(view(judge(made, { policy: "sampling" }))).toEqual(unmet(mismatch, "sampling"));
  });
});

describe("a nonce that is not shown to be the client's", () => {
  const made = makeReceipt();
  const nobodys = { ...made.delivered, clientNonce: undefined };
  test("one that only stands in the file is nobody's", () => {
    expect(view(judge({ ...made, delivered: nobodys }, { policy: "audit" }))).toEqual(unmet([], "sampling"));
  });
  test("nor one that a stranger puts into the holder's part", () => {
    const holder = made.receipt.holder && { ...made.receipt.holder, clientNonce: "ab".repeat(32) };
    const verdict = judge({ receipt: { ...made.receipt, holder }, delivered: nobodys }, { policy: "audit" });
    expect(view(verdict)).toEqual(unmet([], "sampling"));
  });
  test("nor one that the statement says the gateway drew", () => {
    const drawn = makeReceipt({ statement: { nonceSource: "gateway" } });
    expect(view(judge(drawn, { policy: "audit" }))).toEqual(unmet([], "sampling"));
  });
});

test("another host's draw is nobody's word here", () => {
  expect(view(judge(makeReceipt({ statement: { scope: "origin" } })))).toEqual(unmet([], "model", "sampling"));
});

test("parameters that cannot be read prove nothing", () => {
  const made = makeReceipt({ contents: { params: json(null) } });
  expect(view(judge(made))).toEqual(unmet([], "prompt", "sampling"));
});
