import { generateKeyPairSync } from "node:crypto";
import { canonicalBytes, concat, type Hex, portableSuite, toHex, utf8 } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CheckId, type Collateral, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { makeCertificate } from "../make/certificate.ts";
import { checkTpm } from "./check.ts";
import { tpmDocument } from "./document.ts";
import {
  attestationKey,
  bareKey,
  binding,
  certifiedKey,
  digestOf,
  eventOf,
  events,
  judgedAt,
  logOf,
  makeDocument,
  makeQuote,
  registers,
  root,
  signatureOf,
  signQuote,
  wanted,
} from "./tpm.fixture.ts";

const bare: CheckId[] = ["form", "algorithm", "signature", "attributes", "binding"];
const certified: CheckId[] = [...bare, "root", "chain", "validity"];
const outcome = (args: DocumentArgs, required: readonly CheckId[] = bare): string =>
  obstacleOf(checkTpm(args), required)?.code ?? "pass";
const log = logOf(events);

describe("accepts", () => {
  test("a quote under a bare key, which shows no hardware, alike in both suites", () => {
    const args = wanted(makeDocument());
    const report = checkTpm(args);
    expect(obstacleOf(report, bare)).toBeUndefined();
    expect(report).toMatchObject({ assurance: null, debug: null, tcb: { status: "unrated" }, producedAt: null });
    expect(report.registers).toEqual({ pcr8: registers["8"], pcr10: registers["10"], pcr14: registers["14"] });
    const results = new Map(report.checks.map((c) => [c.id, c.result]));
    for (const id of ["root", "chain", "validity"] as const) expect(results.get(id)).toBe("not-run");
    for (const id of ["root", "chain"] as const) expect(outcome(args, [...bare, id])).toBe("TEE_CHECK_SKIPPED");
    expect(checkTpm({ ...args, suite: portableSuite })).toEqual(report);
  });

  test("a quote under a certified key, as what its pinned root stands for", () => {
    const args = wanted(makeDocument(), [certifiedKey()]);
    expect(outcome(args, certified)).toBe("pass");
    expect(checkTpm(args).assurance).toBe("hardware");
    expect(checkTpm({ ...args, suite: portableSuite })).toEqual(checkTpm(args));
    // The key names the signer, with a certificate or without.
    expect(checkTpm(args).attester).toBe(checkTpm(wanted(makeDocument())).attester);
  });

  test("registers from the event log, from the document, or from both", () => {
    const both = wanted(makeDocument(), [bareKey(), log]);
    const fromLog = wanted(makeDocument({}, null), [bareKey(), log]);
    expect(outcome(wanted(makeDocument({}, null)))).toBe("pass");
    expect(outcome(both, [...bare, "eventlog"])).toBe("pass");
    expect(outcome(fromLog, [...bare, "eventlog"])).toBe("pass");
    const id = checkTpm(wanted(makeDocument())).measurement as Hex;
    expect(checkTpm(fromLog).measurement).toBe(id);
    expect(outcome({ ...fromLog, measurements: [id] }, ["measurement"])).toBe("pass");
  });

  test("numbers of a signature with or without their leading zeros, as the same signer's", () => {
    const quote = makeQuote();
    let raw: Uint8Array;
    do raw = signQuote(quote);
    while (raw[6] !== 0);
    const whole = tpmDocument({ quote, signature: raw, pcrs: registers });
    const cut = concat(raw.subarray(0, 4), Uint8Array.of(0, 31), raw.subarray(7));
    const short = tpmDocument({ quote, signature: cut, pcrs: registers });
    expect([outcome(wanted(whole)), outcome(wanted(short))]).toEqual(["pass", "pass"]);
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = order - BigInt(`0x${toHex(raw.subarray(40))}`);
    const other = concat(raw.subarray(6, 38), new Uint8Array(Buffer.from(s.toString(16).padStart(64, "0"), "hex")));
    const turned = wanted(tpmDocument({ quote, signature: signatureOf(other), pcrs: registers }));
    expect(outcome(turned)).toBe("pass");
    expect(checkTpm(turned).attester).toBe(checkTpm(wanted(whole)).attester);
  });

  test("a nonce instead of a binding", () => {
    const args = { ...wanted(makeDocument()), binding: null, nonce: binding };
    expect(outcome(args, ["freshness"])).toBe("pass");
    expect(outcome({ ...args, nonce: null }, ["freshness"])).toBe("TEE_CHECK_SKIPPED");
  });
});

const select = (...bits: number[]) => ({ selections: [{ hash: 0x0b, bits }] });
const signedAs = (scheme: number, hash: number) => {
  const quote = makeQuote();
  return tpmDocument({ quote, signature: signQuote(quote, scheme, hash), pcrs: registers });
};
const withSignature = (change: (signature: Uint8Array) => Uint8Array) => {
  const quote = makeQuote();
  return tpmDocument({ quote, signature: change(signQuote(quote)), pcrs: registers });
};
const zeros = (...numbers: number[]) => Object.fromEntries(numbers.map((n) => [String(n), "00".repeat(32)]));
const over = (pcrs: Readonly<Record<string, string>>, ...bits: number[]) =>
  makeDocument({ ...select(...bits), digest: digestOf(pcrs) }, pcrs);
const otherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const key384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
const strange = makeCertificate({
  subject: "Other",
  keyType: "P-384",
  notBefore: judgedAt - 1,
  notAfter: judgedAt + 1,
  ca: true,
});
const simulated = makeCertificate({
  subject: "SIMULATED-NOT-A-TEE TPM",
  keyType: "P-384",
  notBefore: judgedAt - 1,
  notAfter: judgedAt + 1,
  ca: true,
});
const pem = (text: string): Collateral => ({ kind: "tpm-key", data: utf8(text) });
const keyText = (c: Collateral) => new TextDecoder().decode(c.data);

type Row = readonly [string, string, Uint8Array, (readonly Collateral[] | undefined)?, Partial<DocumentArgs>?];
const bad: readonly Row[] = [
  ["no JSON", "TEE_EVIDENCE_MALFORMED", utf8("quote")],
  ["a byte behind the document", "TEE_EVIDENCE_MALFORMED", concat(makeDocument(), utf8(" "))],
  [
    "another member",
    "TEE_EVIDENCE_MALFORMED",
    canonicalBytes({ ...JSON.parse(new TextDecoder().decode(makeDocument())), more: 1 }),
  ],
  [
    "another format word",
    "TEE_EVIDENCE_MALFORMED",
    utf8(new TextDecoder().decode(makeDocument()).replace("quote/v1", "quote/v2")),
  ],
  ["a register with a leading zero", "TEE_EVIDENCE_MALFORMED", makeDocument({}, { "08": "00".repeat(32) })],
  ["not made by a TPM", "TEE_EVIDENCE_MALFORMED", makeDocument({ magic: 0xff544348 })],
  ["another structure", "TEE_EVIDENCE_MALFORMED", makeDocument({ kind: 0x8017 })],
  ["a clock that is neither safe nor not", "TEE_EVIDENCE_MALFORMED", makeDocument({ safe: 2 })],
  ["extraData longer than its type", "TEE_EVIDENCE_MALFORMED", makeDocument({ extraData: new Uint8Array(67) })],
  ["a selection of two bytes", "TEE_EVIDENCE_MALFORMED", makeDocument(select(0, 1))],
  [
    "two banks",
    "TEE_EVIDENCE_MALFORMED",
    makeDocument({
      selections: [
        { hash: 0x0b, bits: [1, 0, 0] },
        { hash: 0x0b, bits: [1, 0, 0] },
      ],
    }),
  ],
  ["no bank", "TEE_EVIDENCE_MALFORMED", makeDocument({ selections: [] })],
  ["no register", "TEE_EVIDENCE_MALFORMED", makeDocument(select(0, 0, 0))],
  ["a byte behind the quote", "TEE_TRAILING_DATA", makeDocument({ behind: new Uint8Array(1) })],
  ["a byte behind the signature", "TEE_TRAILING_DATA", withSignature((s) => concat(s, new Uint8Array(1)))],
  ["a signature that is cut", "TEE_EVIDENCE_MALFORMED", withSignature((s) => s.subarray(0, 60))],
  ["no key", "TEE_EVIDENCE_MISSING", makeDocument(), []],
  ["two keys", "TEE_EVIDENCE_MALFORMED", makeDocument(), [bareKey(), bareKey(otherKey)]],
  [
    "two keys in one text",
    "TEE_EVIDENCE_MALFORMED",
    makeDocument(),
    [pem(keyText(bareKey()) + keyText(bareKey(otherKey)))],
  ],
  [
    "a key and certificates",
    "TEE_EVIDENCE_MALFORMED",
    makeDocument(),
    [pem(keyText(bareKey()) + keyText(certifiedKey()))],
  ],
  ["a certificate alone", "TEE_EVIDENCE_MALFORMED", makeDocument(), [pem(strange.pem)]],
  ["a key of P-384", "TEE_CERT_KEY", makeDocument(), [bareKey(key384)]],
  ["a certified key of P-384", "TEE_CERT_KEY", makeDocument(), [certifiedKey({ keyType: { privateKey: key384 } })]],
  ["RSA", "TEE_ALG_NOT_ALLOWED", signedAs(0x14, 0x0b)],
  ["SHA-384", "TEE_ALG_NOT_ALLOWED", signedAs(0x18, 0x0c)],
  ["the bank of SHA-1", "TEE_ALG_NOT_ALLOWED", makeDocument({ selections: [{ hash: 4, bits: [0, 0x45, 0] }] })],
  ["another root", "TEE_ROOT_UNTRUSTED", makeDocument(), [certifiedKey({}, strange)]],
  [
    "a root of another format",
    "TEE_ROOT_UNTRUSTED",
    makeDocument(),
    [certifiedKey()],
    { roots: [{ ...root, format: "nitro" }] },
  ],
  ["a simulated root", "TEE_SIMULATED_NOT_ALLOWED", makeDocument(), [certifiedKey({}, simulated)]],
  ["a certificate for other uses", "TEE_CERT_KEY", makeDocument(), [certifiedKey({ extensions: [] })]],
  [
    "a certificate for a server",
    "TEE_CERT_KEY",
    makeDocument(),
    [
      certifiedKey({
        extensions: [
          { oid: "2.5.29.37", critical: false, value: Uint8Array.from([0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1]) },
        ],
      }),
    ],
  ],
  ["a CA for a key", "TEE_CERT_NOT_CA", makeDocument(), [certifiedKey({ ca: true })]],
  ["another name above", "TEE_CHAIN_BROKEN", makeDocument(), [certifiedKey({ issuerName: "Other" })]],
  [
    "a certificate that lapsed",
    "TEE_CERT_EXPIRED",
    makeDocument(),
    [certifiedKey()],
    { at: judgedAt + 2 * 86_400_000 },
  ],
  [
    "a certificate of tomorrow",
    "TEE_CERT_NOT_YET_VALID",
    makeDocument(),
    [certifiedKey()],
    { at: judgedAt - 2 * 86_400_000 },
  ],
  ["another key", "TEE_SIGNATURE_INVALID", makeDocument(), [bareKey(otherKey)]],
  [
    "other registers than those that are signed",
    "TEE_SIGNATURE_INVALID",
    makeDocument({}, { ...registers, "14": "00".repeat(32) }),
  ],
  ["a register that is not quoted", "TEE_TRAILING_DATA", makeDocument({}, { ...registers, "15": "00".repeat(32) })],
  [
    "a quoted register without its value",
    "TEE_EVIDENCE_MALFORMED",
    makeDocument({}, { "8": registers["8"] as string, "10": registers["10"] as string, "11": "00".repeat(32) }),
  ],
  ["the debug register", "TEE_ATTRIBUTES_NOT_ALLOWED", over(zeros(16), 0, 0, 0x01)],
  ["the application register", "TEE_ATTRIBUTES_NOT_ALLOWED", over(zeros(8, 23), 0, 0x01, 0x80)],
  [
    "a log with another event",
    "TEE_EVENTLOG_MISMATCH",
    makeDocument(),
    [bareKey(), logOf([...events, eventOf(14, "more")])],
  ],
  ["a log without an event", "TEE_EVENTLOG_MISMATCH", makeDocument(), [bareKey(), logOf(events.slice(1))]],
  ["a log in another order", "TEE_EVENTLOG_MISMATCH", makeDocument(), [bareKey(), logOf([...events].reverse())]],
  [
    "a log of another register",
    "TEE_EVENTLOG_MISMATCH",
    makeDocument(),
    [bareKey(), logOf([...events, eventOf(9, "more")])],
  ],
  [
    "a log whose text is not what was measured",
    "TEE_EVENTLOG_MISMATCH",
    makeDocument(),
    [bareKey(), logOf(events.map((e) => ({ ...e, payload: "AAAA" })))],
  ],
  ["a wrong log alone", "TEE_EVENTLOG_MISMATCH", makeDocument({}, null), [bareKey(), logOf(events.slice(1))]],
  [
    "a log that is no list",
    "TEE_EVIDENCE_MALFORMED",
    makeDocument(),
    [bareKey(), { kind: "event-log", data: utf8("{}") }],
  ],
  ["two logs", "TEE_EVIDENCE_MALFORMED", makeDocument(), [bareKey(), log, log]],
  ["another nonce", "TEE_NONCE_MISMATCH", makeDocument(), undefined, { nonce: binding.map((b) => b ^ 1) }],
  ["the beginning of the nonce", "TEE_NONCE_MISMATCH", makeDocument(), undefined, { nonce: binding.subarray(0, 20) }],
  ["another binding", "TEE_REPORT_DATA_MISMATCH", makeDocument(), undefined, { binding: binding.map((b) => b ^ 1) }],
  [
    "bytes behind the binding",
    "TEE_REPORT_DATA_MISMATCH",
    makeDocument({ extraData: concat(binding, new Uint8Array(8)) }),
  ],
];

describe("refuses", () => {
  const rows = bad.map(([name, code, document, collateral, more]) => ({ name, code, document, collateral, more }));
  test.each(rows)("$name: $code", ({ code, document, collateral, more }) => {
    const args = { ...wanted(document, collateral), ...more };
    expect(outcome(args)).toBe(code);
    expect(checkTpm({ ...args, suite: portableSuite })).toEqual(checkTpm(args));
  });

  test.each([
    ["known", (id: Hex) => [[id], []], "pass"],
    ["nobody asks", () => [null, []], "TEE_CHECK_SKIPPED"],
    ["an empty list", () => [[], []], "TEE_MEASUREMENT_POLICY_EMPTY"],
    ["unknown", () => [["00".repeat(32)], []], "TEE_MEASUREMENT_UNKNOWN"],
    ["revoked", (id: Hex) => [[id], [id]], "TEE_MEASUREMENT_REVOKED"],
  ] as const)("measurement: %s", (_, lists, code) => {
    const args = wanted(makeDocument());
    const [measurements, revoked] = lists(checkTpm(args).measurement as Hex) as [Hex[] | null, Hex[]];
    expect(outcome({ ...args, measurements, revoked }, [...bare, "measurement"])).toBe(code);
  });

  test("a measurement of registers that nobody gives", () => {
    const args = { ...wanted(makeDocument({}, null)), measurements: ["00".repeat(32)] };
    expect(outcome(args, [...bare, "measurement"])).toBe("TEE_CHECK_SKIPPED");
    expect(checkTpm(args)).toMatchObject({ measurement: null, registers: {} });
  });

  test("no registers, assurance or name before the signature holds", () => {
    const forged = wanted(makeDocument(), [bareKey(otherKey), log]);
    expect(checkTpm(forged)).toMatchObject({ registers: {}, measurement: null, assurance: null, attester: null });
    const unsigned = withSignature((s) => concat(s.subarray(0, 71), Uint8Array.of((s[71] as number) ^ 1)));
    expect(checkTpm(wanted(unsigned, [certifiedKey()])).assurance).toBeNull();
  });
});

test("no single bit of quote or signature can be turned", () => {
  const quote = makeQuote();
  const signature = signQuote(quote, 0x18, 0x0b, attestationKey);
  const accepted: string[] = [];
  for (const [name, bytes] of [
    ["quote", quote],
    ["signature", signature],
  ] as const)
    for (let i = 0; i < 8 * bytes.length; i++) {
      const turned = bytes.slice();
      turned[i >> 3] = (turned[i >> 3] as number) ^ (1 << (i & 7));
      const document = tpmDocument({ quote, signature, pcrs: registers, [name]: turned });
      if (outcome(wanted(document), ["signature"]) === "pass") accepted.push(`${name}:${i}`);
    }
  expect(accepted).toEqual([]);
});

test("no single bit of a document can be turned", () => {
  const document = makeDocument();
  const accepted: number[] = [];
  for (let i = 0; i < 8 * document.length; i += 3) {
    const turned = document.slice();
    turned[i >> 3] = (turned[i >> 3] as number) ^ (1 << (i & 7));
    if (outcome(wanted(turned), ["signature"]) === "pass") accepted.push(i);
  }
  expect(accepted).toEqual([]);
});

test("whatever is given, it answers with checks and accepts nothing that was not signed", () => {
  const [key] = wanted(makeDocument()).collateral as [Collateral];
  const bytes = fc.uint8Array({ maxLength: 300 });
  const document = fc.oneof(
    bytes,
    fc.record({ quote: bytes, signature: bytes }).map((parts) => tpmDocument(parts)),
    bytes.map((signature) =>
      tpmDocument({ quote: makeQuote(), signature: concat(signQuote(makeQuote()).subarray(0, 4), signature) }),
    ),
  );
  const list = fc.uniqueArray(fc.constantFrom(key, log, { kind: "event-log" as const, data: utf8("[1]") }));
  fc.assert(
    fc.property(document, list, (given, collateral) => {
      expect(outcome(wanted(given, collateral))).not.toBe("pass");
    }),
  );
});
