// Forgeries by strangers who have no key: what stands in an unsigned container must neither help nor harm.
import {
  canonicalBytes,
  fromBase64,
  type Opening,
  parseCanonical,
  type Receipt,
  type Statement,
  sha256,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";
import { describe, expect, test } from "vitest";
import { judge, sound, unmet, view } from "../../../../test/fixtures/forgery.ts";
import { makeReceipt } from "../../../../test/fixtures/receipt.ts";
import { completeReceipt, disclose, refreshReceipt } from "../index.ts";

const { receipt, delivered } = makeReceipt();
const random = toHex(sha256(utf8("x")));
const audit = (changed: Receipt, more: object = {}) =>
  view(judge({ receipt: changed, delivered }, { policy: "audit", ...more }));
const junk: Opening = { path: "system", salt: random, value: "absent" };
const noSignature = { keyid: "", sig: toBase64(new Uint8Array(64)) };

describe("openings that do not fit count as absent", () => {
  test.each([
    ["one of a field that is closed", [...receipt.openings, junk]],
    ["an honest one again", [...receipt.openings, receipt.openings[0] as Opening]],
    ["one of an element whose list is closed", [...receipt.openings, { ...junk, path: "messages/0" }]],
    ["one of no field", [...receipt.openings, { ...junk, path: "elsewhere" }]],
    [
      "one before the honest one",
      [{ ...(receipt.openings[0] as Opening), value: "absent" as const }, ...receipt.openings],
    ],
  ])("%s", (_, openings) => {
    expect(audit({ ...receipt, openings })).toEqual({ ...sound, codes: ["STATEMENT_ROOT_MISMATCH"] });
  });
  test("in the holder's own file they do not stand in the way of those that fit", () => {
    const planted = [junk, { ...junk, path: "output/0" }, { ...junk, path: "rawRequest" }];
    const mine = completeReceipt({ ...receipt, openings: [...planted, ...receipt.openings] }, delivered);
    const alone = judge({ receipt: mine, delivered: { clientNonce: delivered.clientNonce } }, { policy: "audit" });
    expect(view(alone)).toEqual(sound);
  });
});

test("a gateway that closes the nonce cannot keep the holder's file from standing alone", () => {
  const openings = receipt.openings.filter((o) => o.path !== "clientNonce");
  const mine = completeReceipt({ ...receipt, openings }, delivered);
  expect(
    view(judge({ receipt: mine, delivered: { clientNonce: delivered.clientNonce } }, { policy: "audit" })),
  ).toEqual(sound);
});

describe("the holder's part proves nothing", () => {
  test("a wrong secret leaves content unproven and refutes nobody", () => {
    const holder = receipt.holder && { ...receipt.holder, receiptSecret: random };
    // Without the request the draw is not shown either.
    expect(audit({ ...receipt, holder })).toEqual(unmet([], "request", "prompt", "output", "sampling"));
  });
  test("nor does the right one when no opening shows that it is", () => {
    const verdict = judge({ receipt: { ...receipt, openings: [] }, delivered });
    expect(view(verdict)).toMatchObject({ outcome: "unmet", refuted: [] });
    expect(view(verdict).lacks).toEqual(["request", "prompt", "output", "model", "payment", "sampling"]);
  });
});

describe("the signed parts", () => {
  test("a leaf that was flipped leaves nothing", () => {
    const verdict = judge({ receipt: { ...receipt, leaves: receipt.leaves.with(3, random) }, delivered });
    expect(view(verdict)).toMatchObject({ outcome: "unmet", final: false, codes: ["STATEMENT_ROOT_MISMATCH"] });
    expect(verdict.findings).toEqual([]);
  });
  test("a signature beside the good one takes nothing away, nor does a wrong hint", () => {
    const { statement } = receipt;
    const [good] = statement.signatures;
    if (!good) throw new Error("no signature");
    expect(audit({ ...receipt, statement: { ...statement, signatures: [noSignature, good] } })).toEqual(sound);
    expect(audit({ ...receipt, statement: { ...statement, signatures: [{ ...good, keyid: "" }] } })).toEqual(sound);
  });
  test("without its signature a statement proves nothing and contradicts nobody", () => {
    const statement = { ...receipt.statement, signatures: [noSignature] };
    const verdict = judge({ receipt: { ...receipt, statement }, delivered }, { policy: "payment & logged" });
    expect(verdict.outcome).toBe("unmet");
    expect(verdict.final).toBe(false);
    expect(verdict.findings.filter((f) => f.status !== "unproven")).toEqual([]);
  });
  test("a stranger's own statement over an honest root is no contradiction of the node's", () => {
    const body = parseCanonical(fromBase64(receipt.statement.payload)) as { predicate: Statement };
    const policy = { ...body.predicate.policy, demanded: "execution:proof" };
    const payload = toBase64(canonicalBytes({ ...body, predicate: { ...body.predicate, policy } }));
    const verdict = judge({ receipt: { ...receipt, statement: { ...receipt.statement, payload } }, delivered });
    expect(verdict.outcome).toBe("unmet");
    expect(verdict.findings.filter((f) => f.status !== "unproven")).toEqual([]);
    expect(view(verdict).codes).toContain("ENVELOPE_MALFORMED");
  });
});

describe("a hostile copy, merged", () => {
  const [inclusion] = receipt.inclusion;
  const [snapshot] = receipt.snapshots;
  if (!inclusion || !snapshot) throw new Error("no proof");
  const envelope = (i: number) => ({ payloadType: "x", payload: `${i}`, signatures: [{ keyid: "", sig: "" }] });
  /** The `n`th copy, whose every item is another. */
  const hostile = (n: number): Receipt => ({
    ...receipt,
    holder: null,
    keys: Array.from({ length: 16 }, (_, i) => envelope(16 * n + i)),
    inclusion: Array.from({ length: 65 }, (_, i) => ({ entry: inclusion.entry, proof: `garbage ${n} ${i}` })),
    snapshots: Array.from({ length: 16 }, (_, i) => ({
      ...snapshot,
      proofs: { refuted: `${n} ${i}`, revoked: [], evidence: "" },
    })),
  });
  test("again and again never pushes out what I have", () => {
    let mine: Receipt = receipt;
    for (let n = 0; n < 6; n++) mine = refreshReceipt(mine, hostile(n));
    expect(audit(mine)).toEqual(sound);
  });
  test("still lets an honest newer snapshot in", () => {
    const late = makeReceipt().receipt.snapshots;
    let mine: Receipt = { ...receipt, snapshots: [] };
    for (let n = 0; n < 3; n++) mine = refreshReceipt(mine, hostile(n));
    expect(audit(refreshReceipt(mine, { ...receipt, snapshots: late })).final).toBe(true);
  });
  test("cannot replace my countersignature, and a wrong one for none counts as absent", () => {
    const [registration] = receipt.keys;
    const theirs = { ...receipt, holder: null, delivery: registration ?? null };
    expect(refreshReceipt(receipt, theirs).delivery).toEqual(receipt.delivery);
    expect(audit(refreshReceipt({ ...receipt, delivery: null }, theirs))).toEqual({
      ...sound,
      codes: ["STATEMENT_MALFORMED"],
    });
  });
});

describe("a copy to hand on", () => {
  const full = completeReceipt(receipt, delivered);
  test("shows what is named and the nonce that its digest needs, and never the secret", () => {
    const shown = disclose(full, ["rawRequest", "output/0"]);
    expect(shown.holder).toBeNull();
    expect(JSON.stringify(shown)).not.toContain(receipt.holder?.receiptSecret);
    expect(shown.openings.map((o) => o.path).sort()).toEqual(
      [
        "clientNonce",
        "model",
        "offer",
        "output",
        "output/0",
        "policy",
        "profile",
        "promptVersion",
        "rawRequest",
      ].sort(),
    );
    expect(view(judge({ receipt: shown, delivered: {} }))).toEqual(unmet([], "prompt", "payment", "sampling"));
  });
});
