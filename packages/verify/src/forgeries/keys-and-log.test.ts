// Forgeries with keys that nobody knows, and of the place in the log.
import { noTrust, parsePolicy, toHex } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { at, judge, real, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { register } from "../../../../test/fixtures/network.ts";
import { demandSignature, keyOf, keys, makeReceipt, now } from "../../../../test/fixtures/receipt.ts";

const stranger = { node: keyOf("stranger node"), gateway: keyOf("stranger gateway") };
const alone = (made: ReturnType<typeof makeReceipt>) => ({
  ...made,
  receipt: { ...made.receipt, inclusion: [], snapshots: [] },
});
const everything = ["issuer", "request", "prompt", "output", "model", "origin", "payment", "sampling", "logged"];

describe("strangers", () => {
  const demand = { ...demandSignature, policy: parsePolicy("payment") };
  const free = makeReceipt({ ...stranger, demand, offer: { amount: "0" } });
  test("who make everything themselves, for nothing, prove nothing, not even that nothing was paid", () => {
    for (const trust of [noTrust, real]) {
      const verdict = judge({ ...alone(free), delivered: {} }, { trust, policy: "payment" });
      expect(view(verdict)).toMatchObject({ outcome: "unmet", final: false, lacks: everything, refuted: [] });
      expect(view(verdict).codes).toContain("TRUST_MISSING");
    }
  });
  test("who are in the log prove not even that", () => {
    expect(view(judge(free)).lacks).toEqual(everything);
  });
  test("a gateway of the node's own makes no verdict final and no payment proven", () => {
    const made = makeReceipt({ gateway: stranger.gateway });
    expect(view(judge(made))).toEqual({ ...sound, final: false, codes: ["TRUST_MISSING"], lacks: ["payment"] });
  });
  test("the honest twin, free, is met", () => {
    expect(view(judge(makeReceipt({ offer: { amount: "0" } }), { policy: "audit" }))).toEqual(sound);
  });
});

describe("another network's receipt", () => {
  const made = makeReceipt({ demand: { ...demandSignature, policy: parsePolicy("payment & logged") } });
  test("proves nothing here", () => {
    const verdict = judge(made, { trust: { ...real, network: "eip155:1" } });
    expect(view(verdict)).toMatchObject({ outcome: "unmet", final: false, lacks: everything, refuted: [] });
    expect(view(verdict).codes).toContain("RECEIPT_WRONG_NETWORK");
  });
});

describe("an operator's name", () => {
  const bank = (operator: string) =>
    makeReceipt({ node: stranger.node, keys: [register("node", stranger.node, operator)] });
  test("that is no fact's value never becomes another's", () => {
    const verdict = judge(bank("Acme!Bank"), { policy: "issuer:signature(operator=Acme-Bank)" });
    expect(view(verdict)).toEqual(unmet([]));
    expect(judge(bank("Acme-Bank"), { policy: "issuer:signature(operator=Acme-Bank)" }).outcome).toBe("met");
  });
  test("with characters that hide others is refused", () => {
    expect(() => register("node", stranger.node, "Acme")).not.toThrow();
    const verdict = judge(bank("Аcme\u202e\u001b[2J"));
    expect(view(verdict)).toMatchObject({ outcome: "unmet", lacks: everything });
    expect(JSON.stringify(verdict)).not.toMatch(/\\u001b|\u202e/);
  });
});

describe("a statement of another time", () => {
  test("than it is judged at or was logged at is nobody's word", () => {
    const verdict = judge(makeReceipt({ statement: { issuedAt: now + 80_000_000 } }), { policy: "audit" });
    expect(view(verdict)).toMatchObject({ outcome: "refuted", lacks: everything });
    expect(view(verdict).codes).toEqual(expect.arrayContaining(["DEPLOYMENT_SUBSTITUTED", "TIME_NOT_ANCHORED"]));
  });
  test("a key out of force is nobody's, unless the log shows that it was in force", () => {
    const later = at + 10 * 86_400_000;
    const made = makeReceipt();
    expect(view(judge(alone(made), { at: later })).lacks).toEqual(everything);
    expect(judge(made, { at: later }).outcome).toBe("met");
  });
});

describe("the log entry", () => {
  test.each([
    ["levels that nobody delivered", { delivered: 127 }],
    ["hardware that no evidence shows", { flags: ["hardware", "vendor"] as const }],
    ["other tokens", { tokens: 255 }],
    ["another price", { value: 255 }],
    ["another hour", { hour: 1 }],
    ["another bought level", { bought: 8 }],
    ["another demanded level", { demanded: [8] }],
    ["another model", { model: "ab".repeat(32) }],
    ["no request", { tag: "00".repeat(32) }],
    ["a synthetic run", { flags: ["synthetic"] as const }],
  ])("that counts %s leaves `logged` unproven", (_, entry) => {
    const verdict = judge(makeReceipt({ entry: { ...entry } as never }), { policy: "audit" });
    expect(view(verdict)).toEqual(unmet(["ENTRY_EVIDENCE_INVALID", "SNAPSHOT_INVALID"], "logged"));
  });
  test("in another log than the statement names", () => {
    const verdict = judge(makeReceipt({ statement: { log: "other.log/x" } }), { policy: "audit" });
    expect(view(verdict)).toEqual(unmet(["ENTRY_EVIDENCE_INVALID", "SNAPSHOT_INVALID"], "logged"));
  });
  const { receipt, delivered } = makeReceipt();
  const [inclusion] = receipt.inclusion;
  if (!inclusion) throw new Error("no inclusion");
  test("a proof that fails takes nothing away from one that holds", () => {
    const garbage = Array.from({ length: 64 }, (_, i) => ({ entry: inclusion.entry, proof: `garbage ${i}` }));
    const verdict = judge(
      { receipt: { ...receipt, inclusion: [...garbage, inclusion] }, delivered },
      { policy: "audit" },
    );
    expect(view(verdict)).toEqual(sound);
  });
  test("a known witness's bad cosignature spoils its note, and refutes nobody", () => {
    const [name, blob] = (inclusion.proof.trimEnd().split("\n").at(-1) as string).split(" ").slice(1);
    const bad = Buffer.from(blob as string, "base64");
    bad.writeUInt8(bad.readUInt8(bad.length - 1) ^ 1, bad.length - 1);
    const spoilt = { ...inclusion, proof: `${inclusion.proof}— ${name} ${bad.toString("base64")}\n` };
    expect(view(judge({ receipt: { ...receipt, inclusion: [spoilt] }, delivered }, { policy: "audit" }))).toEqual(
      unmet(["PROOF_INVALID", "SNAPSHOT_INVALID"], "logged"),
    );
    expect(
      view(judge({ receipt: { ...receipt, inclusion: [spoilt, inclusion] }, delivered }, { policy: "audit" })),
    ).toEqual(sound);
  });
  test("one witness alone is not enough outside development, whatever the quorum says", () => {
    const trust = {
      ...real,
      witnesses: real.witnesses
        .replace(/witness two.*\n/, "")
        .replace(/group both.*\n/, "")
        .replace("quorum both", "quorum one"),
    };
    expect(view(judge({ receipt, delivered }, { policy: "audit", trust }))).toMatchObject({
      outcome: "unmet",
      lacks: ["logged"],
    });
    expect(toHex(keys.witness.publicKey)).not.toBe(toHex(keys.witness2.publicKey));
  });
});
