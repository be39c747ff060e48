import { type Entry, noDigest } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { bandOf, recount } from "./distribution.ts";

const entry = (part: Partial<Entry>): Entry => ({
  kind: "receipt",
  flags: [],
  subject: noDigest,
  envelope: noDigest,
  issuer: noDigest,
  model: noDigest,
  tag: noDigest,
  deployment: noDigest,
  demanded: [1],
  bought: 1,
  delivered: 1,
  tokens: 0,
  value: 0,
  hour: 0,
  ...part,
});

describe("recount", () => {
  it("leaves out what is synthetic and what is no receipt", () => {
    const counts = recount([entry({}), entry({ flags: ["synthetic"] }), entry({ kind: "evidence" })]);
    expect(counts).toMatchObject({ receipts: 1, synthetic: 1, delivered: { signature: 1, none: 0 } });
  });

  it("never counts a simulated enclave as hardware", () => {
    const counts = recount([entry({ flags: ["simulated", "development"], bought: 5, delivered: 5, demanded: [4] })]);
    expect(counts).toMatchObject({ development: 1, delivered: { simulated: 1, hardware: 0 } });
  });

  it("counts a demand by its weakest way", () => {
    expect(recount([entry({ demanded: [8, 1] })]).demanded).toMatchObject({ signature: 1, proof: 0 });
  });

  it("does not take a log entry or a sample for a level", () => {
    expect(bandOf(64 | 32, false)).toBe("none");
    expect(bandOf(1 | 16, false)).toBe("origin");
  });
});
