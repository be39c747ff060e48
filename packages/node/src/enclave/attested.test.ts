import {
  fromBase64,
  type Hex,
  type Keyset,
  keysetBinding,
  keysetDigest,
  readAttestation,
  toHex,
} from "@countersign/core";
import type { Attester } from "@countersign/evidence-tee/make";
import { describe, expect, it } from "vitest";
import { attestKeys } from "./attested.ts";
import { drawSeeds, keysetOf, type Seeds } from "./keys.ts";

const hour = 3_600_000;
const start = Date.UTC(2026, 0, 1);
const models = ["aa".repeat(32), "bb".repeat(32)];
let drawn = 0;
const random = (length: number) => new Uint8Array(length).map((_, i) => (i * 7 + ++drawn) & 255);
const seeds: Seeds = drawSeeds(random);
const code = (word: string) => expect.objectContaining({ code: word });

/** An attester whose documents are what they were asked about. */
function fakeAttester(change: Partial<Attester> = {}) {
  const asked: { readonly userData: Hex; readonly nonce: Hex | null }[] = [];
  const attester: Attester = {
    platform: "nsm",
    bindsNonce: true,
    modelRegister: 16,
    attest: async ({ userData, nonce }) => {
      asked.push({ userData: toHex(userData), nonce: nonce && toHex(nonce) });
      return { evidence: [{ format: "nitro", document: userData }], collateral: [] };
    },
    close: async () => undefined,
    ...change,
  };
  return { attester, asked };
}

async function attested(change: Partial<Attester> = {}, keyset?: Keyset) {
  const clock = { at: start };
  const kept: Keyset[] = [];
  const { attester, asked } = fakeAttester(change);
  const keys = await attestKeys({
    seeds,
    network: "eip155:1",
    models,
    attester,
    keyset,
    keep: async (next) => void kept.push(next),
    provenance: [],
    now: () => clock.at,
  });
  return { keys, clock, kept, asked };
}

describe("an attested keyset", () => {
  it("binds three keys and the models, for less than a day, and is kept before it is shown", async () => {
    const { keys, kept, asked } = await attested();
    const { keyset, digest, attestation } = keys.current();
    expect(keyset.keys.map((k) => k.use)).toEqual(["channel", "receipt", "settlement"]);
    expect(keyset.models).toEqual(models);
    expect(keyset.notAfter - start).toBeLessThan(24 * hour);
    expect(kept).toEqual([keyset]);
    expect(asked).toEqual([{ userData: toHex(keysetBinding(digest, null)), nonce: null }]);
    const read = readAttestation(attestation);
    expect(read.nonce).toBeNull();
    expect(fromBase64(read.evidence[0]?.document ?? "")).toEqual(keysetBinding(keysetDigest(read.keyset), null));
  });

  it("answers a nonce by a document about it, and keeps the one that it shows", async () => {
    const { keys, asked } = await attested();
    const before = keys.current();
    const nonce = "cd".repeat(32);
    const read = readAttestation(await keys.attest(nonce));
    expect(read.nonce).toBe(nonce);
    expect(asked.at(-1)).toEqual({ userData: toHex(keysetBinding(before.digest, nonce)), nonce });
    expect(keys.current()).toBe(before);
  });

  it("where user data is fixed before the nonce, binds the statement without it", async () => {
    const { keys, asked } = await attested({ bindsNonce: false });
    const read = readAttestation(await keys.attest("cd".repeat(32)));
    expect(read.nonce).toBeNull();
    expect(asked.at(-1)?.userData).toBe(toHex(keysetBinding(keys.current().digest, null)));
    expect(asked.at(-1)?.nonce).toBe("cd".repeat(32));
  });

  it("renews the document after an hour and the keyset after half its life, with the same keys", async () => {
    const { keys, clock, asked, kept } = await attested();
    const first = keys.current();
    clock.at += hour - 1;
    await keys.refresh();
    expect(asked).toHaveLength(1);
    clock.at += 1;
    await keys.refresh();
    expect(asked).toHaveLength(2);
    expect(keys.current().digest).toBe(first.digest);
    expect(keys.current().attestation).not.toEqual(first.attestation);
    clock.at = start + 12 * hour;
    await keys.refresh();
    expect(keys.current().digest).not.toBe(first.digest);
    expect(keys.current().keyset.keys).toEqual(first.keyset.keys);
    expect(kept).toHaveLength(2);
  });

  it("is not shown when it could not be renewed: nothing runs then", async () => {
    const { keys, clock } = await attested();
    clock.at += 2 * hour - 1;
    expect(() => keys.current()).not.toThrow();
    clock.at += 1;
    expect(() => keys.current()).toThrow(code("NODE_NOT_ATTESTED"));
  });

  it("is not shown past the end of the document's own certificates, and renewed before it", async () => {
    const attest: Attester["attest"] = async ({ userData }) => ({
      evidence: [{ format: "nitro", document: userData }],
      collateral: [],
      notAfter: start + hour / 2,
    });
    const { keys, clock } = await attested({ attest });
    const first = keys.current();
    clock.at += hour / 4;
    await keys.refresh();
    expect(keys.current()).not.toBe(first);
    clock.at = start + hour / 2;
    expect(() => keys.current()).toThrow(code("NODE_NOT_ATTESTED"));
  });

  it("does not exist without its first document", async () => {
    const attest = async () => {
      throw new Error("no device");
    };
    await expect(attested({ attest })).rejects.toThrow("no device");
  });

  it("is taken from storage when young and of the same keys and models, and else made anew", async () => {
    const young = keysetOf(seeds, { network: "eip155:1", models, notAfter: start + 20 * hour });
    const again = await attested({}, young);
    expect(again.keys.current().keyset).toEqual(young);
    expect(again.kept).toEqual([]);
    const others: Keyset[] = [
      { ...young, notAfter: start + hour },
      { ...young, notAfter: start + 40 * hour },
      { ...young, models: models.slice(1) },
      { ...young, network: "eip155:2" },
      keysetOf(drawSeeds(random), { network: "eip155:1", models, notAfter: start + 20 * hour }),
    ];
    for (const other of others) {
      const { keys, kept } = await attested({}, other);
      expect(keys.current().keyset).not.toEqual(other);
      expect(kept).toHaveLength(1);
    }
  });
});
