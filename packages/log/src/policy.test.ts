import { ed25519Signer } from "@countersign/core/node";
import { describe, expect, it } from "vitest";
import { evaluateQuorum, parsePolicy } from "./policy.ts";
import { formatVkey, verifierKey } from "./vkey.ts";

const key = (n: number, use: "note" | "cosignature" = "cosignature", name = `k${n}.example`) =>
  verifierKey(name, use, ed25519Signer(new Uint8Array(32).fill(n)).publicKey);
const witness = (name: string, n: number) => `witness ${name} ${formatVkey(key(n))}\n`;
const logLine = `log ${formatVkey(key(1, "note"))} https://log.example/\n`;

// The example of C2SP tlog-policy.
const example = `# a comment
${logLine}
${witness("X1", 2)}${witness("X2", 3)}${witness("X3", 4)}group X-witnesses 2 X1 X2 X3

${witness("Y1", 5)}${witness("Y2", 6)}${witness("Y3", 7)}  group\tY-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

describe("tlog policy", () => {
  const policy = parsePolicy(example);
  const signed = (...times: readonly (readonly [number, number])[]) =>
    times.map(([n, time]) => {
      const own = policy.witnesses.find((w) => w.key.name === `k${n}.example`);
      return { key: own?.key ?? key(n), time };
    });

  it("reads the specification's example", () => {
    expect(policy.logs).toMatchObject([{ url: "https://log.example/", key: { name: "k1.example" } }]);
    expect(policy.witnesses.map(({ name }) => name)).toEqual(["X1", "X2", "X3", "Y1", "Y2", "Y3"]);
  });

  it("needs the quorum, and dates it by the member that completed it", () => {
    expect(evaluateQuorum(policy.quorum, signed([2, 10], [3, 20]))).toMatchObject({ status: "missing" });
    expect(evaluateQuorum(policy.quorum, signed([2, 10], [5, 20], [6, 5]))).toMatchObject({ status: "missing" });
    expect(evaluateQuorum(policy.quorum, signed([2, 10], [3, 20], [5, 15]))).toEqual({ status: "reached", time: 20 });
    // One witness that dates back cannot move a threshold of two.
    expect(evaluateQuorum(policy.quorum, signed([2, 1], [3, 20], [4, 30], [5, 15]))).toEqual({
      status: "reached",
      time: 20,
    });
    expect(evaluateQuorum({ kind: "none" }, [])).toEqual({ status: "reached" });
  });

  it("counts a cosigner only under its own key", () => {
    const { quorum } = parsePolicy(`${witness("a", 2)}quorum a\n`);
    expect(evaluateQuorum(quorum, [{ key: key(2), time: 3 }]).status).toBe("reached");
    expect(evaluateQuorum(quorum, [{ key: key(2, "note"), time: 3 }]).status).toBe("missing");
    expect(evaluateQuorum(quorum, [{ key: key(3, "cosignature", "k2.example"), time: 3 }]).status).toBe("missing");
  });

  it("refuses a policy with two readings", () => {
    const a = witness("a", 2);
    const b = witness("b", 3);
    for (const bad of [
      "",
      a,
      `${a}quorum a`,
      `${a}quorum b\n`,
      `quorum a\n${a}`,
      `${a}quorum a\nquorum a\n`,
      `${a}${witness("a", 3)}quorum a\n`,
      `${a}${witness("b", 2)}quorum a\n`,
      `${witness("none", 2)}quorum none\n`,
      `${a}group g any none\nquorum g\n`,
      `${a}${b}group g 3 a b\nquorum g\n`,
      `${a}${b}group g 0 a b\nquorum g\n`,
      `${a}${b}group g 01 a b\nquorum g\n`,
      `${a}group g all\nquorum g\n`,
      `${a}${b}group g 2 a a\nquorum g\n`,
      `${a}${b}group g any a\ngroup h 2 a b\nquorum h\n`,
      `group g any g\nquorum g\n`,
      `log ${formatVkey(key(2))}\nquorum none\n`,
      `witness a ${formatVkey(key(2, "note"))}\nquorum a\n`,
      `log ${formatVkey(key(2, "note"))}\n${a}quorum a\n`,
      `${logLine}${logLine}quorum none\n`,
      `${a}quorum a\r\n`,
      `${a}weight a 2\nquorum a\n`,
    ])
      expect(() => parsePolicy(bad), bad).toThrow(/TRUST_MALFORMED/);
  });
});
