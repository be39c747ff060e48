// Forgeries of the search for refutations and revocations: hidden ones, invented ones, another history.
import {
  type Evidence,
  envelopeDigest,
  fromHex,
  type ReceiptSnapshot,
  sha256,
  signEvidence,
  taggedHash,
  toHex,
  utf8,
} from "@countersign/core";
import { describe, expect, test } from "vitest";
import { judge, real, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { hexOf, keys, network, takeSnapshot } from "../../../../test/fixtures/network.ts";
import { keyOf, makeReceipt, now } from "../../../../test/fixtures/receipt.ts";

const made = makeReceipt();
const { receipt, delivered, receiptRoot: subject, root, signers } = made;
const second = keyOf("second monitor");
const third = keyOf("third monitor");
const monitors = (quorum: number) => ({
  ...real,
  monitors: {
    quorum,
    keys: [...real.monitors.keys, { name: "second", key: hexOf(second) }, { name: "third", key: hexOf(third) }],
  },
});
const take = (more: object = {}) => takeSnapshot({ root, subject, signers, ...more });
const withSnapshots = (snapshots: readonly ReceiptSnapshot[], more: object = {}) => ({
  receipt: { ...receipt, snapshots, ...more },
  delivered,
});
const notSearched = { ...sound, final: false };

describe("what a quorum lists", () => {
  test.each([
    ["a refutation", { refuted: [subject] }, "CLAIM_REFUTED"],
    ["the node's key revoked", { revoked: [hexOf(keys.node)] }, "NODE_NOT_ACTIVE"],
    ["the gateway's key revoked", { revoked: [hexOf(keys.gateway)] }, "NODE_NOT_ACTIVE"],
  ])("%s withdraws a receipt, whatever its place in the log", (_, against, code) => {
    const listed = take(against);
    expect(view(judge(withSnapshots([listed])))).toEqual({ ...unmet([code]), final: false });
    expect(judge(withSnapshots([listed], { inclusion: [] })).outcome).toBe("unmet");
    // An older, clean snapshot of the same monitor rescues nothing.
    expect(judge(withSnapshots([take({ time: now + 1000 }), listed])).outcome).toBe("unmet");
    expect(judge(withSnapshots([listed, take({ time: now + 3000 })])).outcome).toBe("unmet");
  });
  test("left out by the holder, nothing is final", () => {
    const listed = take({ revoked: [hexOf(keys.gateway)] });
    for (const hidden of [
      withSnapshots([]),
      withSnapshots([{ ...listed, proofs: { ...listed.proofs, revoked: [] } }]),
      withSnapshots([{ ...listed, proofs: { ...listed.proofs, revoked: listed.proofs.revoked.slice(0, 1) } }]),
      withSnapshots([{ ...listed, proofs: { ...listed.proofs, refuted: "" } }], { offer: null, delivery: null }),
    ]) {
      const verdict = judge(hidden);
      expect(verdict).toMatchObject({ outcome: "met", final: false, searchedThrough: null });
      expect(verdict.summary).toMatch(/not searched/);
    }
  });
  test("proofs may stand in any order", () => {
    const clean = take();
    const turned = { ...clean, proofs: { ...clean.proofs, revoked: [...clean.proofs.revoked].reverse() } };
    expect(view(judge(withSnapshots([turned])))).toEqual(sound);
  });
});

describe("one monitor of three, with a quorum of two", () => {
  const lying = take({ monitor: second, refuted: [subject] });
  test("cannot withdraw an honest receipt, but disputes it", () => {
    const verdict = judge(withSnapshots([lying, take(), take({ monitor: third })]), {
      trust: monitors(2),
      policy: "audit",
    });
    expect(view(verdict)).toEqual(notSearched);
    expect(verdict).toMatchObject({ disputed: true, searchedThrough: now + 2000 });
  });
  test("does not count as one that found nothing, whichever of its snapshots comes first", () => {
    for (const order of [
      [take({ monitor: second }), lying],
      [lying, take({ monitor: second })],
    ]) {
      const verdict = judge(withSnapshots([...order, take()]), { trust: monitors(2) });
      expect(verdict).toMatchObject({ outcome: "met", final: false, disputed: true, searchedThrough: null });
    }
  });
  test("alone has not searched enough", () => {
    expect(view(judge(withSnapshots([take()]), { trust: monitors(2) }))).toEqual({
      ...notSearched,
      codes: ["SNAPSHOT_INVALID"],
    });
    // One monitor twice is one monitor.
    expect(
      judge(withSnapshots([take(), take({ time: now + 3000 })]), { trust: monitors(2) }).searchedThrough,
    ).toBeNull();
    expect(judge(withSnapshots([take(), take({ monitor: third })]), { trust: monitors(2) }).final).toBe(true);
  });
});

describe("a snapshot that says nothing about this receipt", () => {
  test.each([
    ["another tree of the same size", { root: toHex(sha256(utf8("another tree"))) }],
    ["a tree before the entry", { size: 1 }],
    ["a time after the verdict's", { time: now + 60_000 }],
    ["a stranger's", { monitor: keyOf("stranger") }],
  ])("%s", (_, more) => {
    expect(view(judge(withSnapshots([take(more)]), { policy: "audit" }))).toEqual({
      ...notSearched,
      codes: ["SNAPSHOT_INVALID"],
    });
  });
  test("when the receipt's place in the log is not shown", () => {
    const verdict = judge(withSnapshots([take()], { inclusion: [] }));
    expect(verdict).toMatchObject({ outcome: "met", final: false, searchedThrough: null });
  });
});

describe("evidence that the log holds", () => {
  const auditor = keyOf("auditor");
  const trust = { ...real, auditors: { quorum: 2, keys: [{ name: "auditor", key: hexOf(auditor) }] } };
  const says = (more: Partial<Evidence> = {}) =>
    signEvidence(
      subject,
      {
        suite: "countersign/evidence/v1",
        network,
        kind: "reexecution",
        format: "x",
        issuer: hexOf(auditor),
        says: "refutes",
        blob: null,
        binds: "",
        facts: {},
        producedAt: now,
        ...more,
      },
      auditor,
    );
  const chain = (...envelopes: ReturnType<typeof says>[]) =>
    toHex(
      envelopes.reduce<Uint8Array>(
        (before, e) => taggedHash("countersign/evidence-chain/v1", before, fromHex(envelopeDigest(e))),
        new Uint8Array(32),
      ),
    );
  const dispute = says();
  test("an auditor's dispute left out by the holder: met, never final", () => {
    const listed = take({ evidence: [[subject, chain(dispute)]] });
    expect(judge(withSnapshots([listed]), { trust })).toMatchObject({ outcome: "met", final: false, disputed: false });
    const honest = judge(withSnapshots([listed], { evidence: [{ envelope: dispute, blob: null }] }), { trust });
    expect(honest).toMatchObject({ outcome: "met", final: false, disputed: true });
  });
  test("attached whole, with late items behind, it hinders nothing", () => {
    const first = says({ says: "supports" });
    const late = says({ says: "supports", producedAt: now + 1 });
    const listed = take({ evidence: [[subject, chain(first)]] });
    const evidence = [first, late].map((envelope) => ({ envelope, blob: null }));
    expect(view(judge(withSnapshots([listed], { evidence }), { trust }))).toEqual(sound);
    expect(judge(withSnapshots([listed], { evidence: evidence.slice(1) }), { trust }).final).toBe(false);
  });
  test("an auditor's word for another network, or of another kind, disputes nothing", () => {
    for (const envelope of [says({ network: "eip155:999" }), says({ kind: "payment" })]) {
      const verdict = judge(withSnapshots([take()], { evidence: [{ envelope, blob: null }] }), { trust });
      expect(verdict).toMatchObject({ outcome: "met", final: true, disputed: false });
    }
  });
});
