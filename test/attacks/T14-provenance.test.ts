import {
  type Attestation,
  bucket,
  type Entry,
  envelopeDigest,
  type Measurement,
  noDigest,
  type Signer,
  signMeasurement,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { lookUp } from "@countersign/verify";
import { expect, test } from "vitest";
import {
  code,
  hardware,
  judgeEnclave,
  makeEnclave,
  measurement,
  now,
  outcomeOf,
  trusting,
} from "../fixtures/enclave.ts";
import { hexOf, keyOf, logEntry, network } from "../fixtures/network.ts";

const publisher = keyOf("publisher");
const trust = {
  ...trusting(hardware({ provenance: true })),
  publishers: [{ name: "publisher", key: hexOf(publisher) }],
};

type Changes = { readonly record?: Partial<Measurement>; readonly signer?: Signer; readonly entry?: Partial<Entry> };
/** A record of the accepted image, logged and witnessed. */
function publish({ record, signer = publisher, entry }: Changes = {}): Attestation["provenance"][number] {
  const statement = signMeasurement(
    {
      suite: "countersign/measurement/v1",
      network,
      publisher: hexOf(signer),
      format: "nitro",
      registers: { pcr0: toHex(code[0]), pcr1: toHex(code[1]), pcr2: toHex(code[2]) },
      title: "node 1.0",
      source: { url: "https://example.invalid/node", commit: "abc", tree: "11".repeat(32) },
      build: { command: "make image", recipe: "22".repeat(32), environment: "a builder" },
      revoked: false,
      at: now,
      ...record,
    },
    signer,
  );
  const logged: Entry = {
    kind: "measurement",
    flags: [],
    subject: measurement,
    envelope: envelopeDigest(statement),
    issuer: hexOf(signer),
    model: noDigest,
    tag: noDigest,
    deployment: noDigest,
    demanded: [],
    bought: 0,
    delivered: 0,
    tokens: bucket(0),
    value: bucket(0),
    hour: 0,
    ...entry,
  };
  return { statement, ...logEntry(logged).inclusion };
}

const judge = (provenance: Attestation["provenance"], at = now + 5000) =>
  outcomeOf(
    judgeEnclave(makeEnclave({ bundle: { provenance } }), {
      trust,
      at,
      inLog: (entry, proof) => lookUp(entry, proof, trust, at, nodeSuite),
    }),
  );

test("T14: a logged record of a build that anybody can repeat", () => expect(judge([publish()])).toBe("accepted"));

test("T14: no record at all: the document's own word is no provenance", () => {
  expect(judge([])).toBe("TEE_MEASUREMENT_NOT_LOGGED");
});

test.each<[string, Changes]>([
  ["that nobody can build again", { record: { build: null } }],
  ["that was revoked", { record: { revoked: true } }],
  ["of another image", { record: { registers: { pcr0: "ff" } } }],
  ["of another network", { record: { network: "eip155:1" } }],
  ["by a publisher whom the trust does not name", { signer: keyOf("stranger") }],
  ["by somebody in the publisher's name", { record: { publisher: hexOf(publisher) }, signer: keyOf("stranger") }],
  ["whose entry is about something else", { entry: { subject: "ab".repeat(32) } }],
  ["whose entry is of another kind", { entry: { kind: "model" } }],
  ["whose entry names another record", { entry: { envelope: "ab".repeat(32) } }],
])("T14: a record %s", (_what, changes) => {
  expect(judge([publish(changes)])).toBe("TEE_MEASUREMENT_NOT_LOGGED");
});

test("T14: a sound record that stands in no trusted log, or whose proof is another entry's", () => {
  const honest = publish();
  expect(judge([{ ...honest, proof: publish({ entry: { hour: 9 } }).proof }])).toBe("TEE_MEASUREMENT_NOT_LOGGED");
  expect(judge([{ ...honest, proof: "" }])).toBe("TEE_MEASUREMENT_NOT_LOGGED");
  const without = makeEnclave({ bundle: { provenance: [honest] } });
  expect(outcomeOf(judgeEnclave(without, { trust }))).toBe("TEE_MEASUREMENT_NOT_LOGGED");
});

test("T14: one record that fails takes nothing away from one that holds", () => {
  expect(judge([publish({ record: { build: null } }), publish()])).toBe("accepted");
});
