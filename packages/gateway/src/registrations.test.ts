import {
  decodeEntry,
  type Hex,
  type Measurement,
  measurementType,
  readMeasurement,
  type Signer,
  type Suite,
  sha256Hex,
  signMeasurement,
  signStatement,
  toBase64,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import {
  type Enclave,
  hardware,
  makeEnclave,
  measurement,
  registerPlace,
  trusting,
} from "../../../test/fixtures/enclave.ts";
import { hexOf, keyOf, keys, network, now } from "../../../test/fixtures/network.ts";
import { takeMeasurement, takeRegistration } from "./registrations.ts";

const publisher = keyOf("publisher");
const trust = { ...trusting(hardware()), development: false, publishers: [{ name: "p", key: hexOf(publisher) }] };

/** A gateway's parts with a log and a store in memory, which count the vendor's signatures that were asked for. */
function openParts() {
  const logged: Uint8Array[] = [];
  const kept = new Map<Hex, Uint8Array>();
  const asked = { signatures: 0 };
  const suite: Suite = {
    ...nodeSuite,
    verifyEcdsa: (check) => {
      asked.signatures++;
      return nodeSuite.verifyEcdsa(check);
    },
  };
  const parts = {
    trust,
    suite,
    now: () => now + 1000,
    limits: { witnessMs: 1000 },
    log: {
      append: async (entry: Uint8Array) => {
        // As the log does: the same bytes have one place.
        const known = logged.findIndex((e) => toHex(e) === toHex(entry));
        const index = known >= 0 ? known : logged.push(entry) - 1;
        return { index };
      },
      witnessed: async () => {},
      prove: async () => "proof",
    },
    attestations: {
      put: async (bytes: Uint8Array) => {
        const digest = sha256Hex(bytes);
        kept.set(digest, bytes);
        return digest;
      },
      get: async () => undefined,
    },
  } as unknown as Parameters<typeof takeRegistration>[0];
  return { parts, logged, kept, asked };
}
const bodyOf = (enclave: Enclave, registration: unknown = registerPlace(enclave)) => ({
  registration,
  attestation: toBase64(enclave.attestation),
});
const enclave = makeEnclave();

describe("a registration of an attested keyset", () => {
  test("is kept and logged once, however often it is shown", async () => {
    const { parts, logged, kept } = openParts();
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await takeRegistration(parts, bodyOf(enclave)));
    expect(answers[4]).toEqual({ index: 0, attestation: sha256Hex(enclave.attestation), keyset: enclave.digest });
    expect([...kept.keys()]).toEqual([sha256Hex(enclave.attestation)]);
    expect(logged.map((e) => decodeEntry(e))).toMatchObject([{ kind: "node", flags: ["hardware"] }]);
  });

  test.each<[string, string, () => unknown]>([
    ["NOT_AUTHORISED", "of a stranger", () => bodyOf(enclave, registerPlace(enclave, "named-datacentre", keyOf("x")))],
    [
      "NOT_AUTHORISED",
      "about another keyset",
      () => bodyOf(enclave, registerPlace({ ...enclave, digest: "00".repeat(32) })),
    ],
    [
      "TEE_CUSTODY_NOT_ALLOWED",
      "about another key",
      () => bodyOf(enclave, registerPlace({ ...enclave, signer: keyOf("another key") })),
    ],
    ["TEE_CUSTODY_NOT_ALLOWED", "about another place", () => bodyOf(enclave, registerPlace(enclave, "self-hosted"))],
    ["REQUEST_MALFORMED", "with more than it may hold", () => ({ ...bodyOf(enclave), more: 1 })],
  ])("%s: %s", async (code, _, body) => {
    const { parts, logged, kept } = openParts();
    await expect(takeRegistration(parts, body())).rejects.toMatchObject({ code });
    expect([logged.length, kept.size]).toEqual([0, 0]);
  });

  test("that is somebody else's makes the gateway check no document of one's own", async () => {
    const { parts, logged, kept, asked } = openParts();
    const mine = makeEnclave({ nonce: "ab".repeat(32) });
    const body = { ...bodyOf(enclave), attestation: toBase64(mine.attestation) };
    await expect(takeRegistration(parts, body)).rejects.toMatchObject({ code: "NOT_AUTHORISED" });
    expect([asked.signatures, logged.length, kept.size]).toEqual([0, 0, 0]);
  });
});

describe("a measurement record", () => {
  const registers = (pcr2: string) => ({ pcr0: "01".repeat(48), pcr1: "02".repeat(48), pcr2: pcr2.repeat(48) });
  const record = (changes: Partial<Measurement> = {}, by: Signer = publisher) =>
    signMeasurement(
      {
        suite: "countersign/measurement/v1",
        network,
        publisher: hexOf(by),
        format: "nitro",
        registers: registers("03"),
        title: "an image",
        source: { url: "https://example.invalid/source", commit: "abc", tree: "66".repeat(32) },
        build: null,
        revoked: false,
        at: now,
        ...changes,
      },
      by,
    );

  test("is logged once under the name of its registers, however often it is shown", async () => {
    const { parts, logged } = openParts();
    for (let i = 0; i < 5; i++)
      expect(await takeMeasurement(parts, { statement: record() })).toMatchObject({ index: 0, measurement });
    expect(logged).toHaveLength(1);
  });

  test.each<[string, () => unknown]>([
    ["of a stranger", () => record({}, keys.node)],
    ["of another network", () => record({ network: "eip155:1" })],
    [
      "that names a measurement which its registers do not give",
      () => {
        const { predicate } = readMeasurement(record({ registers: registers("04") }));
        return signStatement(
          { name: "measurement", subject: measurement, predicateType: measurementType, predicate },
          publisher,
        );
      },
    ],
  ])("%s is not logged", async (_, statement) => {
    const { parts, logged } = openParts();
    await expect(takeMeasurement(parts, { statement: statement() })).rejects.toMatchObject({ code: "NOT_AUTHORISED" });
    expect(logged).toHaveLength(0);
  });
});
