import { generateKeyPairSync } from "node:crypto";
import { portableSuite, type Suite, sha256Hex, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { encode } from "cborg";
import { describe, expect, test } from "vitest";
import { type DocumentArgs, type DocumentReport, obstacleOf } from "../attestation.ts";
import {
  type CertificateArgs,
  type IssuedCertificate,
  makeCertificate,
  makeNitroAuthority,
  type NitroContent,
  type NitroFlaws,
  type NitroSigner,
  signNitroDocument,
} from "../make/index.ts";
import { rememberVendorSignatures } from "../remember.ts";
import { pinnedRoots } from "../roots.ts";
import { checkNitro } from "./check.ts";

const now = Date.UTC(2026, 10, 21, 12);
const hour = 3_600_000;
const order = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
const authority = makeNitroAuthority({ now });
const zone = authority.issueZone(now);
const signer = authority.issueSigner(zone, now);
const fill = (value: number, length = 48) => new Uint8Array(length).fill(value);
const pcrs = new Map([...Array(16).keys(), 16].map((i) => [i, i <= 2 || i === 16 ? fill(i + 1) : fill(0)]));
const binding = fill(9, 32);
const nonce = fill(5, 32);
const content: NitroContent = {
  moduleId: "i-1-enc2",
  pcrs,
  userData: binding,
  nonce,
  publicKey: null,
  timestamp: now,
};
const simulated = { format: "nitro", digest: authority.rootDigest, assurance: "simulated", name: "ours" } as const;
const args: Omit<DocumentArgs, "document"> = {
  at: now,
  roots: [simulated],
  collateral: [],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding,
  nonce,
  maxAge: hour,
  suite: nodeSuite,
};
const make = (changed: Partial<NitroContent> = {}, flaws: NitroFlaws = {}, by: NitroSigner = signer) =>
  signNitroDocument({ ...content, ...changed }, by, flaws);
const document = make();
const check = (bytes = document, changed: Partial<DocumentArgs> = {}) =>
  checkNitro({ ...args, document: bytes, ...changed });
const required = ["form", "algorithm", "root", "chain", "validity", "signature", "debug", "freshness"] as const;
const outcome = (report: DocumentReport) => obstacleOf(report, required)?.code ?? "passed";
const failedAt = (report: DocumentReport) => report.checks.find((c) => c.result === "failed")?.id;

test("a sound document shows what it says, and both suites say the same of it", () => {
  const report = check();
  expect(outcome(report)).toBe("passed");
  expect(report).toMatchObject({
    format: "nitro",
    assurance: "simulated",
    debug: false,
    tcb: { status: "vendor-managed" },
    registers: { pcr0: "01".repeat(48), pcr1: "02".repeat(48), pcr2: "03".repeat(48) },
    runtime: { pcr16: "11".repeat(48) },
    producedAt: now,
    reportData: binding,
    facts: { moduleId: "i-1-enc2", nonce: toHex(nonce) },
  });
  expect(Object.keys(report.registers)).toEqual(["pcr0", "pcr1", "pcr2"]);
  const notRun = report.checks.filter((c) => c.result === "not-run").map((c) => c.id);
  expect(notRun).toEqual(["revocation", "tcb", "attributes", "measurement", "eventlog"]);
  expect(check(document, { suite: portableSuite })).toEqual(report);
});

test("PCR 8 is measured where it is not zero, and only there", () => {
  const signed = check(make({ pcrs: new Map([...pcrs, [8, fill(8)]]) }));
  expect(Object.keys(signed.registers)).toEqual(["pcr0", "pcr1", "pcr2", "pcr8"]);
  expect(signed.measurement).not.toBe(check().measurement);
});

test.each([
  ["a map of definite length", {}, { definite: true }],
  ["COSE's tag", {}, { tagged: true }],
  ["no user data, nonce and key at all", {}, { change: (f: Map<unknown, unknown>) => f.delete("public_key") }],
  ["a public key", { publicKey: fill(1, 1024) }, {}],
] as const)("%s is read as well", (_, changed, flaws) => {
  expect(outcome(check(make(changed, flaws)))).toBe("passed");
});

const field = (name: string, value: unknown): NitroFlaws => ({ change: (fields) => fields.set(name, value) });
const registers = (entries: Iterable<readonly [unknown, unknown]>) =>
  field("pcrs", new Map([...pcrs, ...entries] as []));
const bundle = signer.chain.slice(0, -1).map((c) => c.der);
describe("form", () => {
  test.each<[string, NitroFlaws]>([
    ["a byte behind it", { behind: fill(0, 1) }],
    ["a byte behind its payload", { behindPayload: fill(0, 1) }],
    ["a field twice", { twice: ["nonce"] }],
    ["an unknown field", field("extra", 1)],
    ["an unprotected header", { open: encode(new Map([[4, fill(1, 3)]])) }],
    ["an unprotected header in another form", { open: Uint8Array.of(0xbf, 0xff) }],
    ["a protected header that is no map", { header: encode([1, -35]) }],
    ["a protected header in another form", { header: Uint8Array.of(0xbf, 0x01, 0x38, 0x22, 0xff) }],
    ["no module", { change: (f) => f.delete("module_id") }],
    ["a module without a name", field("module_id", "")],
    ["a digest that is no name", field("digest", 384)],
    ["a time of zero", field("timestamp", 0)],
    ["a time that is no integer", field("timestamp", 1.5)],
    ["a time past what counts exactly", field("timestamp", 2n ** 60n)],
    ["no registers", field("pcrs", new Map())],
    ["a register of 32 bytes", registers([[3, fill(1, 32)]])],
    ["a register of 64 bytes", registers([[0, fill(1, 64)]])],
    ["a register that is null", registers([[3, null]])],
    ["a register 32", registers([[32, fill(1)]])],
    ["a register by a name", registers([["0", fill(1)]])],
    ["no PCR 1", field("pcrs", new Map([...pcrs].filter(([i]) => i !== 1)))],
    ["no bundle", field("cabundle", [])],
    ["too long a bundle", field("cabundle", Array(9).fill(bundle[0]))],
    ["a certificate of 1025 bytes", field("cabundle", [fill(0x30, 1025)])],
    ["a certificate that is none", field("certificate", fill(0x30, 20))],
    ["a leaf that is null", field("certificate", null)],
    ["an empty public key", field("public_key", fill(0, 0))],
    ["a public key of 1025 bytes", field("public_key", fill(0, 1025))],
    ["user data of 513 bytes", field("user_data", fill(0, 513))],
    ["user data as text", field("user_data", "hello")],
    ["a nonce of 513 bytes", field("nonce", fill(0, 513))],
  ])("%s: malformed", (_, flaws) => {
    const report = check(make({}, flaws));
    expect(outcome(report)).toBe("TEE_EVIDENCE_MALFORMED");
    expect(failedAt(report)).toBe("form");
    expect(report.assurance).toBeNull();
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["16385 bytes", new Uint8Array(16_385)],
    ["another tag", Uint8Array.of(0xd1, ...document)],
    ["the tag twice", Uint8Array.of(0xd2, 0xd2, ...document)],
    ["an array of indefinite length", Uint8Array.of(0x9f, ...document.subarray(1), 0xff)],
    ["an array of five", Uint8Array.of(0x85, ...document.subarray(1), 0xf6)],
    ["a thousand arrays in one another", fill(0x81, 16_000)],
    ["half of it", document.subarray(0, document.length / 2)],
  ])("%s: malformed", (_, bytes) => {
    expect(outcome(check(bytes))).toBe("TEE_EVIDENCE_MALFORMED");
  });

  test("16 KiB are the most, to the byte", () => {
    const sized = (length: number) => make({ moduleId: "x".repeat(10_000 + length - base) });
    const base = make({ moduleId: "x".repeat(10_000) }).length;
    expect(sized(16_384).length).toBe(16_384);
    expect(outcome(check(sized(16_384)))).toBe("passed");
    expect(outcome(check(sized(16_385)))).toBe("TEE_EVIDENCE_MALFORMED");
  });

  test("a certificate with a byte behind it", () => {
    const report = check(make({}, field("certificate", Uint8Array.of(...(signer.chain.at(-1)?.der ?? []), 0))));
    expect(outcome(report)).toBe("TEE_TRAILING_DATA");
  });
});

test.each<[string, NitroFlaws]>([
  ["ES256", { header: encode(new Map([[1, -7]])) }],
  ["ES512", { header: encode(new Map([[1, -36]])) }],
  ["no algorithm", { header: encode(new Map()) }],
  [
    "a second header besides",
    {
      header: encode(
        new Map([
          [1, -35],
          [3, 0],
        ] as [number, number][]),
      ),
    },
  ],
  ["an algorithm by name", { header: encode(new Map([[1, "ES384"]])) }],
  ["registers of another hash", field("digest", "SHA512")],
])("%s is no algorithm of the format", (_, flaws) => {
  expect(outcome(check(make({}, flaws)))).toBe("TEE_ALG_NOT_ALLOWED");
});

describe("root", () => {
  test("a simulated root that nobody pins says that it is one; the vendors' roots do not change that", () => {
    for (const roots of [[], pinnedRoots])
      expect(outcome(check(document, { roots }))).toBe("TEE_SIMULATED_NOT_ALLOWED");
  });
  test("an unmarked root that nobody pins is not trusted", () => {
    const own = makeNitroAuthority({ now, subjectPrefix: "aws.nitro-enclaves" });
    const by = own.issueSigner(own.issueZone(now), now);
    expect(outcome(check(make({}, {}, by)))).toBe("TEE_ROOT_UNTRUSTED");
  });
  test("a root that is pinned for another format is not pinned for this one", () => {
    expect(outcome(check(document, { roots: [{ ...simulated, format: "tdx" }] }))).toBe("TEE_SIMULATED_NOT_ALLOWED");
  });
  test("a root that calls itself a simulation is never hardware, whatever a trust file says", () => {
    const report = check(document, { roots: [{ ...simulated, assurance: "hardware" }] });
    expect(outcome(report)).toBe("TEE_SIMULATED_NOT_ALLOWED");
    expect(report.assurance).toBeNull();
  });
  test("the pinned root in front of an own root lends it nothing", () => {
    const own = makeNitroAuthority({ now, subjectPrefix: "own" });
    const { chain } = own.issueSigner(own.issueZone(now), now);
    const report = check(make({}, {}, { chain: [authority.root, ...chain] }));
    expect(outcome(report)).toBe("TEE_CHAIN_BROKEN");
    expect(report.assurance).toBeNull();
  });
  test("a genuine chain with an own leaf, and a genuine leaf with an own key, are refused", () => {
    const own = makeCertificate({
      subject: "own",
      issuerName: "own",
      keyType: "P-384",
      notBefore: now,
      notAfter: now + hour,
      ca: false,
    });
    const leaf = signer.chain.at(-1);
    if (!leaf) throw new Error("there is a leaf");
    expect(outcome(check(make({}, {}, { chain: [authority.root, zone, own] })))).toBe("TEE_CHAIN_BROKEN");
    const stolen = { ...leaf, key: own.key };
    const report = check(make({}, {}, { chain: [authority.root, zone, stolen] }));
    expect(outcome(report)).toBe("TEE_SIGNATURE_INVALID");
    expect(report.assurance).toBeNull();
  });
});

describe("chain", () => {
  const issue = (changed: Partial<CertificateArgs>) =>
    makeCertificate({
      subject: "leaf",
      issuer: zone,
      keyType: "P-384",
      notBefore: now - hour,
      notAfter: now + hour,
      ca: false,
      ...changed,
    });
  const under = (changed: Partial<CertificateArgs>) => ({ chain: [authority.root, zone, issue(changed)] });
  const [, , leaf] = signer.chain as [IssuedCertificate, IssuedCertificate, IssuedCertificate];
  test.each<[string, NitroSigner, string]>([
    ["a CA as leaf", under({ ca: true }), "TEE_CERT_NOT_CA"],
    ["a leaf of P-256", under({ keyType: "P-256" }), "TEE_CERT_KEY"],
    [
      "an RSA leaf",
      under({ keyType: { privateKey: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey } }),
      "TEE_CERT_KEY",
    ],
    ["a leaf whose key agrees on keys alone", under({ keyUsage: 0x08 }), "TEE_CERT_KEY"],
    ["a leaf without key usage", under({ keyUsage: null }), "TEE_CERT_KEY"],
    ["a leaf under a leaf", { chain: [...signer.chain, issue({ issuer: leaf })] }, "TEE_CERT_NOT_CA"],
    ["a leaf that names another issuer", under({ issuerName: "other" }), "TEE_CHAIN_BROKEN"],
    ["a leaf of another zone", { chain: [authority.root, authority.issueZone(now), leaf] }, "TEE_CHAIN_BROKEN"],
    ["an expired leaf", under({ notAfter: now - 1 }), "TEE_CERT_EXPIRED"],
    ["a leaf of tomorrow", under({ notBefore: now + 1000 }), "TEE_CERT_NOT_YET_VALID"],
  ])("%s is refused", (_, by, code) => {
    const bytes = make({}, {}, by);
    expect(outcome(check(bytes))).toBe(code);
  });
  test("time is the caller's: three hours later the leaf has expired", () => {
    expect(outcome(check(document, { at: now + 3 * hour }))).toBe("passed");
    expect(outcome(check(document, { at: now + 3 * hour + 1 }))).toBe("TEE_CERT_EXPIRED");
    expect(outcome(check(document, { at: now - hour }))).toBe("TEE_CERT_NOT_YET_VALID");
    expect(outcome(check(document, { at: Number.NaN }))).toBe("TEE_CERT_NOT_YET_VALID");
  });
});

describe("debug", () => {
  test.each([[[0, 1, 2]], [[0]], [[1]], [[2]]])("zero in %j is debug mode", (zeros) => {
    const bytes = make({ pcrs: new Map([...pcrs, ...zeros.map((i) => [i, fill(0)] as const)]) });
    const report = check(bytes);
    expect(outcome(report)).toBe("TEE_DEBUG_MODE");
    expect(report.debug).toBe(true);
    expect(outcome(check(bytes, { allowDebug: true }))).toBe("passed");
  });
});

describe("measurement, freshness and binding", () => {
  const { measurement } = check();
  const code = (changed: Partial<DocumentArgs>, bytes = document) =>
    obstacleOf(check(bytes, changed), [...required, "measurement", "binding"])?.code ?? "passed";
  const measurements = [measurement as string];
  test.each<[string, Partial<DocumentArgs>, string]>([
    ["an accepted measurement", { measurements }, "passed"],
    ["nobody asked", { measurements: null }, "TEE_CHECK_SKIPPED"],
    ["an empty list", { measurements: [] }, "TEE_MEASUREMENT_POLICY_EMPTY"],
    ["another measurement", { measurements: ["00".repeat(32)] }, "TEE_MEASUREMENT_UNKNOWN"],
    ["one that was revoked", { measurements, revoked: measurements }, "TEE_MEASUREMENT_REVOKED"],
    ["another nonce", { measurements, nonce: fill(6, 32) }, "TEE_NONCE_MISMATCH"],
    ["the start of the nonce", { measurements, nonce: nonce.subarray(0, 20) }, "TEE_NONCE_MISMATCH"],
    ["an empty nonce", { measurements, nonce: new Uint8Array() }, "TEE_NONCE_MISMATCH"],
    ["age within the limit", { measurements, nonce: null, at: now + hour }, "passed"],
    ["age past the limit", { measurements, nonce: null, at: now + hour + 1 }, "TEE_STALE"],
    ["an age that is no number", { measurements, nonce: null, maxAge: Number.NaN }, "TEE_STALE"],
    ["a clock that is a minute ahead", { measurements, nonce: null, at: now - 60_000 }, "passed"],
    ["another statement", { measurements, binding: fill(1, 32) }, "TEE_REPORT_DATA_MISMATCH"],
    ["a statement that is shorter", { measurements, binding: binding.subarray(1) }, "TEE_REPORT_DATA_MISMATCH"],
    ["nobody asked what it attests", { measurements, binding: null }, "TEE_CHECK_SKIPPED"],
  ])("%s", (_, changed, expected) => {
    expect(code(changed)).toBe(expected);
  });
  test("a document from the future", () => {
    const bytes = make({ timestamp: now + 60_001 });
    expect(code({ measurements, nonce: null }, bytes)).toBe("TEE_FROM_FUTURE");
  });
  test.each([0, 15])("a nonce of %i bytes could be guessed, and counts for nothing where it is equal", (length) => {
    expect(code({ measurements, nonce: fill(1, length) }, make({ nonce: fill(1, length) }))).toBe("TEE_NONCE_MISMATCH");
  });
  test("a null nonce answers no nonce", () => {
    expect(code({ measurements }, make({ nonce: null }))).toBe("TEE_NONCE_MISMATCH");
  });
  const stranger = fill(7, 32);
  const hashes = (a: Uint8Array, b: Uint8Array) => Uint8Array.of(0x12, 0x20, ...a, 0x12, 0x20, ...b);
  test.each<[string, Uint8Array | null, string]>([
    ["dstack's zeros behind it", Uint8Array.of(...binding, ...fill(0, 32)), "passed"],
    ["nitriding's second hash", hashes(stranger, binding), "passed"],
    ["nitriding's first hash", hashes(binding, stranger), "TEE_REPORT_DATA_MISMATCH"],
    ["68 bytes that are not two hashes", Uint8Array.of(...fill(0, 36), ...binding), "TEE_REPORT_DATA_MISMATCH"],
    [
      "a second hash of another kind",
      Uint8Array.of(0x12, 0x20, ...stranger, 0x13, 0x20, ...binding),
      "TEE_REPORT_DATA_MISMATCH",
    ],
    ["other bytes behind it", Uint8Array.of(...binding, ...fill(0, 31), 1), "TEE_REPORT_DATA_MISMATCH"],
    ["the statement one byte late", Uint8Array.of(0, ...binding), "TEE_REPORT_DATA_MISMATCH"],
    ["null", null, "TEE_REPORT_DATA_MISMATCH"],
    ["nothing", new Uint8Array(), "TEE_REPORT_DATA_MISMATCH"],
  ])("user data: %s", (_, userData, expected) => {
    expect(code({ measurements }, make({ userData }))).toBe(expected);
  });
});

describe("tampering", () => {
  const nothingElse: Partial<DocumentArgs> = { binding: null, nonce: null };
  test("no bit of a document can change, not even where its signatures are remembered", () => {
    const suite = rememberVendorSignatures(nodeSuite);
    expect(outcome(check(document, { ...nothingElse, suite }))).toBe("passed");
    for (let i = 0; i < document.length; i++) {
      const copy = document.slice();
      copy[i] = (copy[i] as number) ^ (1 << (i & 7));
      const report = check(copy, { ...nothingElse, suite });
      expect(outcome(report), `byte ${i}`).not.toBe("passed");
      expect(report.assurance, `byte ${i}`).toBeNull();
    }
  });
  test("what is refused with native code is refused without it, for the same reason", () => {
    for (let i = 0; i < document.length; i += 37) {
      const copy = document.slice();
      copy[i] = (copy[i] as number) ^ 0x10;
      expect(check(copy, { ...nothingElse, suite: portableSuite })).toEqual(check(copy, nothingElse));
    }
  });
  test("(r, n − s) signs as well: another document by its hash, the same attester and the same content", () => {
    const s = BigInt(`0x${toHex(document.subarray(-48))}`);
    const other = document.slice();
    other.set(Buffer.from((order - s).toString(16).padStart(96, "0"), "hex"), document.length - 48);
    expect(sha256Hex(other)).not.toBe(sha256Hex(document));
    for (const suite of [nodeSuite, portableSuite]) expect(check(other, { suite })).toEqual(check());
    expect(check(other).attester).toMatch(/^nitro:[0-9a-f]{64}:[0-9a-f]+$/);
  });
  test("documents of one leaf have one attester, and of another leaf another", () => {
    expect(check(make({ timestamp: now + 1 })).attester).toBe(check().attester);
    const other = authority.issueSigner(zone, now);
    expect(check(make({}, {}, other)).attester).not.toBe(check().attester);
  });
});

test("the authority issues zone and leaf anew as they run out, under one root", () => {
  const own = makeNitroAuthority({ root: authority.root });
  const at = (time: number) => {
    const bytes = own.document({ at: time, pcrs, userData: binding, nonce, publicKey: null });
    const report = check(bytes, { at: time });
    expect(outcome(report)).toBe("passed");
    return report.attester;
  };
  const first = at(now);
  expect(at(now + hour)).toBe(first);
  expect(at(now + hour + 1)).not.toBe(first);
  expect(at(now + 100 * hour)).not.toBe(first);
  expect(at(now + 1000 * hour)).not.toBe(first);
});

test("a suite that throws lets nothing pass", () => {
  const throwing: Suite = {
    ...nodeSuite,
    verifyEcdsa: () => {
      throw new Error("broken");
    },
  };
  const report = check(document, { suite: throwing });
  expect(outcome(report)).not.toBe("passed");
  expect(report.assurance).toBeNull();
});
