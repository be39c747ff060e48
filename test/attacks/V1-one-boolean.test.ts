import { claims, grounds, type Policy } from "@countersign/core";
import { judge } from "@countersign/verify";
import fc from "fast-check";
import { expect, test } from "vitest";
import { judgeIt } from "./receipts.ts";

const requirement = fc.record({
  claim: fc.constantFrom(...claims),
  ground: fc.constantFrom(...grounds),
  facts: fc.constant({}),
});
const policy: fc.Arbitrary<Policy> = fc.letrec<{ tree: Policy }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    requirement as fc.Arbitrary<Policy>,
    fc.record({ all: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }) }) as fc.Arbitrary<Policy>,
    fc.record({ any: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }) }) as fc.Arbitrary<Policy>,
  ),
})).tree;

test("V1: no evidence meets no policy, in whatever form it is asked", () => {
  fc.assert(
    fc.property(policy, (p) => {
      expect(judge(p, [], true).state).not.toBe("met");
    }),
    { numRuns: 300 },
  );
});

test("V1: a verdict is no boolean: every check says passed, failed or not run", () => {
  const verdict = judgeIt({});
  expect(verdict.outcome).toBe("unmet");
  for (const check of verdict.checks) expect(["passed", "failed", "not-run"]).toContain(check.status);
  expect(JSON.stringify(verdict)).not.toMatch(/"(?:verified|valid|ok)":/);
});
