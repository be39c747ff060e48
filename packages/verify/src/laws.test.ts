// What no change of a receipt may ever do, whatever the receipt.
import { nodeSuite } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyOf, makeReceipt, now, trust } from "../../../test/fixtures/receipt.ts";
import { verify } from "./index.ts";

const at = now + 5000;
const honest = makeReceipt();
const judgeIt = (receipt: unknown, more: Partial<Parameters<typeof verify>[0]> = {}) =>
  verify({ receipt, delivered: honest.delivered, trust, at, allowDevelopment: true, suite: nodeSuite, ...more });

describe("laws", () => {
  const text = JSON.stringify(honest.receipt);
  const proven = (verdict: ReturnType<typeof verify>) =>
    verdict.findings.flatMap((f) => (f.status === "proven" ? [f.claim] : [])).sort();
  const audit = (receipt: unknown) => judgeIt(receipt, { policy: "audit" });
  const all = proven(audit(honest.receipt));
  /** Flips one bit of a text. */
  const flip = (given: string, position: number, bit: number) =>
    given.slice(0, position) + String.fromCharCode(given.charCodeAt(position) ^ (1 << bit)) + given.slice(position + 1);
  const places = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 6 }));
  /** The receipt with one bit of a part's text flipped. */
  const flipIn = (part: string, [position, bit]: readonly [number, number]) => {
    const at = text.indexOf(part);
    if (part === "" || at < 0 || text.indexOf(part, at + 1) >= 0) throw new Error("the part is not there once");
    return flip(text, at + (position % part.length), bit);
  };
  const { receipt } = honest;
  const openingOf = (path: string) => JSON.stringify(receipt.openings.find((o) => o.path === path));
  const [node, gateway] = receipt.keys;
  const [inclusion] = receipt.inclusion;
  const [snapshot] = receipt.snapshots;
  const everything = ["issuer", "logged", "model", "origin", "output", "payment", "prompt", "request", "sampling"];
  /** Each signed or committed part, and the claims that rest on it. */
  const parts: readonly (readonly [name: string, text: string, claims: readonly string[]])[] = [
    ["the statement's payload", receipt.statement.payload, everything],
    ["the statement's signature", receipt.statement.signatures[0]?.sig ?? "", everything],
    ["the leaves", JSON.stringify(receipt.leaves), everything],
    ["the node's registration", node?.payload ?? "", everything],
    ["the node's registration's signature", node?.signatures[0]?.sig ?? "", everything],
    ["the gateway's registration", gateway?.payload ?? "", ["payment"]],
    ["the offer", receipt.offer?.payload ?? "", ["payment"]],
    ["the offer's signature", receipt.offer?.signatures[0]?.sig ?? "", ["payment"]],
    ["leaf offer", openingOf("offer"), ["payment", "prompt", "request", "sampling"]],
    ["leaf policy", openingOf("policy"), ["prompt", "request", "sampling"]],
    ["leaf model", openingOf("model"), ["model", "prompt"]],
    ["leaf params", openingOf("params"), ["prompt", "sampling"]],
    ["leaf profile", openingOf("profile"), ["sampling"]],
    ["leaf payment", openingOf("payment"), ["payment"]],
    ["leaf output", openingOf("output"), ["output", "sampling"]],
    ["the log entry", inclusion?.entry ?? "", ["logged"]],
    ["the log proof", JSON.stringify(inclusion?.proof), ["logged"]],
  ];

  test.each(parts)("a one-bit flip of %s proves none of its claims", (_, part, claims) => {
    fc.assert(
      fc.property(places, (place) => {
        const verdict = audit(flipIn(part, place));
        for (const claim of claims) expect(proven(verdict)).not.toContain(claim);
        expect(verdict.outcome).not.toBe("met");
        // Nobody without a key can make a contradiction of what others signed.
        expect(verdict.outcome).not.toBe("refuted");
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    ["a snapshot", snapshot?.envelope.payload ?? ""],
    ["a snapshot's signature", snapshot?.envelope.signatures[0]?.sig ?? ""],
    // The two proofs about the keys are one text while nothing is revoked, and one of them would do.
    ["the proof about refutations", `"refuted":${JSON.stringify(snapshot?.proofs.refuted)}`],
    ["the proof about evidence", `"evidence":${JSON.stringify(snapshot?.proofs.evidence)}`],
  ])("a one-bit flip of %s is never final", (_, part) => {
    fc.assert(
      fc.property(places, (place) => {
        expect(audit(flipIn(part, place)).final).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  test("a one-bit flip anywhere never throws, refutes nobody and proves nothing more", () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 0, max: 6 }), (position, bit) => {
        const verdict = audit(flip(text, position, bit));
        expect(verdict.outcome).not.toBe("refuted");
        expect(all).toEqual(expect.arrayContaining(proven(verdict)));
        if (verdict.outcome === "met") expect(proven(verdict)).toEqual(all);
      }),
      { numRuns: 400 },
    );
  });

  test("dropping proving evidence never helps", () => {
    const kinds = ["keys", "inclusion", "snapshots", "openings"] as const;
    fc.assert(
      fc.property(fc.subarray([...kinds], { minLength: 1 }), (dropped) => {
        const less = { ...honest.receipt, ...Object.fromEntries(dropped.map((p) => [p, []])) };
        const verdict = judgeIt(less, { policy: "audit" });
        // Without a snapshot the claims still hold; what is lost is the search for refutations, and with it finality.
        if (dropped.join() === "snapshots") expect(verdict.final).toBe(false);
        else expect(verdict.outcome).not.toBe("met");
      }),
    );
  });

  test("a statement signed by a key that nobody knows meets nothing, whatever it says", () => {
    const stranger = keyOf("stranger");
    const { receipt, delivered } = makeReceipt({
      statement: { issuer: Buffer.from(stranger.publicKey).toString("hex") },
    });
    expect(judgeIt(receipt, { delivered }).outcome).not.toBe("met");
  });

  test.each(["", "{}", "[]", "null", "{", text.slice(0, 500), '{"format":"countersign/receipt/v1"}'])(
    "%j gives a verdict, not an exception",
    (bad) => {
      const verdict = judgeIt(bad);
      expect(verdict.outcome).toBe("unmet");
      expect(verdict.checks[0]?.status).toBe("failed");
    },
  );
});
