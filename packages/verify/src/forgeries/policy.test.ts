// Forgeries of what a verdict demands, and of what a run was.
import { CountersignError, masksOf, parsePolicy, readDemand } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { judge, refuted, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { answer, demandSignature, keyOf, makeReceipt } from "../../../../test/fixtures/receipt.ts";

const code = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    if (CountersignError.is(error)) return error.code;
    throw error;
  }
  return undefined;
};
/** Alternatives in alternatives, `n` deep. */
const nested = (n: number): string => {
  let text = "issuer";
  for (let i = 0; i < n; i++)
    text = i % 2 ? `model:signature | output:signature & (${text})` : `payment | request:signature & (${text})`;
  return text;
};

describe("words that JavaScript's objects know", () => {
  test.each([
    ["constructor", "LEVEL_UNKNOWN"],
    ["toString", "LEVEL_UNKNOWN"],
    ["signature | valueOf", "LEVEL_UNKNOWN"],
    ["model:constructor", "POLICY_MALFORMED"],
    ["issuer:hasOwnProperty", "POLICY_MALFORMED"],
    ["issuer:signature(constructor=x)", "POLICY_FIELD_UNKNOWN"],
  ])("%s is refused", (text, wanted) => expect(code(() => parsePolicy(text))).toBe(wanted));
  test("a header's option too", () => {
    const headers = ["signature; __proto__=x"];
    expect(code(() => readDemand({ headers }, parsePolicy("signature"), 0))).toBe("POLICY_FIELD_UNKNOWN");
  });
});

describe("policies that grow", () => {
  const timed = (run: () => unknown) => {
    const start = performance.now();
    run();
    expect(performance.now() - start).toBeLessThan(1000);
  };
  test.each([2, 8, 9, 16, 30])("nested %i deep they are read or refused at once", (n) => {
    timed(() => expect(code(() => parsePolicy(nested(n)))).toBe(n > 8 ? "POLICY_MALFORMED" : undefined));
  });
  test("trees too", () => {
    let tree: unknown = { claim: "issuer", ground: "signature" };
    for (let i = 0; i < 18; i++)
      tree =
        i % 2
          ? { any: [{ claim: "payment", ground: "signature" }, tree] }
          : { all: [{ claim: "model", ground: "signature" }, tree] };
    timed(() =>
      expect(code(() => readDemand({ body: { require: tree } }, parsePolicy("signature"), 0))).toBe("POLICY_MALFORMED"),
    );
  });
  test("in a stranger's statement they end in a verdict", () => {
    const policy = {
      demanded: nested(9),
      bought: "issuer:signature",
      release: "met",
      deadline: null,
      source: "request",
    } as const;
    const { receipt, delivered } = makeReceipt({ node: keyOf("nobody"), statement: { policy } });
    const verdict = judge({ receipt: { ...receipt, inclusion: [] }, delivered });
    expect(verdict.outcome).toBe("unmet");
    expect(view(verdict).codes).toEqual(["POLICY_MALFORMED"]);
  });
  test("a demand with more ways than the log counts leaves the entry unproven", () => {
    const ors = Array.from({ length: 7 }, (_, i) => `(issuer | payment | execution:proof(n=${i + 1}))`).join(" & ");
    const policy = parsePolicy(ors);
    expect(code(() => masksOf(policy))).toBe("POLICY_MALFORMED");
    const verdict = judge(makeReceipt({ demand: { ...demandSignature, policy } }));
    expect(view(verdict).codes).toContain("ENTRY_EVIDENCE_INVALID");
    expect(view(verdict).lacks).toContain("logged");
  });
});

describe("a guarantee below what was offered", () => {
  const made = makeReceipt({ guarantee: "execution:proof & issuer:signature", bought: "issuer:signature" });
  test("is refuted by the offer", () => {
    expect(view(judge(made))).toEqual({ ...refuted(["LEVEL_OVERSTATED"], []) });
  });
  test("with the offer left out nothing is final and no payment is proven", () => {
    expect(view(judge({ ...made, receipt: { ...made.receipt, offer: null } }))).toEqual({
      ...sound,
      final: false,
      lacks: ["payment"],
    });
  });
  test("with leaf offer closed nothing is said about the request", () => {
    const openings = made.receipt.openings.filter((o) => o.path !== "offer");
    expect(view(judge({ ...made, receipt: { ...made.receipt, openings } }))).toEqual(
      unmet(["OFFER_UNKNOWN"], "request", "prompt", "payment", "sampling"),
    );
  });
});

describe("a demand below the committed one", () => {
  const policy = {
    demanded: "issuer:signature",
    bought: "issuer:signature",
    release: "met",
    deadline: null,
    source: "request",
  } as const;
  const made = makeReceipt({ statement: { policy } });
  test("is refuted by leaf policy", () => {
    const verdict = judge({ ...made, receipt: { ...made.receipt, offer: null } });
    expect(verdict.outcome).toBe("refuted");
    expect(view(verdict).codes).toContain("STATEMENT_ROOT_MISMATCH");
  });
  test("with the leaf closed the request is not proven, and nothing is final", () => {
    const openings = made.receipt.openings.filter((o) => o.path !== "policy");
    const verdict = judge({ ...made, receipt: { ...made.receipt, offer: null, openings } });
    expect(view(verdict)).toMatchObject({ final: false, lacks: ["request", "prompt", "payment", "sampling"] });
  });
});

describe("runs that were something else", () => {
  test("synthetic ones say so", () => {
    const verdict = judge(makeReceipt({ statement: { labels: ["synthetic"] }, entry: { flags: ["synthetic"] } }));
    expect(verdict.outcome).toBe("met");
    expect(verdict.summary).toMatch(/synthetic/);
  });
  test("aborted ones have no answer", () => {
    const verdict = judge(makeReceipt({ statement: { outcome: "aborted" }, entry: { flags: ["aborted"] } }));
    expect(view(verdict)).toEqual(unmet(["RUN_INCOMPLETE"], "output"));
  });
  test("nor have those that ended in an error, called complete, opened or not", () => {
    const broken = { ...answer, finish: "error" } as typeof answer;
    const made = makeReceipt({ answer: broken });
    expect(view(judge(made))).toEqual(unmet(["RUN_INCOMPLETE"], "output"));
    const opened = { ...made.receipt, openings: made.openings };
    expect(view(judge({ receipt: opened, delivered: { ...made.delivered, output: undefined } }))).toEqual(
      unmet(["RUN_INCOMPLETE"], "output"),
    );
    expect(view(judge({ receipt: opened, delivered: { ...made.delivered, output: { text: "Paris" } } }))).toEqual(
      unmet(["RUN_INCOMPLETE"], "output"),
    );
  });
  test("no choice at all is no answer", () => {
    const made = makeReceipt({ answers: [], seeds: [], sampler: "greedy" });
    expect(view(judge(made))).toMatchObject({ outcome: "unmet", lacks: ["output", "sampling"] });
    const empty = { ...made.delivered, output: { body: new Uint8Array() } };
    expect(view(judge({ ...made, delivered: empty }))).toMatchObject({
      outcome: "unmet",
      lacks: ["output", "sampling"],
    });
  });
});
