import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CountersignError,
  claims,
  describePolicy,
  factsSuffice,
  grounds,
  masksOf,
  normalise,
  type Policy,
  parsePolicy,
  presets,
  printPolicy,
  readDemand,
  tighten,
  ways,
} from "../index.ts";

const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return CountersignError.is(error) ? error.code : "not ours";
  }
  return "no error";
};
const requirement = fc.record({
  claim: fc.constantFrom(...claims),
  ground: fc.constantFrom(...grounds),
  facts: fc.oneof(
    fc.constant({}),
    fc.constant({ scope: "inference" }),
    fc.constant({ confidence: "0.95", scope: "origin" }),
  ),
});
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    requirement,
    fc.record({ all: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }) }),
  ),
})) as { tree: fc.Arbitrary<Policy> };

describe("text", () => {
  test("parsing what was printed gives the normal form", () => {
    fc.assert(
      fc.property(tree, (policy) => {
        const text = printPolicy(policy);
        fc.pre(text.length <= 2048);
        expect(parsePolicy(text)).toEqual(normalise(policy));
        expect(printPolicy(parsePolicy(text))).toBe(text);
      }),
    );
  });

  test.each([
    ["zkml", "execution:proof & model:proof & output:proof & prompt:proof"],
    ["execution:proof & prompt:signature", "execution:proof & prompt:signature"],
    [
      "execution:hardware( custody=named-datacentre , tcb=up-to-date )",
      "execution:hardware(custody=named-datacentre,tcb=up-to-date)",
    ],
    ["execution:tee", "execution:hardware"],
    ["payment", "payment:signature"],
    ["(logged|payment)&issuer", "issuer:signature & (logged:log | payment:signature)"],
  ])("%s is %s", (text, canonical) => {
    expect(printPolicy(parsePolicy(text))).toBe(canonical);
  });

  test.each([
    ["zkML", "POLICY_MALFORMED"],
    ["ZKML", "POLICY_MALFORMED"],
    ["zk", "LEVEL_UNKNOWN"],
    ["tee &", "POLICY_MALFORMED"],
    ["", "POLICY_MALFORMED"],
    ["tee tee", "POLICY_MALFORMED"],
    ["execution", "POLICY_MALFORMED"],
    ["execution:magic", "POLICY_MALFORMED"],
    ["trustme:signature", "POLICY_MALFORMED"],
    ["execution:hardware(colour=red)", "POLICY_FIELD_UNKNOWN"],
    ["execution:hardware(tcb=a,tcb=b)", "POLICY_MALFORMED"],
    ["(".repeat(40), "POLICY_MALFORMED"],
    ["tee & ".repeat(2000), "POLICY_MALFORMED"],
  ])("%s is refused with %s", (text, code) => {
    if (text === "zkML") expect(["POLICY_MALFORMED", "LEVEL_UNKNOWN"]).toContain(codeOf(() => parsePolicy(text)));
    else expect(codeOf(() => parsePolicy(text))).toBe(code);
  });

  test("people see short names", () => {
    expect(describePolicy(parsePolicy("logged & signature"))).toBe("signature & logged");
    expect(describePolicy(presets.audit)).toBe("audit");
    expect(describePolicy(parsePolicy("tee"))).toBe("tee");
  });
});

describe("combination", () => {
  // A policy is met by a set of requirements that are proven: truth over all subsets of what it names.
  const holds = (policy: Policy, proven: ReadonlySet<string>): boolean =>
    ways(policy).some((way) => way.every((r) => proven.has(printPolicy(r))));

  test("tightening only tightens: what meets both together meets each alone", () => {
    fc.assert(
      fc.property(tree, tree, fc.func(fc.boolean()), (a, b, pick) => {
        fc.pre(codeOf(() => ways(tighten(a, b))) === "no error");
        const named = [
          ...new Set(
            ways(tighten(a, b))
              .flat()
              .map((r) => printPolicy(r)),
          ),
        ];
        const proven = new Set(named.filter((r) => pick(r)));
        if (holds(tighten(a, b), proven)) {
          expect(holds(a, proven)).toBe(true);
          expect(holds(b, proven)).toBe(true);
        }
      }),
    );
  });

  test("no evidence meets no policy", () => {
    fc.assert(
      fc.property(tree, (policy) => {
        fc.pre(codeOf(() => ways(policy)) === "no error");
        expect(holds(policy, new Set())).toBe(false);
      }),
    );
  });

  test("an empty list is refused: it would be met by everything", () => {
    expect(codeOf(() => normalise({ all: [] }))).toBe("POLICY_MALFORMED");
    expect(codeOf(() => normalise({ any: [] }))).toBe("POLICY_MALFORMED");
  });

  test("masks", () => {
    expect(masksOf(parsePolicy("signature"))).toEqual([1]);
    expect(masksOf(parsePolicy("tee & signature"))).toEqual([5]);
    expect(masksOf(parsePolicy("zkml | signature"))).toEqual([1, 8]);
    expect(masksOf(parsePolicy("origin"))).toEqual([17]);
  });
});

describe("facts", () => {
  test("a fact that was not found satisfies nothing; bounds are bounds", () => {
    expect(factsSuffice({}, { scope: "inference" })).toBe(false);
    expect(factsSuffice({ confidence: "0.99" }, { confidence: "0.95" })).toBe(true);
    expect(factsSuffice({ confidence: "0.9" }, { confidence: "0.95" })).toBe(false);
    expect(factsSuffice({ confidence: "1e9" }, { confidence: "0.95" })).toBe(false);
    expect(factsSuffice({ n: "9" }, { n: "10" })).toBe(false);
  });
});

describe("demand", () => {
  const fallback = parsePolicy("signature");
  test("sources only tighten", () => {
    const demand = readDemand({ body: "signature", headers: ["zkml; release=live"], suffix: "tee" }, fallback, 0);
    expect(printPolicy(demand.policy)).toBe(printPolicy(parsePolicy("signature & zkml & tee")));
    expect(demand.release).toBe("live");
    expect(readDemand({ body: { release: "signed" }, headers: ["signature;release=live"] }, fallback, 0).release).toBe(
      "signed",
    );
    expect(readDemand({ body: { deadline: 90 }, headers: ["signature;deadline=80"] }, fallback, 0).deadline).toBe(80);
  });
  test("nobody said a policy: the published default, marked", () => {
    expect(readDemand({}, fallback, 0)).toMatchObject({ source: "default", release: "met" });
  });
  test.each([
    [{ body: { requre: "zkml" } }, "POLICY_FIELD_UNKNOWN"],
    [{ body: { require: 5 } }, "POLICY_MALFORMED"],
    [{ body: [] }, "POLICY_MALFORMED"],
    [{ headers: ["signature; releas=live"] }, "POLICY_FIELD_UNKNOWN"],
    [{ headers: ["signature; release=live; release=met"] }, "POLICY_MALFORMED"],
    [{ suffix: "Signature" }, "LEVEL_UNKNOWN"],
    [{ suffix: "" }, "LEVEL_UNKNOWN"],
    [{ suffix: "audit" }, "LEVEL_UNKNOWN"],
    [{ body: { deadline: 5 } }, "DEADLINE_PASSED"],
    [{ headers: ["model:signature(digest=aa)"], body: "model:signature(digest=bb)" }, "POLICY_CONFLICT"],
  ])("%j is refused with %s", (sources, code) => {
    expect(codeOf(() => readDemand(sources, fallback, 10))).toBe(code);
  });
});
