import { type Policy, parsePolicy, printPolicy, type Statement } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { sealedPolicy, withoutContent } from "./check-sealed.ts";

const rest = (text: string): string | undefined => {
  const found: Policy | undefined = withoutContent(parsePolicy(text));
  return found && printPolicy(found);
};

describe("what a gateway decides of a policy without the content", () => {
  it.each<[string, string | undefined]>([
    ["signature", "issuer:signature & model:signature"],
    ["prompt:signature & output:signature", undefined],
    ["logged:log & output:signature", "logged:log"],
    // What one branch leaves to the client the other cannot take from him.
    ["output:signature | logged:log", undefined],
    ["logged:log | payment:signature", "logged:log | payment:signature"],
    ["(output:signature | logged:log) & issuer:signature", "issuer:signature"],
    // Whether a channel was confidential shows whoever has the request; that its key is attested shows here.
    ["confidential:tee", "origin:hardware"],
    ["confidential:tee(custody=named-datacentre)", "origin:hardware(custody=named-datacentre)"],
    ["confidential:signature", undefined],
    ["tee", "execution:hardware(scope=inference) & model:hardware(scope=inference)"],
  ])("%s leaves %s", (policy, left) => {
    expect(rest(policy)).toBe(left && printPolicy(parsePolicy(left)));
  });

  it("is never nothing: somebody must have signed", () => {
    const statement = { policy: { demanded: "output:signature", bought: "output:signature" } } as Statement;
    expect(printPolicy(sealedPolicy(statement))).toBe("issuer:signature");
  });
});
