import { readFileSync } from "node:fs";
import { CountersignError, masksOf, parsePolicy, parseTrust, printPolicy, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { verify } from "./index.ts";

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../spec/vectors/${name}.json`, import.meta.url), "utf8"));

type PolicyCase = {
  readonly text: string;
  readonly canonical?: string;
  readonly masks?: readonly number[];
  readonly error?: string;
};
describe("spec/vectors/policy.json", () => {
  test.each(read("policy") as readonly PolicyCase[])("$text", ({ text, canonical, masks, error }) => {
    if (error !== undefined) {
      expect(() => parsePolicy(text)).toThrow(CountersignError);
      expect(() => parsePolicy(text)).toThrow(error);
      return;
    }
    const policy = parsePolicy(text);
    expect(printPolicy(policy)).toBe(canonical);
    expect(masksOf(policy)).toEqual(masks);
  });
});

type VerdictCase = {
  readonly name: string;
  readonly receipt: unknown;
  readonly delivered: {
    readonly request?: { readonly method: string; readonly path: string; readonly body: string };
    readonly output?: string;
    readonly clientNonce?: string;
  };
  readonly policy?: string;
  readonly allowDevelopment: boolean;
  readonly expect: unknown;
};
describe("spec/vectors/verdict.json", () => {
  const { trust, at, verdicts } = read("verdict") as {
    readonly trust: unknown;
    readonly at: number;
    readonly verdicts: readonly VerdictCase[];
  };
  test.each(verdicts)("$name", ({ receipt, delivered, policy, allowDevelopment, expect: wanted }) => {
    const { request, output, clientNonce } = delivered;
    for (const suite of [nodeSuite, undefined]) {
      const verdict = verify({
        receipt,
        delivered: {
          request: request && { ...request, body: utf8(request.body) },
          output: output === undefined ? undefined : { body: utf8(output) },
          clientNonce,
        },
        policy,
        trust: parseTrust(trust),
        at,
        allowDevelopment,
        suite,
      });
      expect({
        outcome: verdict.outcome,
        final: verdict.final,
        judged: verdict.policy.judged,
        findings: verdict.findings.map((f) => [f.claim, f.ground, f.status]),
        failed: verdict.checks.flatMap((c) => (c.status === "failed" ? [[c.id, c.code]] : [])),
      }).toEqual(wanted);
    }
  });
});
