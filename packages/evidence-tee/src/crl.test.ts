import { nodeSuite } from "@countersign/core/node";
import { expect, test } from "vitest";
import { Fault } from "./attestation.ts";
import { checkRevocation, parseCrl } from "./crl.ts";
import { derFields, readDer } from "./der.ts";
import { der, makeCertificate, makeCrl } from "./make/index.ts";
import { parseCertificate } from "./x509.ts";

const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error instanceof Fault ? error.code : error;
  }
  return "passed";
};
const now = Date.UTC(2026, 10, 21);
const base = { keyType: "P-256", notBefore: now - 1000, notAfter: now + 1e9 } as const;
const issuer = makeCertificate({ subject: "Issuer", ...base, ca: true });
const other = makeCertificate({ subject: "Issuer", ...base, ca: true });
const mute = makeCertificate({ subject: "Mute", ...base, ca: true, keyUsage: 4 });
const bad = makeCertificate({ subject: "Bad", ...base, ca: false, issuer, serial: 0xff00aan });
const good = makeCertificate({ subject: "Good", ...base, ca: false, issuer, serial: 7n });
const parse = parseCertificate;
const check = (list: Uint8Array, certificate = good, at = now, by = issuer) =>
  codeOf(() => checkRevocation(parseCrl(list), parse(by.der), [parse(certificate.der)], at, nodeSuite));
const list = (args: Partial<Parameters<typeof makeCrl>[0]> = {}) =>
  makeCrl({ issuer, thisUpdate: now - 1000, nextUpdate: now + 1000, revoked: [0xff00aan, 1n], ...args });

test("a serial on a signed, current list is revoked and another is not", () => {
  expect(check(list(), bad)).toBe("TEE_CERT_REVOKED");
  expect(check(list(), good)).toBe("passed");
  expect(check(list({ revoked: [] }), bad)).toBe("passed");
  expect([...parseCrl(list()).revoked]).toEqual(["ff00aa", "01"]);
});

test.each([
  ["signed by a namesake", () => check(list({ issuer: other }))],
  ["of another issuer", () => check(list({ issuer: bad }))],
  ["lapsed", () => check(list(), good, now + 1001)],
  ["not current yet", () => check(list(), good, now - 1001)],
  ["judged at no time", () => check(list(), good, Number.NaN)],
  ["without an end", () => check(list({ nextUpdate: null }))],
  ["by a key that may not sign lists", () => check(list({ issuer: mute }), good, now, mute)],
  ["silent about the certificate's issuer", () => check(list(), mute)],
] as const)("a list %s says nothing", (_, run) => {
  expect(run()).toBe("TEE_REVOCATION_UNKNOWN");
});

test("no bit of a list can change", () => {
  const bytes = list();
  for (let i = 0; i < bytes.length; i++) {
    const copy = bytes.slice();
    copy[i] = (copy[i] as number) ^ (1 << (i & 7));
    expect(check(copy), `byte ${i}`).not.toBe("passed");
  }
});

test("a byte behind the list is refused", () => {
  expect(check(Uint8Array.from([...list(), 0]))).toBe("TEE_TRAILING_DATA");
});

const indirect = (critical: boolean) => [{ oid: "2.5.29.28", critical, value: der.sequence() }];
test("a critical extension, of the list or of an entry, is refused; another is not", () => {
  expect(check(list({ extensions: indirect(true) }))).toBe("TEE_EVIDENCE_MALFORMED");
  expect(check(list({ entryExtensions: indirect(true) }))).toBe("TEE_EVIDENCE_MALFORMED");
  expect(check(list({ extensions: indirect(false), entryExtensions: indirect(false) }))).toBe("passed");
});

test("the list's name and the issuer's right to sign it are judged even where nothing is looked up in it", () => {
  const renamed = makeCertificate({ subject: "Renamed", ...base, keyType: { privateKey: issuer.key }, ca: true });
  const bare = (by: typeof issuer, signer: typeof issuer) =>
    codeOf(() => checkRevocation(parseCrl(list({ issuer: signer })), parse(by.der), [], now, nodeSuite));
  expect(bare(issuer, issuer)).toBe("passed");
  expect(bare(issuer, renamed)).toBe("TEE_REVOCATION_UNKNOWN");
  expect(bare(mute, mute)).toBe("TEE_REVOCATION_UNKNOWN");
});

test("the unsigned name of the algorithm must be the signed one's", () => {
  const [tbs, , bits] = derFields(readDer(list())).map((node) => node.raw);
  const other = der.sequence(der.oid("1.2.840.10045.4.3.3"));
  const forged = der.sequence(tbs as Uint8Array, other, bits as Uint8Array);
  expect(codeOf(() => parseCrl(forged))).toBe("TEE_EVIDENCE_MALFORMED");
});
