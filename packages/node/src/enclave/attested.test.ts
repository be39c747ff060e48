import { sealRequest } from "@countersign/channel";
import {
  fromBase64,
  fromHex,
  type Hex,
  type Keyset,
  keyFor,
  keysetBinding,
  keysetDigest,
  readAttestation,
  toHex,
  utf8,
} from "@countersign/core";
import type { Attester } from "@countersign/evidence-tee/make";
import { describe, expect, it } from "vitest";
import type { ChannelKey } from "../sealed/channel-key.ts";
import { attestKeys } from "./attested.ts";
import { drawSeeds, type Seeds } from "./keys.ts";

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

async function attested(change: Partial<Attester> = {}) {
  const clock = { at: start };
  const { attester, asked } = fakeAttester(change);
  const keys = await attestKeys({
    seeds,
    network: "eip155:1",
    models,
    attester,
    random,
    provenance: [],
    now: () => clock.at,
  });
  return { keys, clock, asked };
}

describe("an attested keyset", () => {
  it("binds three keys and the models, for less than a day", async () => {
    const { keys, asked } = await attested();
    const { keyset, digest, attestation } = keys.current();
    expect(keyset.keys.map((k) => k.use)).toEqual(["channel", "receipt", "settlement"]);
    expect(keyset.models).toEqual(models);
    expect(keyset.notAfter - start).toBeLessThan(24 * hour);
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

  it("ends a run under the keyset that it began under, and begins none under it", async () => {
    const { keys, clock } = await attested();
    for (let at = start; at < start + 12 * hour; at += hour) {
      clock.at = at;
      await keys.refresh();
    }
    const old = keys.current();
    clock.at = start + 12 * hour;
    await keys.refresh();
    expect(keys.current().digest).not.toBe(old.digest);
    expect(keys.current(old.digest)).toMatchObject({ digest: old.digest, attestation: old.attestation });
    expect(keys.current("ee".repeat(32)).digest).toBe(keys.current().digest);
    clock.at += 3 * hour;
    await keys.refresh();
    expect(keys.current(old.digest).digest).toBe(keys.current().digest);
  });

  it("where user data is fixed before the nonce, binds the statement without it", async () => {
    const { keys, asked } = await attested({ bindsNonce: false });
    const read = readAttestation(await keys.attest("cd".repeat(32)));
    expect(read.nonce).toBeNull();
    expect(asked.at(-1)?.userData).toBe(toHex(keysetBinding(keys.current().digest, null)));
    expect(asked.at(-1)?.nonce).toBe("cd".repeat(32));
  });

  it("renews the document after an hour and the keyset after half its life, with a new channel key", async () => {
    const { keys, clock, asked } = await attested();
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
    const [, ...lasting] = keys.current().keyset.keys;
    expect(lasting).toEqual(first.keyset.keys.slice(1));
    expect(keyFor(keys.current().keyset, "channel")).not.toBe(keyFor(first.keyset, "channel"));
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

  it("has another channel key at each start, from the same seeds", async () => {
    const [one, two] = [await attested(), await attested()].map(({ keys }) => keys.current().keyset);
    expect(keyFor(two as Keyset, "receipt")).toBe(keyFor(one as Keyset, "receipt"));
    expect(keyFor(two as Keyset, "settlement")).toBe(keyFor(one as Keyset, "settlement"));
    expect(keyFor(two as Keyset, "channel")).not.toBe(keyFor(one as Keyset, "channel"));
  });

  it("never comes back, whichever way the clock is turned", async () => {
    const { keys, clock } = await attested();
    const first = keys.current();
    clock.at += 30 * hour;
    await keys.refresh();
    clock.at = start;
    await keys.refresh();
    expect(keys.current().keyset.notAfter).toBe(first.keyset.notAfter);
    expect(keys.current().digest).not.toBe(first.digest);
  });

  it("opens what was sealed to it once, and nothing that was sealed to the one before", async () => {
    const { keys, clock } = await attested();
    const seal = (channel: ChannelKey) => sealRequest({ key: fromHex(channel.key), aad, body: utf8("secret") });
    const aad = new Uint8Array(3);
    const before = keys.channel();
    const sealed = await seal(before);
    clock.at = start + 12 * hour;
    await keys.refresh();
    const after = keys.channel();
    expect(after.key).toBe(keyFor(keys.current().keyset, "channel"));
    expect(after.keyset()).toBe(keys.current().digest);
    await expect(after.open({ ...sealed, aad })).rejects.toEqual(code("CHANNEL_UNOPENED"));
    const own = await seal(after);
    await expect(after.open({ ...own, aad: new Uint8Array(4) })).rejects.toEqual(code("CHANNEL_UNOPENED"));
    expect((await after.open({ ...own, aad })).body).toEqual(utf8("secret"));
    await expect(after.open({ ...own, aad })).rejects.toEqual(code("NONCE_REPLAYED"));
    clock.at = start + 13 * hour;
    await keys.refresh();
    // The document was made anew, the keyset and its memory were not.
    expect(keys.channel()).toBe(after);
    await expect(keys.channel().open({ ...own, aad })).rejects.toEqual(code("NONCE_REPLAYED"));
  });
});
