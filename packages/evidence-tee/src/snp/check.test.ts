import { concat, type Hex, portableSuite } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CheckId, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { makeCertificate, makeCrl } from "../make/certificate.ts";
import { checkSnp } from "./check.ts";
import { signedSize } from "./report.ts";
import {
  binding,
  chipId,
  collateralOf,
  type EndorsementArgs,
  earlyTcb,
  judgedAt,
  makeAmd,
  makeEndorsement,
  makeReport,
  wanted,
} from "./snp.fixture.ts";
import type { Family } from "./tcb.ts";

const families = { milan: makeAmd("milan"), genoa: makeAmd("genoa"), turin: makeAmd("turin") };
const everything: CheckId[] = ["form", "algorithm", "root", "chain", "validity", "signature", "tcb"];
everything.push("debug", "attributes", "binding");

type Setting = {
  readonly family?: Family;
  readonly endorsement?: EndorsementArgs;
  readonly edit?: Parameters<typeof makeReport>[2];
  readonly afterwards?: Parameters<typeof makeReport>[3];
  readonly crl?: Uint8Array;
  readonly args?: Partial<DocumentArgs>;
};

function argsOf(setting: Setting = {}): DocumentArgs {
  const keys = families[setting.family ?? "milan"];
  const leaf = makeEndorsement(keys, setting.endorsement);
  const report = makeReport(keys.family, leaf.key, setting.edit, setting.afterwards);
  const collateral = collateralOf(keys, leaf.der, setting.endorsement?.kind, setting.crl);
  return { ...wanted(report, keys.root, collateral), ...setting.args };
}
const outcome = (args: DocumentArgs, required: readonly CheckId[] = everything): string =>
  obstacleOf(checkSnp(args), required)?.code ?? "pass";
const asVlek = (bytes: Uint8Array) => {
  bytes[0x48] = 1 << 2;
};

describe("accepts", () => {
  test.each(["milan", "genoa", "turin"] as const)("a report of %s under its VCEK, alike in both suites", (family) => {
    const args = argsOf({ family });
    const report = checkSnp(args);
    expect(obstacleOf(report, everything)).toBeUndefined();
    expect(report).toMatchObject({
      assurance: "hardware",
      debug: false,
      tcb: { status: "unrated" },
      producedAt: null,
      registers: { measurement: "11".repeat(48), hostData: "22".repeat(32) },
      attester: `sev-snp:chip:${family === "turin" ? "c3".repeat(8) : "a5".repeat(64)}`,
    });
    expect(checkSnp({ ...args, suite: portableSuite })).toEqual(report);
  });

  test("the layouts of both families", () => {
    const early = { bootloader: 4, tee: 0, snp: 0x17, microcode: 0xd5 };
    expect(checkSnp(argsOf()).tcb.components).toEqual(early);
    const late = { fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 0x48 };
    expect(checkSnp(argsOf({ family: "turin" })).tcb.components).toEqual(late);
  });

  test.each([2, 3, 4, 5])("version %i", (version) => {
    const edit = (bytes: Uint8Array) => {
      bytes[0] = version;
      if (version < 3) bytes.fill(0, 0x188, 0x18b);
      if (version > 4) bytes.fill(7, 0x1f8, 0x208);
    };
    const args = argsOf({ edit });
    expect(outcome(args)).toBe("pass");
    expect(checkSnp(args).facts.mitigations).toBe(version > 4 ? "0x707070707070707" : undefined);
  });

  test("a provider's key, which is of no chip, under the intermediate for those", () => {
    const args = argsOf({ endorsement: { kind: "vlek" }, edit: asVlek });
    const report = checkSnp(args);
    expect(obstacleOf(report, everything)).toBeUndefined();
    expect(report.facts).toMatchObject({ signingKey: "VLEK", provider: "cloud.example" });
    const masked = argsOf({
      endorsement: { kind: "vlek" },
      edit: (bytes) => {
        asVlek(bytes);
        bytes.fill(0, 0x1a0, 0x1e0);
      },
    });
    expect(outcome(masked)).toBe("pass");
    expect(checkSnp(masked).attester).toMatch(/^sev-snp:vlek:[0-9a-f]{64}$/);
  });

  test("a masked chip, named by its certificate", () => {
    const args = argsOf({ edit: (bytes) => void bytes.fill(0, 0x1a0, 0x1e0) });
    expect(outcome(args)).toBe("pass");
    expect(checkSnp(args).attester).toBe(`sev-snp:chip:${"a5".repeat(64)}`);
  });

  test("levels that reach the floors, and then alone calls them up to date", () => {
    const tcb = { statuses: [], advisories: [], floors: { microcode: 0xd5, snp: 0x17, "alias-check": 1 } };
    const args = argsOf({ args: { tcb } });
    expect(outcome(args)).toBe("pass");
    expect(checkSnp(args).tcb.status).toBe("up-to-date");
  });

  test("debug mode only where it is allowed by name, and says so", () => {
    const report = checkSnp(argsOf({ edit: at(10, 0x0b), args: { allowDebug: true } }));
    expect(obstacleOf(report, everything)).toBeUndefined();
    expect(report.debug).toBe(true);
  });

  test("the same signer for a signature with its other s", () => {
    const args = argsOf();
    const order = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
    const at = signedSize + 72;
    const s = BigInt(`0x${Buffer.from(args.document.slice(at, at + 48).reverse()).toString("hex")}`);
    const other = Buffer.from((order - s).toString(16).padStart(96, "0"), "hex").reverse();
    const document = args.document.slice();
    document.set(other, at);
    expect(outcome({ ...args, document })).toBe("pass");
    expect(checkSnp({ ...args, document }).attester).toBe(checkSnp(args).attester);
  });
});

describe("revocation", () => {
  const { ark, ask } = families.milan;
  const list = (revoked: readonly bigint[], nextUpdate: number | null = judgedAt + 1000, issuer = ark) =>
    makeCrl({ issuer, thisUpdate: judgedAt - 1000, nextUpdate, revoked });
  const required: CheckId[] = [...everything, "revocation"];

  test("is not run without a list, and satisfies nobody who asks for it", () => {
    expect(outcome(argsOf())).toBe("pass");
    expect(outcome(argsOf(), required)).toBe("TEE_CHECK_SKIPPED");
  });
  test.each([
    ["nobody on the list", list([1n]), "pass"],
    ["the intermediate on the list", list([257n]), "TEE_CERT_REVOKED"],
    ["a list that lapsed", list([], judgedAt - 1), "TEE_REVOCATION_UNKNOWN"],
    ["a list without an end", list([], null), "TEE_REVOCATION_UNKNOWN"],
    ["a list of another issuer", list([], judgedAt + 1000, ask), "TEE_REVOCATION_UNKNOWN"],
    ["another root's list", list([], judgedAt + 1000, makeAmd("milan").ark), "TEE_REVOCATION_UNKNOWN"],
    ["the serial of all VCEKs", list([0n]), "pass"],
  ])("%s", (_, crl, expected) => {
    expect(outcome(argsOf({ crl }), required)).toBe(expected);
  });
});

/** Versions before 3 name no processor. */
const version = (number: number) => (bytes: Uint8Array) => {
  bytes[0] = number;
  bytes.fill(0, 0x188, 0x18b);
};
const at = (index: number, value: number) => (bytes: Uint8Array) => {
  bytes[index] = value;
};
const { milan } = families;
const bad: readonly (readonly [string, string, Setting])[] = [
  ["too short", "TEE_EVIDENCE_MALFORMED", { args: { document: new Uint8Array(1183) } }],
  ["too long", "TEE_TRAILING_DATA", { args: { document: new Uint8Array(1185) } }],
  ["version 1", "TEE_EVIDENCE_MALFORMED", { edit: version(1) }],
  ["version 6", "TEE_EVIDENCE_MALFORMED", { edit: at(0, 6) }],
  ["reserved byte 0x4c", "TEE_EVIDENCE_MALFORMED", { edit: at(0x4c, 1) }],
  ["reserved bits of the key's kind", "TEE_EVIDENCE_MALFORMED", { edit: at(0x48, 0x20) }],
  ["reserved byte 0x18b", "TEE_EVIDENCE_MALFORMED", { edit: at(0x18b, 1) }],
  ["mitigations before version 5", "TEE_EVIDENCE_MALFORMED", { edit: at(0x1f8, 1) }],
  ["reserved byte 0x29f", "TEE_EVIDENCE_MALFORMED", { edit: at(0x29f, 1) }],
  ["no certificates", "TEE_EVIDENCE_MISSING", { args: { collateral: [] } }],
  ["two endorsement keys", "TEE_EVIDENCE_MALFORMED", { args: {} }],
  ["algorithm 2", "TEE_ALG_NOT_ALLOWED", { edit: at(0x34, 2) }],
  ["signed by nobody", "TEE_ALG_NOT_ALLOWED", { edit: at(0x48, 7 << 2) }],
  ["signed by an unknown kind", "TEE_ALG_NOT_ALLOWED", { edit: at(0x48, 2 << 2) }],
  ["a VCEK that may not sign", "TEE_ALG_NOT_ALLOWED", { edit: at(0x48, 2) }],
  ["no root", "TEE_ROOT_UNTRUSTED", { args: { roots: [] } }],
  ["another root", "TEE_ROOT_UNTRUSTED", { args: { roots: [families.genoa.root] } }],
  ["a root of another format", "TEE_ROOT_UNTRUSTED", { args: { roots: [{ ...milan.root, format: "nitro" }] } }],
  ["not valid yet", "TEE_CERT_NOT_YET_VALID", { args: { at: judgedAt - 2 * 86_400_000 } }],
  ["not valid any more", "TEE_CERT_EXPIRED", { args: { at: judgedAt + 2 * 86_400_000 } }],
  ["an endorsement key of P-256", "TEE_CERT_KEY", { endorsement: { certificate: { keyType: "P-256" } } }],
  [
    "a CA for an endorsement key",
    "TEE_CERT_NOT_CA",
    { endorsement: { certificate: { ca: true, omitBasicConstraints: false } } },
  ],
  ["an endorsement key of another's", "TEE_CHAIN_BROKEN", { endorsement: { issuer: makeAmd("milan").ask } }],
  ["another name above", "TEE_CHAIN_BROKEN", { endorsement: { certificate: { issuerName: "SEV-Genoa" } } }],
  ["signed with PKCS #1", "TEE_CERT_KEY", { endorsement: { certificate: { signature: "rsa-pkcs1-sha384" } } }],
  ["an unsigned byte behind r", "TEE_TRAILING_DATA", { afterwards: at(0x2a0 + 48, 1) }],
  ["an unsigned byte behind s", "TEE_TRAILING_DATA", { afterwards: at(0x2e8 + 71, 1) }],
  ["an unsigned byte at the end", "TEE_TRAILING_DATA", { afterwards: at(1183, 1) }],
  ["an unsigned byte at 0x330", "TEE_TRAILING_DATA", { afterwards: at(0x330, 1) }],
  ["changed afterwards", "TEE_SIGNATURE_INVALID", { afterwards: at(0x90, 1) }],
  ["another r", "TEE_SIGNATURE_INVALID", { afterwards: (bytes) => void bytes.copyWithin(0x2a0, 0x2e8, 0x2e8 + 48) }],
  ["a level that the certificate has not", "TEE_TCB_CERT_MISMATCH", { edit: at(0x180, 5) }],
  ["a reserved level", "TEE_TCB_CERT_MISMATCH", { edit: at(0x182, 1) }],
  ["a reserved level that is committed", "TEE_TCB_CERT_MISMATCH", { edit: at(0x1e2, 1) }],
  [
    "a certificate of another name",
    "TEE_TCB_CERT_MISMATCH",
    { endorsement: { certificate: { subject: "SEV-OTHER" } } },
  ],
  ["a certificate without a level", "TEE_TCB_CERT_MISMATCH", { endorsement: { without: "3.8" } }],
  ["a certificate of Turin's form", "TEE_TCB_CERT_MISMATCH", { endorsement: { structVersion: 1 } }],
  [
    "a certificate without AMD's extensions",
    "TEE_TCB_CERT_MISMATCH",
    { endorsement: { certificate: { extensions: [] } } },
  ],
  ["another chip", "TEE_TCB_CERT_MISMATCH", { edit: at(0x1a0, 1) }],
  ["a certificate without a chip", "TEE_TCB_CERT_MISMATCH", { endorsement: { hardwareId: null } }],
  ["another chip in its last byte, Turin", "TEE_TCB_CERT_MISMATCH", { family: "turin", edit: at(0x1df, 1) }],
  ["another chip, Turin", "TEE_TCB_CERT_MISMATCH", { family: "turin", edit: at(0x1a7, 1) }],
  ["another fmc, Turin", "TEE_TCB_CERT_MISMATCH", { family: "turin", edit: at(0x180, 9) }],
  [
    "levels in the earlier layout, Turin",
    "TEE_TCB_CERT_MISMATCH",
    { family: "turin", edit: (b) => void b.set(earlyTcb, 0x180) },
  ],
  [
    "version 2, Turin",
    "TEE_TCB_CERT_MISMATCH",
    {
      family: "turin",
      edit: version(2),
    },
  ],
  ["a processor of another family", "TEE_TCB_CERT_MISMATCH", { edit: at(0x188, 0x1a) }],
  ["a processor of another model", "TEE_TCB_CERT_MISMATCH", { edit: at(0x189, 0x11) }],
  ["a VLEK that says VCEK", "TEE_TCB_CERT_MISMATCH", { endorsement: { kind: "vlek" } }],
  ["a VCEK that says VLEK", "TEE_TCB_CERT_MISMATCH", { edit: asVlek }],
  [
    "a VLEK that names a chip",
    "TEE_TCB_CERT_MISMATCH",
    { endorsement: { kind: "vlek", certificate: { extensions: vcekExtensions() } }, edit: asVlek },
  ],
  ["a floor above all", "TEE_TCB_OUT_OF_DATE", { args: { tcb: floors({ microcode: 0xd6 }) } }],
  [
    "a floor above what is reported",
    "TEE_TCB_OUT_OF_DATE",
    {
      edit: (b) => [0x1e7, 0x1f7].forEach((i) => void b.fill(0xff, i, i + 1)),
      args: { tcb: floors({ microcode: 0xd6 }) },
    },
  ],
  [
    "a floor above what is committed",
    "TEE_TCB_OUT_OF_DATE",
    { edit: at(0x1e6, 1), args: { tcb: floors({ snp: 0x17 }) } },
  ],
  ["a floor above the launch", "TEE_TCB_OUT_OF_DATE", { edit: at(0x1f6, 1), args: { tcb: floors({ snp: 0x17 }) } }],
  ["a floor for what it has not", "TEE_TCB_OUT_OF_DATE", { args: { tcb: floors({ fmc: 0 }) } }],
  ["a floor that is no number", "TEE_TCB_OUT_OF_DATE", { args: { tcb: floors({ snp: Number.NaN }) } }],
  ["no alias check", "TEE_TCB_OUT_OF_DATE", { edit: at(0x40, 1), args: { tcb: floors({ "alias-check": 1 }) } }],
  [
    "no floor, and nobody accepts that",
    "TEE_CHECK_SKIPPED",
    { args: { tcb: { statuses: [], advisories: [], floors: {} } } },
  ],
  ["debug mode", "TEE_DEBUG_MODE", { edit: at(10, 0x0b) }],
  ["a migration agent", "TEE_ATTRIBUTES_NOT_ALLOWED", { edit: at(10, 0x07) }],
  ["an unknown bit of the policy", "TEE_ATTRIBUTES_NOT_ALLOWED", { edit: at(11, 0x04) }],
  ["privilege level 1", "TEE_ATTRIBUTES_NOT_ALLOWED", { edit: at(0x30, 1) }],
  ["asked for by the host", "TEE_ATTRIBUTES_NOT_ALLOWED", { edit: (b) => void b.fill(0xff, 0x30, 0x34) }],
  ["an author's key that is not in use", "TEE_ATTRIBUTES_NOT_ALLOWED", { edit: at(0x110, 1) }],
  ["another binding", "TEE_REPORT_DATA_MISMATCH", { args: { binding: binding.map((b) => b ^ 1) } }],
  ["a byte behind the binding", "TEE_REPORT_DATA_MISMATCH", { edit: at(0x8f, 1) }],
  ["a shorter binding", "TEE_REPORT_DATA_MISMATCH", { args: { binding: binding.subarray(0, 31) } }],
  ["a longer binding", "TEE_REPORT_DATA_MISMATCH", { args: { binding: concat(binding, new Uint8Array(32)) } }],
];

function floors(named: Readonly<Record<string, number>>) {
  return { statuses: ["unrated"], advisories: [], floors: named };
}
function vcekExtensions() {
  const tails = ["3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"];
  const levels = tails.map((tail, i) => ({
    oid: `1.3.6.1.4.1.3704.1.${tail}`,
    critical: false,
    value: integerOf(earlyTcb[i] as number),
  }));
  const version = { oid: "1.3.6.1.4.1.3704.1.1", critical: false, value: integerOf(0) };
  return [version, ...levels, { oid: "1.3.6.1.4.1.3704.1.4", critical: false, value: chipId }];
}
function integerOf(n: number): Uint8Array {
  return n > 127 ? Uint8Array.of(2, 2, 0, n) : Uint8Array.of(2, 1, n);
}

describe("refuses", () => {
  test.each(bad)("%s: %s", (name, code, setting) => {
    let args = argsOf(setting);
    if (name === "two endorsement keys")
      args = { ...args, collateral: [...args.collateral, ...args.collateral.slice(0, 1)] };
    expect(outcome(args)).toBe(code);
    const portable = { ...args, suite: portableSuite };
    expect(checkSnp(portable).checks).toEqual(checkSnp({ ...args, suite: nodeSuite }).checks);
  });

  test("no assurance before the signature holds", () => {
    expect(checkSnp(argsOf({ args: { roots: [] } })).assurance).toBeNull();
    expect(checkSnp(argsOf({ afterwards: at(0x90, 1) }))).toMatchObject({ assurance: null, attester: null });
    expect(checkSnp(argsOf({ edit: at(10, 0x0b) })).assurance).toBe("hardware");
  });

  test("an intermediate that may not sign, or that stands in the wrong place", () => {
    const { ark, ask, root } = families.milan;
    const leaf = makeEndorsement(milan);
    const document = makeReport("milan", leaf.key);
    const pem = (text: string) => [
      { kind: "amd-endorsement" as const, data: leaf.der },
      { kind: "amd-chain" as const, data: new TextEncoder().encode(text) },
    ];
    expect(outcome(wanted(document, root, pem(ark.pem + ask.pem)))).toBe("TEE_ROOT_UNTRUSTED");
    expect(outcome(wanted(document, root, pem(ask.pem)))).toBe("TEE_EVIDENCE_MALFORMED");
    expect(outcome(wanted(document, root, pem(`${ask.pem}x${ark.pem}`)))).toBe("TEE_EVIDENCE_MALFORMED");
    expect(outcome(wanted(document, root, pem(ask.pem + ark.pem + ark.pem)))).toBe("TEE_EVIDENCE_MALFORMED");
    const leafOnly = makeCertificate({
      subject: "SEV-Milan",
      issuer: ark,
      keyType: { privateKey: ask.key },
      notBefore: judgedAt - 1,
      notAfter: judgedAt + 1,
      ca: false,
    });
    expect(outcome(wanted(document, root, pem(leafOnly.pem + ark.pem)))).toBe("TEE_CERT_NOT_CA");
  });

  test("a chip's key under the intermediate for providers' keys", () => {
    const leaf = makeEndorsement(milan, { issuer: milan.asvk });
    const args = wanted(makeReport("milan", leaf.key), milan.root, collateralOf(milan, leaf.der, "vlek"));
    expect(outcome(args)).toBe("TEE_TCB_CERT_MISMATCH");
  });

  test("a root that calls itself simulated, with the more telling code", () => {
    const keys = makeAmd("milan", {}, "SIMULATED-NOT-A-TEE ARK");
    const leaf = makeEndorsement(keys);
    const args = wanted(makeReport("milan", leaf.key), milan.root, collateralOf(keys, leaf.der));
    expect(outcome(args)).toBe("TEE_SIMULATED_NOT_ALLOWED");
    expect(outcome({ ...args, roots: [{ ...keys.root, assurance: "simulated" }] })).toBe("pass");
    expect(checkSnp({ ...args, roots: [{ ...keys.root, assurance: "simulated" }] }).assurance).toBe("simulated");
  });

  test("a root without a family: the layout must not follow from the report", () => {
    const { family: _, ...root } = milan.root;
    expect(outcome(argsOf({ args: { roots: [root] } }))).toBe("TEE_ROOT_UNTRUSTED");
  });

  test.each([
    ["known", (id: Hex) => [[id], []], "pass"],
    ["nobody asks", () => [null, []], "TEE_CHECK_SKIPPED"],
    ["an empty list", () => [[], []], "TEE_MEASUREMENT_POLICY_EMPTY"],
    ["unknown", () => [["00".repeat(32)], []], "TEE_MEASUREMENT_UNKNOWN"],
    ["revoked", (id: Hex) => [[id], [id]], "TEE_MEASUREMENT_REVOKED"],
  ] as const)("measurement: %s", (_, lists, code) => {
    const args = argsOf();
    const [measurements, revoked] = lists(checkSnp(args).measurement as Hex) as [Hex[] | null, Hex[]];
    expect(outcome({ ...args, measurements, revoked }, [...everything, "measurement"])).toBe(code);
  });

  test("all registers stand for the code together", () => {
    const other = argsOf({ edit: at(0xc0, 0x23) });
    expect(checkSnp(other).measurement).not.toBe(checkSnp(argsOf()).measurement);
  });

  test("what nobody asks for is not run, and so is what a report cannot show", () => {
    const notRun = checkSnp(argsOf({ args: { binding: null } })).checks.filter((c) => c.result === "not-run");
    expect(notRun.map((c) => c.id)).toEqual(["revocation", "measurement", "eventlog", "freshness", "binding"]);
    const asked = argsOf({ args: { nonce: binding } });
    expect(outcome(asked, ["freshness"])).toBe("TEE_CHECK_SKIPPED");
  });
});

test("no single bit of a report can be turned", () => {
  for (const family of ["milan", "turin"] as const) {
    const args = argsOf({ family });
    const accepted: number[] = [];
    for (let i = 0; i < args.document.length; i++) {
      const document = args.document.slice();
      document[i] = (document[i] as number) ^ (1 << (i % 8));
      if (outcome({ ...args, document }, ["signature"]) === "pass") accepted.push(i);
    }
    expect(accepted).toEqual([]);
  }
});

test("no single bit of the certificates can be turned", () => {
  const args = argsOf();
  const accepted: string[] = [];
  for (const [k, { data }] of args.collateral.entries())
    for (let i = 0; i < data.length; i += 11) {
      const turned = data.slice();
      turned[i] = (turned[i] as number) ^ (1 << (i % 8));
      const collateral = args.collateral.map((c, j) => (j === k ? { ...c, data: turned } : c));
      // White space of the PEM text is no part of what it says.
      const isSpace = k === 1 && /\s/.test(String.fromCharCode(data[i] as number, turned[i] as number));
      if (!isSpace && outcome({ ...args, collateral }, ["signature"]) === "pass") accepted.push(`${k}:${i}`);
    }
  expect(accepted).toEqual([]);
});

test("whatever is given, it answers with checks and accepts nothing", () => {
  const good = argsOf();
  const blob = fc.oneof(fc.uint8Array({ maxLength: 1300 }), fc.constant(good.document));
  const kind = fc.constantFrom("amd-endorsement" as const, "amd-chain" as const, "amd-crl" as const);
  fc.assert(
    fc.property(blob, fc.array(fc.record({ kind, data: blob }), { maxLength: 4 }), (document, collateral) => {
      expect(outcome({ ...good, document, collateral })).not.toBe("pass");
    }),
  );
});
