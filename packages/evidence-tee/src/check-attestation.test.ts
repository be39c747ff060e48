import {
  type Attestation,
  attestationBytes,
  type Entry,
  type Envelope,
  encodeEntry,
  envelopeDigest,
  gpuNonce,
  type Hex,
  keysetBinding,
  keysetDigest,
  type Measurement,
  measurementId,
  noDigest,
  noTrust,
  portableSuite,
  signMeasurement,
  type Trust,
  type TrustedHardware,
  toBase64,
  toBase64Url,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import {
  at,
  authority,
  hour,
  keysetOf,
  makeAttestation,
  measured,
  measurement,
  model,
  network,
  register,
  registrationOf,
  signerOf,
  trustOf,
} from "./attestation.fixture.ts";
import { type AttestationArgs, checkAttestation } from "./check-attestation.ts";
import { makeCertificate } from "./make/certificate.ts";
import { makeNitroAuthority } from "./make/nitro-document.ts";
import { frameOf, makeGpu, makeReport } from "./nvidia/nvidia.fixture.ts";

const nonce: Hex = "ab".repeat(32);
const judge = (args: Partial<AttestationArgs> = {}) =>
  checkAttestation({
    attestation: makeAttestation(),
    registrations: [registrationOf()],
    trust: trustOf(),
    at: at + 1000,
    nonce: null,
    suite: nodeSuite,
    allowDevelopment: true,
    ...args,
  });
const codeOf = (args: Partial<AttestationArgs>) => {
  const { outcome } = judge(args);
  return outcome.status === "refused" ? outcome.code : outcome.status;
};

test("an attested keyset is accepted, with the facts that a policy can require", () => {
  const { outcome, checks } = judge();
  expect(outcome).toMatchObject({
    status: "accepted",
    assurance: "simulated",
    measurement,
    facts: {
      scope: "inference",
      platform: "nitro",
      assurance: "simulated",
      tcb: "vendor-managed",
      custody: "self-hosted",
      operator: "fixture-operator",
      provenance: "none",
      measurement,
    },
  });
  expect(checks.filter((c) => c.status === "failed")).toEqual([]);
});

test("both suites say the same of it", () => {
  expect(judge({ suite: portableSuite })).toEqual(judge());
});

describe("refusals", () => {
  test.each<[string, string, () => Partial<AttestationArgs>]>([
    ["TEE_SIMULATED_NOT_ALLOWED", "a trust that names no hardware", () => ({ trust: { ...noTrust, network } })],
    ["TEE_SIMULATED_NOT_ALLOWED", "nobody allowed stand-ins", () => ({ allowDevelopment: false })],
    [
      "TEE_SIMULATED_NOT_ALLOWED",
      "a trust for AWS's root alone",
      () => ({ trust: trustOf({ root: "64".repeat(32), assurance: "hardware" }) }),
    ],
    [
      "TEE_ROOT_UNTRUSTED",
      "another private root that does not say what it is",
      () => ({ attestation: makeAttestation({ by: makeNitroAuthority({ now: at - hour, subjectPrefix: "AWS" }) }) }),
    ],
    ["TEE_MEASUREMENT_POLICY_EMPTY", "an empty list of measurements", () => ({ trust: trustOf({ measurements: [] }) })],
    [
      "TEE_MEASUREMENT_UNKNOWN",
      "other code",
      () => ({ attestation: makeAttestation({ pcrs: new Map([[2, register(9)]]) }) }),
    ],
    ["TEE_MEASUREMENT_REVOKED", "code that was revoked", () => ({ trust: trustOf({ revoked: [measurement] }) })],
    ["TEE_DEBUG_MODE", "debug mode", () => ({ attestation: makeAttestation({ pcrs: new Map([[0, register(0)]]) }) })],
    [
      "TEE_REPORT_DATA_MISMATCH",
      "another keyset beside the document",
      () => ({
        attestation: makeAttestation({ userData: new Uint8Array(32).fill(7) }),
      }),
    ],
    [
      "TEE_REPORT_DATA_MISMATCH",
      "a keyset that was changed afterwards",
      () => ({
        attestation: makeAttestation({
          change: (a) => ({ ...a, keyset: keysetOf({ models: [model, "22".repeat(32)] }) }),
        }),
      }),
    ],
    ["TEE_NONCE_MISMATCH", "a document that nobody asked for", () => ({ nonce })],
    [
      "TEE_NONCE_MISMATCH",
      "an answer to another nonce",
      () => ({ nonce, attestation: makeAttestation({ nonce: "cd".repeat(32) }) }),
    ],
    ["TEE_CERT_EXPIRED", "a leaf that ended", () => ({ at: at + 4 * hour })],
    ["TEE_CERT_NOT_YET_VALID", "a time before it", () => ({ at: at - 2 * hour })],
    [
      "TEE_FROM_FUTURE",
      "a document of the future",
      () => ({ attestation: makeAttestation({ at: at + 30_000 }), at: at - 31_000 }),
    ],
    [
      "TEE_KEYSET_EXPIRED",
      "a keyset that ended",
      () => ({ attestation: makeAttestation({ keyset: { notAfter: at } }) }),
    ],
    [
      "TEE_KEYSET_EXPIRED",
      "a keyset that claims to live for ever",
      () => ({ attestation: makeAttestation({ keyset: { notAfter: at + 1000 * hour } }) }),
    ],
    [
      "TEE_KEY_NOT_BOUND",
      "a keyset of another network",
      () => ({ attestation: makeAttestation({ keyset: { network: "eip155:5" } }) }),
    ],
    ["TEE_MODEL_NOT_MEASURED", "no model", () => ({ attestation: makeAttestation({ keyset: { models: [] } }) })],
    [
      "TEE_MODEL_NOT_MEASURED",
      "models that PCR 16 does not hold",
      () => ({ attestation: makeAttestation({ pcrs: new Map([[16, register(5)]]) }) }),
    ],
    [
      "TEE_GPU_MISSING",
      "a promised GPU that is not there",
      () => ({ attestation: makeAttestation({ keyset: { gpus: 1 } }) }),
    ],
    [
      "TEE_CUSTODY_NOT_ALLOWED",
      "a machine of which nobody says where it stands",
      () => ({ registrations: [], trust: trustOf({ custody: ["self-hosted"] }) }),
    ],
    [
      "TEE_CUSTODY_NOT_ALLOWED",
      "a stranger's word for the place",
      () => ({
        registrations: [registrationOf("hyperscaler", signerOf(99))],
        trust: trustOf({ custody: ["hyperscaler"] }),
      }),
    ],
    [
      "TEE_CUSTODY_NOT_ALLOWED",
      "the word for another node's key",
      () => ({
        registrations: [registrationOf("hyperscaler", undefined, "77".repeat(32))],
        trust: trustOf({ custody: ["hyperscaler"] }),
      }),
    ],
    ["TEE_CUSTODY_NOT_ALLOWED", "a trust that accepts no place", () => ({ trust: trustOf({ custody: [] }) })],
    ["TEE_MEASUREMENT_NOT_LOGGED", "a build that nobody logged", () => ({ trust: trustOf({ provenance: true }) })],
    [
      "TEE_FORMAT_NOT_ALLOWED",
      "a format that the trust does not name",
      () => ({
        attestation: makeAttestation({
          change: (a) => ({ ...a, evidence: [{ format: "sev-snp", document: "AAAA" }] }),
        }),
      }),
    ],
    [
      "TEE_EVIDENCE_MALFORMED",
      "a GPU in the place of the CPU",
      () => ({
        attestation: makeAttestation({ change: (a) => ({ ...a, evidence: [{ format: "nvidia", document: "AAAA" }] }) }),
      }),
    ],
    [
      "TEE_EVIDENCE_MALFORMED",
      "a second CPU behind the first",
      () => ({ attestation: makeAttestation({ change: (a) => ({ ...a, evidence: [...a.evidence, ...a.evidence] }) }) }),
    ],
    ["TEE_EVIDENCE_MALFORMED", "no JSON", () => ({ attestation: new Uint8Array([1, 2, 3]) })],
    ["TEE_EVIDENCE_MALFORMED", "nothing", () => ({ attestation: new Uint8Array() })],
    [
      "TEE_TRAILING_DATA",
      "another encoding of the same",
      () => ({ attestation: new TextEncoder().encode(`${new TextDecoder().decode(makeAttestation())} `) }),
    ],
  ])("%s: %s", (code, _, args) => {
    expect(codeOf(args())).toBe(code);
  });
});

test("the answer to our nonce is accepted", () => {
  expect(codeOf({ nonce, attestation: makeAttestation({ nonce }) })).toBe("accepted");
});

test("no flipped bit of an attestation is accepted as another", () => {
  const sound = makeAttestation();
  for (let bit = 0; bit < sound.length * 8; bit += 61) {
    const bent = sound.slice();
    bent[bit >> 3] = (bent[bit >> 3] as number) ^ (1 << (bit & 7));
    const { outcome } = judge({ attestation: bent });
    // The maker's own word for when is signed by nobody and believed by nobody.
    if (outcome.status === "accepted") expect(outcome.keyset).toEqual(keysetOf());
    if (outcome.status === "accepted") expect(unsignedPart(bent)).toBe(unsignedPart(sound));
  }
});

/** An attestation without what nothing rests on. */
function unsignedPart(bytes: Uint8Array): string {
  const { madeAt: _, ...rest } = JSON.parse(new TextDecoder().decode(bytes)) as Attestation;
  return JSON.stringify(rest);
}

test("garbage behind the documents is not counted as a GPU", () => {
  const bytes = makeAttestation({
    keyset: { gpus: 1 },
    change: (a) => ({ ...a, evidence: [...a.evidence, { format: "nvidia", document: toBase64(new Uint8Array(900)) }] }),
  });
  expect(codeOf({ attestation: bytes })).toBe("TEE_FORMAT_NOT_ALLOWED");
  const trust = trustOf();
  const gpu = { ...(trust.hardware[0] as (typeof trust.hardware)[number]), format: "nvidia" as const };
  expect(codeOf({ attestation: bytes, trust: { ...trust, hardware: [...trust.hardware, gpu] } })).toMatch(
    /^TEE_EVIDENCE_MALFORMED|^TEE_TRAILING/,
  );
});

describe("GPUs behind the CPU's document", () => {
  const valid = () => ({ notBefore: at - 24 * hour, notAfter: at + 24 * hour });
  const [mine, other] = [makeGpu(valid), makeGpu(valid)];
  const trust = trustOf();
  const [cpu] = trust.hardware as [TrustedHardware];
  const versions = measurementId("nvidia", { driver: "590.12", vbios: "96.00.A5.00.01" });
  const gpuTrust = (entry: Partial<TrustedHardware> = {}): Trust => ({
    ...trust,
    hardware: [
      cpu,
      ...[mine, other].map(({ root }) => ({
        ...cpu,
        format: "nvidia" as const,
        root: root.digest,
        assurance: "hardware" as const,
        measurements: [versions],
        ...entry,
      })),
    ],
  });
  const nonceOf = (gpus: number, nonce: Hex | null = null) =>
    gpuNonce(keysetBinding(keysetDigest(keysetOf({ gpus })), nonce));
  const shown = (gpu = mine, gpus = 1, nonce = nonceOf(gpus)) => frameOf(makeReport(gpu.key, { nonce }), gpu.pem);
  const judged = (gpus: number, documents: readonly Uint8Array[], args: Partial<AttestationArgs> = {}) =>
    judge({
      trust: gpuTrust(),
      attestation: makeAttestation({
        keyset: { gpus },
        change: (a) => ({
          ...a,
          evidence: [...a.evidence, ...documents.map((d) => ({ format: "nvidia" as const, document: toBase64(d) }))],
        }),
      }),
      ...args,
    }).outcome;

  test("each promised one, of its own chip and for this keyset, is accepted; the machine is worth its weakest part", () => {
    expect(judged(1, [shown()])).toMatchObject({ status: "accepted", assurance: "simulated" });
    const two = [shown(mine, 2), shown(other, 2)];
    expect(judged(2, two)).toMatchObject({ status: "accepted" });
    expect(judged(2, two, { suite: portableSuite })).toEqual(judged(2, two));
  });

  test.each<[string, string, () => ReturnType<typeof judged>]>([
    ["TEE_GPU_MISSING", "one of two", () => judged(2, [shown(mine, 2)])],
    ["TEE_GPU_MISSING", "one that was not promised", () => judged(0, [shown(mine, 0)])],
    ["TEE_GPU_MISSING", "one that is shown twice", () => judged(2, [shown(mine, 2), shown(mine, 2)])],
    [
      "TEE_GPU_MISSING",
      "one that is shown under the firmware before and after an update",
      () => {
        // The leaf is another one with each firmware; the chip's own certificate above it stays.
        const [root, arch, provisioner, device] = mine.chain;
        const leaf = makeCertificate({
          subject: "GH100 A01 GSP FMC LF",
          issuer: device as NonNullable<typeof device>,
          keyType: "P-384",
          ...valid(),
          ca: false,
        });
        const pem = [leaf, device, provisioner, arch, root].map((c) => c?.pem).join("");
        return judged(2, [shown(mine, 2), shown({ ...mine, pem, key: leaf.key }, 2)]);
      },
    ],
    ["TEE_GPU_NOT_BOUND", "one that answered another keyset", () => judged(1, [shown(mine, 1, nonceOf(2))])],
    [
      "TEE_GPU_NOT_BOUND",
      "one that answered the same keyset for another nonce",
      () => judged(1, [shown(mine, 1, nonceOf(1, nonce))]),
    ],
    [
      "TEE_GPU_NOT_BOUND",
      "one that answered the CPU's binding itself",
      () => judged(1, [shown(mine, 1, keysetBinding(keysetDigest(keysetOf({ gpus: 1 })), null))]),
    ],
    ["TEE_ROOT_UNTRUSTED", "one under a stranger's root", () => judged(1, [shown(makeGpu(valid))])],
    [
      "TEE_MEASUREMENT_UNKNOWN",
      "one with another driver",
      () => judged(1, [shown()], { trust: gpuTrust({ measurements: [measurement] }) }),
    ],
    [
      "TEE_MEASUREMENT_REVOKED",
      "one with a driver that was revoked",
      () => judged(1, [shown()], { trust: gpuTrust({ revoked: [versions] }) }),
    ],
    ["TEE_FORMAT_NOT_ALLOWED", "one where the trust names no GPUs", () => judged(1, [shown()], { trust })],
    [
      "TEE_SIGNATURE_INVALID",
      "one whose nonce was written over",
      () => {
        const stolen = makeReport(mine.key, { nonce: nonceOf(2) });
        stolen.set(nonceOf(1), 4);
        return judged(1, [frameOf(stolen, mine.pem)]);
      },
    ],
  ])("%s: %s", (code, _, run) => {
    expect(run()).toMatchObject({ status: "refused", code });
  });
});

test("the one encoding is the canonical one", () => {
  const sound = makeAttestation();
  expect(toHex(attestationBytes(JSON.parse(new TextDecoder().decode(sound))))).toBe(toHex(sound));
  expect(authority.rootDigest).toHaveLength(64);
});

describe("provenance", () => {
  const publisher = signerOf(31);
  const record = (changes: Partial<Measurement> = {}, by = publisher) =>
    signMeasurement(
      {
        suite: "countersign/measurement/v1",
        network,
        publisher: toHex(by.publicKey),
        format: "nitro",
        registers: measured,
        title: "enclave image 1",
        source: { url: "https://example.invalid/source", commit: "abc", tree: "66".repeat(32) },
        build: { command: "make image", recipe: "67".repeat(32), environment: "debian 12" },
        revoked: false,
        at,
        ...changes,
      },
      by,
    );
  const entryOf = (statement: Envelope, changes: Partial<Entry> = {}) =>
    toBase64Url(
      encodeEntry({
        kind: "measurement",
        flags: [],
        subject: measurement,
        envelope: envelopeDigest(statement),
        issuer: toHex(publisher.publicKey),
        model: noDigest,
        tag: noDigest,
        deployment: noDigest,
        demanded: [],
        bought: 0,
        delivered: 0,
        tokens: 0,
        value: 0,
        hour: 0,
        ...changes,
      }),
    );
  const trust = trustOf({ provenance: true }, { publishers: [{ name: "publisher", key: toHex(publisher.publicKey) }] });
  const logged = { status: "logged", time: at } as const;
  const judged = (statement: Envelope, entry = entryOf(statement), inLog: AttestationArgs["inLog"] = () => logged) =>
    judge({
      trust,
      inLog,
      attestation: makeAttestation({
        change: (a) => ({
          ...a,
          provenance: [{ statement, entry, proof: "proof" } as Attestation["provenance"][number]],
        }),
      }),
    }).outcome;

  test("a logged record of a build that anybody can repeat is a fact", () => {
    expect(judged(record())).toMatchObject({ status: "accepted", facts: { provenance: "logged" } });
  });

  test.each<[string, () => ReturnType<typeof judged>]>([
    ["of a stranger", () => judged(record({}, signerOf(32)))],
    ["of other code", () => judged(record({ registers: { ...measured, pcr2: "00".repeat(48) } }))],
    ["of a build that nobody can repeat", () => judged(record({ build: null }))],
    ["that was revoked", () => judged(record({ revoked: true }))],
    ["of another network", () => judged(record({ network: "eip155:5" }))],
    ["whose entry is about another statement", () => judged(record(), entryOf(record({ title: "another" })))],
    ["whose entry is of another kind", () => judged(record(), entryOf(record(), { kind: "model" }))],
    [
      "whose entry is about another measurement",
      () => judged(record(), entryOf(record(), { subject: "12".repeat(32) })),
    ],
    ["that is in no log", () => judged(record(), undefined, () => ({ status: "unknown", reason: "not there" }))],
  ])("a record %s is none", (_, run) => {
    expect(run()).toMatchObject({ status: "refused", code: "TEE_MEASUREMENT_NOT_LOGGED" });
  });

  test("where nobody asks for one, a record that does not hold is not said to be missing", () => {
    const provenance = [{ statement: record({ revoked: true }), entry: entryOf(record()), proof: "proof" }];
    const said = (attached: Attestation["provenance"]) =>
      judge({ attestation: makeAttestation({ change: (a) => ({ ...a, provenance: attached }) }) }).checks.find(
        (c) => c.id === "tee.provenance",
      );
    expect(said(provenance as Attestation["provenance"])).toMatchObject({
      status: "not-run",
      detail: expect.stringContaining("Records are attached, and none"),
    });
    expect(said([])?.detail).toContain("no record is attached");
  });
});
