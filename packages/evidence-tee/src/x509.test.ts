import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { portableSuite, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { Fault } from "./attestation.ts";
import { derFields, oid, readDer } from "./der.ts";
import type { CertificateArgs, IssuedCertificate } from "./make/index.ts";
import { der, makeCertificate } from "./make/index.ts";
import { checkChain, checkValidity, ecdsaFromDer, parseCertificate, readPem, readSignatureAlgorithm } from "./x509.ts";

const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error instanceof Fault ? error.code : error;
  }
  return "passed";
};
const day = 86_400_000;
const now = Date.UTC(2026, 10, 21);
const base = { keyType: "P-384", notBefore: now - day, notAfter: now + day, ca: true } as const;
const make = (subject: string, args: Partial<CertificateArgs> = {}) => makeCertificate({ subject, ...base, ...args });
const chainOf = (...issued: readonly IssuedCertificate[]) => issued.map((c) => parseCertificate(c.der));
const rules = { suite: nodeSuite, algorithms: ["ecdsa-sha384"] };
const root = make("Root");
const middle = make("Middle", { issuer: root });
const leaf = make("Leaf", { issuer: middle, ca: false });

test("a certificate that we make is what node:crypto reads", () => {
  const theirs = new X509Certificate(middle.der);
  const ours = parseCertificate(middle.der);
  expect(theirs.subject).toBe("CN=Middle");
  expect(theirs.issuer).toBe("CN=Root");
  expect(theirs.ca).toBe(true);
  expect(theirs.serialNumber.toLowerCase()).toBe(ours.serial);
  expect(Date.parse(theirs.validFrom)).toBe(ours.notBefore);
  expect(Date.parse(theirs.validTo)).toBe(ours.notAfter);
  expect(theirs.checkIssued(new X509Certificate(root.pem))).toBe(true);
  expect(theirs.verify(new X509Certificate(root.der).publicKey)).toBe(true);
  expect(toHex(new Uint8Array(theirs.publicKey.export({ format: "der", type: "spki" })))).toBe(toHex(ours.spki));
  expect(ours.commonName).toBe("Middle");
  expect(new X509Certificate(leaf.der).ca).toBe(false);
  expect(readPem(`${leaf.pem}\n${middle.pem}`)).toEqual([leaf.der, middle.der]);
});

describe.each([
  ["P-256", "ecdsa-sha256"],
  ["P-384", "ecdsa-sha384"],
  ["rsa", "rsa-pss-sha384"],
  ["rsa", "rsa-pkcs1-sha256"],
  ["rsa", "rsa-pkcs1-sha384"],
] as const)("%s under %s", (kind, signature) => {
  const keyType =
    kind === "rsa" ? { privateKey: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey } : kind;
  const issuer = make("Issuer", { keyType, signature });
  const child = make("Child", { issuer, ca: false, signature });

  test("is verified by node:crypto and by both suites alike", () => {
    expect(new X509Certificate(child.der).verify(new X509Certificate(issuer.der).publicKey)).toBe(true);
    const chain = chainOf(issuer, child);
    for (const suite of [nodeSuite, portableSuite])
      expect(checkChain(chain, { suite, algorithms: [signature] })).toContain("2 certificates");
    expect(chain[1]?.signatureAlgorithm).toBe(signature);
  });

  test("is refused where its format uses another algorithm", () => {
    expect(codeOf(() => checkChain(chainOf(issuer, child), { suite: nodeSuite, algorithms: ["other"] }))).toBe(
      "TEE_CERT_KEY",
    );
  });
});

test("a chain of three holds", () => {
  expect(codeOf(() => checkChain(chainOf(root, middle, leaf), rules))).toBe("passed");
});

const stranger = make("Middle");
const noCa = make("Middle", { issuer: root, ca: false, keyUsage: 6 });
const unable = make("Middle", { issuer: root, keyUsage: 0x82 });
const silent = make("Middle", { issuer: root, keyUsage: null });
const unmarked = make("Middle", { issuer: root, omitBasicConstraints: true });
const short = make("Root", { pathLength: 0 });
const shortMiddle = make("Middle", { issuer: short });
const misnamed = make("Leaf", { issuer: middle, issuerName: "Another", ca: false });
const constrained = make("Leaf", {
  issuer: middle,
  ca: false,
  extensions: [{ oid: "2.5.29.30", critical: true, value: der.sequence() }],
});
const small = make("Root", { keyType: "P-256" });
test.each([
  ["signed by a namesake of the one above", [root, stranger, leaf], "TEE_CHAIN_BROKEN"],
  ["a link is left out", [root, leaf], "TEE_CHAIN_BROKEN"],
  ["out of order", [middle, root, leaf], "TEE_CHAIN_BROKEN"],
  ["the root is not signed by itself", [middle, leaf], "TEE_CHAIN_BROKEN"],
  ["the leaf names another issuer", [root, middle, misnamed], "TEE_CHAIN_BROKEN"],
  ["an unknown critical extension", [root, middle, constrained], "TEE_CHAIN_BROKEN"],
  ["empty", [], "TEE_CHAIN_BROKEN"],
  ["an issuer that is no CA", [root, noCa, make("L", { issuer: noCa, ca: false })], "TEE_CERT_NOT_CA"],
  [
    "an issuer without basic constraints",
    [root, unmarked, make("L", { issuer: unmarked, ca: false })],
    "TEE_CERT_NOT_CA",
  ],
  ["an issuer without keyCertSign", [root, unable, make("L", { issuer: unable, ca: false })], "TEE_CERT_NOT_CA"],
  ["an issuer without key usage", [root, silent, make("L", { issuer: silent, ca: false })], "TEE_CERT_NOT_CA"],
  [
    "longer than the root allows",
    [short, shortMiddle, make("L", { issuer: shortMiddle, ca: false })],
    "TEE_CERT_NOT_CA",
  ],
  ["a CA as leaf", [root, middle], "TEE_CERT_NOT_CA"],
  ["a link signed with another algorithm", [small, make("L", { issuer: small, ca: false })], "TEE_CERT_KEY"],
] as const)("%s: refused", (_, issued, code) => {
  expect(codeOf(() => checkChain(chainOf(...issued), rules))).toBe(code);
});

test("the path length of the last CA allows a leaf, and a CA as last certificate must be asked for", () => {
  expect(codeOf(() => checkChain(chainOf(short, make("L", { issuer: short, ca: false })), rules))).toBe("passed");
  expect(codeOf(() => checkChain(chainOf(root, middle), { ...rules, leafIsCa: true }))).toBe("passed");
  expect(codeOf(() => checkChain(chainOf(root, middle, leaf), { ...rules, leafIsCa: true }))).toBe("TEE_CERT_NOT_CA");
});

test("a critical extension that the format reads passes", () => {
  const critical = [oid("2.5.29.30")];
  expect(codeOf(() => checkChain(chainOf(root, middle, constrained), { ...rules, critical }))).toBe("passed");
});

test("every certificate must be valid at the time, to the millisecond, and no time is no pass", () => {
  const chain = chainOf(
    root,
    middle,
    make("Leaf", { issuer: middle, ca: false, notBefore: now, notAfter: now + 1000 }),
  );
  for (const at of [now, now + 1000]) expect(codeOf(() => checkValidity(chain, at))).toBe("passed");
  expect(codeOf(() => checkValidity(chain, now - 1))).toBe("TEE_CERT_NOT_YET_VALID");
  expect(codeOf(() => checkValidity(chain, now + 1001))).toBe("TEE_CERT_EXPIRED");
  expect(codeOf(() => checkValidity(chain, Number.NaN))).toBe("TEE_CERT_NOT_YET_VALID");
  expect(codeOf(() => checkValidity([], now))).toBe("TEE_CHAIN_BROKEN");
});

test("no bit of a certificate can change: its reading, its signature or its name fails", () => {
  for (let i = 0; i < leaf.der.length; i += 3) {
    const bytes = leaf.der.slice();
    bytes[i] = (bytes[i] as number) ^ (1 << (i & 7));
    expect(
      codeOf(() => checkChain([...chainOf(root, middle), parseCertificate(bytes)], rules)),
      `byte ${i}`,
    ).not.toBe("passed");
  }
});

const twice = { oid: "1.2.3.4", critical: false, value: der.nullValue() };
test.each([
  ["an extension twice", () => make("X", { extensions: [twice, twice] }).der, "TEE_EVIDENCE_MALFORMED"],
  ["a byte behind it", () => Uint8Array.from([...leaf.der, 0]), "TEE_TRAILING_DATA"],
  [
    "another form of its first length",
    () => Uint8Array.from([0x30, 0x80, ...leaf.der.slice(4), 0, 0]),
    "TEE_EVIDENCE_MALFORMED",
  ],
] as const)("%s: not read", (_, bytes, code) => {
  expect(codeOf(() => parseCertificate(bytes()))).toBe(code);
});

test("an identifier that stands in a value is not an extension", () => {
  const value = der.sequence(der.oid("2.5.29.19"), der.boolean(true), der.octetString(der.sequence(der.boolean(true))));
  const hidden = make("Leaf", { ca: false, extensions: [{ oid: "1.2.3.4", critical: false, value }] });
  expect(parseCertificate(hidden.der).isCa).toBe(false);
});

test.each([
  ["text between blocks", (pem: string) => `${pem}hello\n${pem}`],
  ["text before the first", (pem: string) => `hello\n${pem}`],
  ["another label", (pem: string) => pem.replaceAll("CERTIFICATE", "PUBLIC KEY")],
  ["no end", (pem: string) => pem.slice(0, 80)],
  ["no base64", (pem: string) => pem.replace("MII", "M-I")],
  ["nothing", () => " \n"],
])("PEM with %s is refused", (_, spoil) => {
  expect(codeOf(() => readPem(spoil(leaf.pem)))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("an ECDSA-Sig-Value becomes r ‖ s, and nothing else does", () => {
  const raw = ecdsaFromDer(der.sequence(der.integer(5), der.integer(2n ** 255n)), "P-256");
  expect(toHex(raw)).toBe(`${"05".padStart(64, "0")}80${"0".repeat(62)}`);
  for (const bytes of [
    der.sequence(der.integer(5)),
    der.sequence(der.integer(5), der.integer(2n ** 256n)),
    der.sequence(der.integer(5), der.integer(5), der.integer(5)),
  ])
    expect(codeOf(() => ecdsaFromDer(bytes, "P-256"))).toBe("TEE_EVIDENCE_MALFORMED");
  const behind = Uint8Array.from([...der.sequence(der.integer(5), der.integer(5)), 0]);
  expect(codeOf(() => ecdsaFromDer(behind, "P-256"))).toBe("TEE_TRAILING_DATA");
});

describe("what an algorithm's or a key's parameters say is part of its name", () => {
  const hash = (id: string) => der.sequence(der.oid(id), der.nullValue());
  const [sha256, sha384] = ["2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2"];
  const pss = (a: string, b: string, salt: number, ...more: Uint8Array[]) =>
    der.sequence(
      der.oid("1.2.840.113549.1.1.10"),
      der.sequence(
        der.context(0, true, hash(a)),
        der.context(1, true, der.sequence(der.oid("1.2.840.113549.1.1.8"), hash(b))),
        der.context(2, true, der.integer(salt)),
        ...more,
      ),
    );
  test.each([
    ["as AMD's", pss(sha384, sha384, 48), "rsa-pss-sha384"],
    ["with the one trailer", pss(sha384, sha384, 48, der.context(3, true, der.integer(1))), "rsa-pss-sha384"],
    ["another trailer", pss(sha384, sha384, 48, der.context(3, true, der.integer(2))), "other"],
    ["a shorter salt", pss(sha384, sha384, 32), "other"],
    ["another hash", pss(sha256, sha384, 48), "other"],
    ["another hash in the mask", pss(sha384, sha256, 48), "other"],
    ["the default parameters (SHA-1)", der.sequence(der.oid("1.2.840.113549.1.1.10"), der.sequence()), "other"],
    ["no parameters", der.sequence(der.oid("1.2.840.113549.1.1.10")), "other"],
    ["ECDSA with parameters", der.sequence(der.oid("1.2.840.10045.4.3.3"), der.nullValue()), "other"],
    ["PKCS #1 without", der.sequence(der.oid("1.2.840.113549.1.1.11")), "other"],
    ["SHA-1 with ECDSA", der.sequence(der.oid("1.2.840.10045.4.1")), "other"],
  ])("%s", (_, bytes, word) => {
    expect(readSignatureAlgorithm(readDer(bytes))).toBe(word);
  });

  test("keys that no suite here can check are others", () => {
    const kindOf = (key: KeyObject) =>
      parseCertificate(make("X", { keyType: { publicKey: key }, issuer: root }).der).publicKey;
    expect(kindOf(generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 }).publicKey).kind).toBe("other");
    expect(kindOf(generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey).kind).toBe("other");
    expect(kindOf(generateKeyPairSync("ed25519").publicKey).kind).toBe("other");
    expect(kindOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey).kind).toBe("rsa");
  });
});

test("the unsigned name of the algorithm must be the signed one's", () => {
  const [tbs, , bits] = derFields(readDer(leaf.der)).map((node) => node.raw);
  const other = der.sequence(der.oid("1.2.840.10045.4.3.2"));
  const forged = der.sequence(tbs as Uint8Array, other, bits as Uint8Array);
  expect(codeOf(() => parseCertificate(forged))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("a certificate that is cut off anywhere is a fault and no crash", () => {
  for (let length = 0; length < leaf.der.length; length += 5)
    expect(codeOf(() => parseCertificate(leaf.der.subarray(0, length)))).toBe("TEE_EVIDENCE_MALFORMED");
});
