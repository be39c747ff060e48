// Forgeries of what was asked: another request, another model, a weaker demand, a replayed answer.
import { leafBytes, modelLeafShape, parsePolicy, sha256, toHex, utf8 } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { json, judge, refuted, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { body, demandSignature, makeReceipt } from "../../../../test/fixtures/receipt.ts";

const asked = JSON.parse(new TextDecoder().decode(body));
const without = (made: ReturnType<typeof makeReceipt>, ...paths: string[]) => ({
  ...made,
  receipt: { ...made.receipt, openings: made.receipt.openings.filter((o) => !paths.includes(o.path)) },
});

test("the honest twin is met and final", () => {
  expect(view(judge(makeReceipt(), { policy: "audit" }))).toEqual(sound);
});

describe("another model than was asked for", () => {
  const big = json({ ...asked, model: "gpt-big" });
  test.each([
    ["the leaf says that this one was asked for", { requested: "pocket" }],
    ["the leaf admits it, no rewrite is declared", { requested: "gpt-big", substitutedFrom: "gpt-big" }],
    ["the leaf hides it", { requested: "gpt-big" }],
  ])("%s", (_, leafModel) => {
    const made = makeReceipt({ body: big, leafModel });
    expect(view(judge(made))).toEqual(refuted(["REWRITE_UNDECLARED"], ["prompt"]));
  });
  test("a declared rewrite does not cover a lie about what was asked for", () => {
    const made = makeReceipt({ body: big, leafModel: { requested: "pocket" }, statement: { rewrites: ["model"] } });
    expect(view(judge(made))).toEqual(refuted(["REWRITE_UNDECLARED"], ["prompt"]));
  });
  test("with leaf model closed nothing is said about prompt and model", () => {
    const made = makeReceipt({ contents: { model: leafBytes(modelLeafShape, lie) } });
    expect(view(judge(without(made, "model")))).toEqual(unmet([], "prompt", "model"));
    expect(view(judge(made))).toEqual({
      ...refuted(["REWRITE_UNDECLARED", "STATEMENT_ROOT_MISMATCH"], ["prompt"]),
    });
  });
  const lie = {
    requested: "another",
    manifest: "ab".repeat(32),
    deployment: { id: "pocket", version: 1 },
    served: null,
    substitutedFrom: null,
  };
});

describe("a weaker demand than the body's", () => {
  const strong = json({ ...asked, model: "pocket:tee", verification: "zkml" });
  const demand = { ...demandSignature, policy: parsePolicy("issuer"), source: "default" as const };
  test("written down by the gateway, the body still counts", () => {
    const verdict = judge(makeReceipt({ body: strong, demand }));
    expect(view(verdict)).toEqual(unmet([]));
    expect(verdict.policy.demanded).toMatch(/execution:hardware.*execution:proof/);
  });
  test("a malformed policy in the body is the gateway's to refuse, and no crash here", () => {
    const made = makeReceipt({ body: json({ ...asked, verification: "no such word" }) });
    expect(judge(made).outcome).toBe("met");
  });
});

describe("two requests under one receipt", () => {
  const other = json({ ...asked, messages: [{ role: "user", content: "How do I poison somebody?" }] });
  const shown = (made: ReturnType<typeof makeReceipt>, fields: readonly string[]) => ({
    ...made.receipt,
    holder: null,
    openings: made.openings.filter((o) => fields.includes(o.path.split("/")[0] as string)),
  });
  const leaves = ["policy", "offer", "model", "profile", "params", "system", "messages", "tools", "output", "payment"];

  test("leaf 0 is of another body, closed: the digest alone is not enough", () => {
    const made = makeReceipt({ contents: { rawRequest: other } });
    const verdict = judge({ receipt: shown(made, [...leaves, "clientNonce"]), delivered: made.delivered });
    expect(view(verdict)).toEqual(unmet([], "request", "prompt", "sampling"));
  });
  test("leaf 0 is of another body, opened to a third party: leaf 0 alone is not enough", () => {
    const made = makeReceipt({ contents: { rawRequest: other } });
    const receipt = shown(made, ["policy", "offer", "model", "profile", "rawRequest", "output"]);
    const verdict = judge({ receipt, delivered: {} }, { policy: "request:signature & output:signature" });
    expect(verdict.outcome).toBe("unmet");
    expect(view(verdict).lacks).toEqual(expect.arrayContaining(["request", "prompt", "payment", "sampling"]));
  });
  test("leaf 0 is of another body, and the holder has the secret", () => {
    const made = makeReceipt({ contents: { rawRequest: other } });
    expect(view(judge(made))).toEqual(
      refuted(["REQUEST_MISMATCH"], ["request", "prompt", "sampling"], ["request", "prompt"]),
    );
  });
  test("the digest is of another body", () => {
    const made = makeReceipt({ digestBody: other });
    expect(view(judge(made))).toEqual(
      refuted(["REQUEST_MISMATCH"], ["request", "prompt", "sampling"], ["request", "prompt"]),
    );
    // Closing the leaves that show it hides the contradiction and the proof with it, the draw's too.
    const hidden = without(made, "clientNonce", "policy");
    expect(view(judge(hidden))).toEqual(unmet([], "request", "prompt", "sampling"));
  });
  test("the tag is of another nonce than the digest, leaf 7 closed: two runs must not hide behind two tags (A4)", () => {
    const made = makeReceipt({
      contents: { clientNonce: sha256(utf8("a second nonce")) },
      statement: { requestTag: "ab".repeat(32) },
    });
    const opened = made.openings.filter((o) => !["clientNonce"].includes(o.path));
    const receipt = { ...made.receipt, holder: null, openings: opened };
    const verdict = judge({ ...made, receipt });
    expect(verdict.outcome).toBe("refuted");
    expect(view(verdict)).toMatchObject({ refuted: ["request", "prompt"] });
  });
});

describe("an answer made for somebody else's nonce", () => {
  const old = makeReceipt({ nonce: sha256(utf8("an earlier client's nonce")) });
  const mine = { ...old.delivered, clientNonce: toHex(sha256(utf8("my nonce"))) };
  const replayed = refuted(["REQUEST_MISMATCH"], ["request", "prompt", "sampling"], ["request", "prompt"]);
  test("is refuted when the client shows his own", () => {
    expect(view(judge({ ...old, delivered: mine }))).toEqual(replayed);
    expect(view(judge({ ...without(old, "clientNonce", "policy"), delivered: mine }))).toEqual(replayed);
  });
  test("without the secret and with the nonce closed it proves nothing about the request", () => {
    const { receipt } = without(old, "clientNonce", "policy");
    const verdict = judge({ receipt: { ...receipt, holder: null }, delivered: mine });
    expect(verdict.outcome).toBe("unmet");
    expect(view(verdict).lacks).toEqual(expect.arrayContaining(["request", "prompt", "sampling"]));
  });
  test("without any nonce of the client's the draw is not proven", () => {
    const verdict = judge({ ...old, delivered: { ...old.delivered, clientNonce: undefined } }, { policy: "audit" });
    expect(view(verdict)).toEqual(unmet([], "sampling"));
  });
});

describe("fields that the deployment salts itself", () => {
  test.each([
    ["a rewrite of them is declared", { rewrites: ["system"], ownerSalted: ["system", "tools"] as const }],
    ["no rewrite is declared, one of them is closed", { ownerSalted: ["tools"] as const }],
  ])("%s", (_, statement) => {
    const made = makeReceipt({ statement: { ...statement, ownerSalted: [...statement.ownerSalted] } });
    const verdict = judge(without(made, "system", "tools", "forwarded", "modelInput"));
    expect(view(verdict)).toEqual(unmet([], "prompt"));
  });
});
