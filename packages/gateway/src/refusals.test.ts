import { decodeEntry, envelopeDigest, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { expect, it } from "vitest";
import { openRefusals } from "./refusals.ts";

const gateway = ed25519Signer(new Uint8Array(32).fill(5));
const hour = 3_600_000;

it("counts by code, and logs each hour once when it has ended", async () => {
  let now = 1000 * hour;
  const entries: Uint8Array[] = [];
  const refusals = openRefusals({
    network: "eip155:1",
    gateway,
    development: true,
    append: async (entry) => {
      entries.push(entry);
    },
    now: () => now,
  });
  refusals.count("MODEL_UNKNOWN");
  refusals.count("MODEL_UNKNOWN");
  refusals.count("RATE_LIMITED");
  await refusals.flush();
  expect(entries).toEqual([]);
  now += hour;
  refusals.count("LEVEL_UNKNOWN");
  await refusals.flush();
  await refusals.flush();
  expect(entries.length).toBe(1);
  const [running, ended] = refusals.recent();
  expect(running).toMatchObject({ hour: 1001, counts: { LEVEL_UNKNOWN: 1 }, envelope: null });
  expect(ended).toMatchObject({ hour: 1000, counts: { MODEL_UNKNOWN: 2, RATE_LIMITED: 1 } });
  const entry = decodeEntry(entries[0] as Uint8Array);
  expect(entry).toMatchObject({
    kind: "refusals",
    hour: 1000,
    issuer: toHex(gateway.publicKey),
    flags: ["development"],
  });
  expect(entry.envelope).toBe(ended?.envelope && envelopeDigest(ended.envelope));
});

it("logs nothing for an hour without refusals", async () => {
  let now = 0;
  let logged = 0;
  const append = async () => {
    logged++;
  };
  const refusals = openRefusals({ network: "eip155:1", gateway, development: false, append, now: () => now });
  now += 5 * hour;
  await refusals.flush();
  expect(logged).toBe(0);
});
