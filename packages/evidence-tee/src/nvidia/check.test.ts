import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { concat, fromHex, measurementId, portableSuite, toHex, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { type CheckId, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { makeCertificate, pemOf } from "../make/certificate.ts";
import { der } from "../make/der.ts";
import { checkNvidia } from "./check.ts";
import {
  binding,
  blockOf,
  blocks,
  type ChainEdit,
  digestOf,
  fieldOf,
  firmwareEntry,
  firmwareExtensions,
  frameOf,
  judgedAt,
  makeGpu,
  makeReport,
  orderP384,
  type ReportParts,
  vendorFields,
  wanted,
} from "./nvidia.fixture.ts";

const gpu = makeGpu();
const report = makeReport(gpu.key);
const good = wanted(frameOf(report, gpu.pem), gpu.root);
const bare: DocumentArgs = {
  ...good,
  document: report,
  collateral: [{ kind: "nvidia-chain", data: utf8(gpu.pem) }],
};
const everything: CheckId[] = ["form", "algorithm", "root", "chain", "validity", "signature"];
everything.push("attributes", "freshness", "binding");
const outcome = (args: DocumentArgs, required: readonly CheckId[] = everything) =>
  obstacleOf(checkNvidia(args), required)?.code ?? "pass";
const failedAt = (args: DocumentArgs) => checkNvidia(args).checks.find((c) => c.result === "failed")?.id;
const id = measurementId("nvidia", { driver: "590.12", vbios: "96.00.A5.00.01" });

/** A report with other parts, signed all the same. */
const withParts = (changed: Partial<ReportParts>): DocumentArgs => ({
  ...good,
  document: frameOf(makeReport(gpu.key, changed), gpu.pem),
});
function withField(number: number, value: Uint8Array | undefined): DocumentArgs {
  const opaque = Object.entries({ ...vendorFields, [number]: value }).filter(([, v]) => v !== undefined);
  return withParts({ opaque: Object.fromEntries(opaque) as ReportParts["opaque"] });
}
/** A chain made otherwise, pinned as it is. */
function withChain(edit: ChainEdit, changed: Partial<DocumentArgs> = {}): DocumentArgs {
  const other = makeGpu(edit);
  return { ...wanted(frameOf(makeReport(other.key), other.pem), other.root), ...changed };
}

describe("accepts", () => {
  test("a GPU's evidence in NVIDIA's frame and bare, alike in both suites", () => {
    const found = checkNvidia(good);
    expect(obstacleOf(found, everything)).toBeUndefined();
    expect(found).toMatchObject({
      assurance: "hardware",
      tcb: { status: "unrated" },
      registers: { driver: "590.12", vbios: "96.00.A5.00.01" },
      measurement: id,
      facts: { chipSku: "885", project: "G520", chip: "GH100 A01 GSP FMC LF" },
      producedAt: null,
    });
    expect(checkNvidia(bare)).toEqual(found);
    expect(checkNvidia({ ...good, suite: portableSuite })).toEqual(found);
  });

  test("firmware named as on Blackwell", () => {
    const named: ChainEdit = (level) =>
      level === 4 ? { extensions: [firmwareExtensions.blackwell(fromHex("f1".repeat(48)))] } : {};
    expect(outcome(withChain(named))).toBe("pass");
  });

  test("a measurement that is named, and says what it did not compare", () => {
    const found = checkNvidia({ ...good, measurements: [id] }).checks.find((c) => c.id === "measurement");
    expect(found?.result).toBe("passed");
    expect(found?.why).toContain("not compared with NVIDIA's");
  });
});

describe("never says that it ran", () => {
  test.each(["revocation", "tcb", "debug", "measurement"] as const)("%s", (check) => {
    expect(outcome(good, ["signature", check])).toBe("TEE_CHECK_SKIPPED");
  });

  test("freshness and binding where nobody asks, firmware where nothing names it", () => {
    expect(outcome({ ...good, nonce: null }, ["freshness"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome({ ...good, binding: null }, ["binding"])).toBe("TEE_CHECK_SKIPPED");
    const unnamed = withField(20, undefined);
    expect(outcome(unnamed, ["attributes"])).toBe("TEE_CHECK_SKIPPED");
    expect(
      outcome(
        withChain((level) => (level === 4 ? { extensions: [] } : {})),
        ["attributes"],
      ),
    ).toBe("TEE_CHECK_SKIPPED");
  });
});

const other = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
const p256 = { keyType: "P-256" } as const;
const signedBy = fromHex("f1".repeat(48));
const sha384 = "2.16.840.1.101.3.4.2.2";
const composite = (...parts: Uint8Array[]) => ({ value: der.sequence(...parts) });
/** Firmware that is named in another form than NVIDIA's; all of it names the right digest. */
const odd: readonly (readonly [
  string,
  { readonly value?: Uint8Array },
  (readonly ReturnType<typeof firmwareExtensions.hopper>[])?,
])[] = [
  ["firmware that is named twice", {}, [firmwareExtensions.blackwell(signedBy)]],
  ["firmware of version 2", composite(der.integer(2), der.sequence(), firmwareEntry(signedBy))],
  ["firmware with more parts", composite(der.integer(1), der.sequence(), firmwareEntry(signedBy), der.nullValue())],
  ["firmware by another hash", composite(der.integer(1), der.sequence(), firmwareEntry(signedBy, `${sha384}.1`))],
  [
    "a digest with more parts",
    composite(der.integer(1), der.sequence(), firmwareEntry(signedBy, sha384, der.nullValue())),
  ],
  ["firmware by 32 bytes", composite(der.integer(1), der.sequence(), firmwareEntry(signedBy.subarray(16)))],
];
type Refusal = readonly [string, CheckId, string, () => DocumentArgs];
const refusals: readonly Refusal[] = [
  ["another version", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ request: fromHex("12e001ff") })],
  ["an unsigned request", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ request: fromHex("11e000ff") })],
  ["an answer of another kind", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ answer: fromHex("11610000") })],
  ["another slot", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ slot: 1 })],
  [
    "a block twice",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => withParts({ blocks: [blocks[0] as Uint8Array, ...blocks.slice(0, 1), ...blocks.slice(2)] }),
  ],
  ["a block that is not counted", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ count: 63 })],
  ["a block that is not there", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ count: 65 })],
  ["no blocks", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ blocks: [], count: 0 })],
  [
    "a digest of another length",
    "form",
    "TEE_ALG_NOT_ALLOWED",
    () => withParts({ blocks: [blockOf(1, digestOf(1).subarray(16)), ...blocks.slice(1)] }),
  ],
  [
    "a block that is no digest",
    "form",
    "TEE_ALG_NOT_ALLOWED",
    () => withParts({ blocks: [blockOf(1, digestOf(1), 0x81), ...blocks.slice(1)] }),
  ],
  [
    "a block with more than a digest",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => withParts({ blocks: [blockOf(1, digestOf(1), 1, Uint8Array.of(0)), ...blocks.slice(1)] }),
  ],
  ["a VBIOS with a byte more", "form", "TEE_EVIDENCE_MALFORMED", () => withField(6, fromHex("00a5009601000001"))],
  ["a VBIOS of seven bytes", "form", "TEE_EVIDENCE_MALFORMED", () => withField(6, fromHex("00a50096010000"))],
  ["no VBIOS", "form", "TEE_EVIDENCE_MALFORMED", () => withField(6, undefined)],
  ["more than 64 KiB", "form", "TEE_EVIDENCE_MALFORMED", () => withField(12, new Uint8Array(62_000))],
  [
    "line breaks that PEM has not",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...good, document: frameOf(report, gpu.pem.replaceAll("\n", "\v\n")) }),
  ],
  ["a vendor field twice", "form", "TEE_EVIDENCE_MALFORMED", () => withParts({ moreOpaque: fieldOf(3, utf8("1")) })],
  ["no driver", "form", "TEE_EVIDENCE_MALFORMED", () => withField(3, undefined)],
  ["text behind the driver", "form", "TEE_EVIDENCE_MALFORMED", () => withField(3, utf8("590.12\0x"))],
  ["a VBIOS of another length", "form", "TEE_EVIDENCE_MALFORMED", () => withField(6, digestOf(1))],
  ["a board that is no text", "form", "TEE_EVIDENCE_MALFORMED", () => withField(15, digestOf(1))],
  ["bytes behind it", "form", "TEE_TRAILING_DATA", () => withParts({ tail: Uint8Array.of(0) })],
  ["a report cut short", "form", "TEE_EVIDENCE_MALFORMED", () => ({ ...bare, document: report.subarray(0, -1) })],
  ["no certificates", "form", "TEE_EVIDENCE_MISSING", () => ({ ...bare, collateral: [] })],
  [
    "two GPUs' certificates",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...bare, collateral: [...bare.collateral, ...bare.collateral] }),
  ],
  ["nothing", "form", "TEE_EVIDENCE_MALFORMED", () => ({ ...good, document: new Uint8Array() })],
  [
    "another nonce beside it",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...good, document: frameOf(report, gpu.pem, { nonce: "00".repeat(32) }) }),
  ],
  [
    "an unknown architecture",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...good, document: frameOf(report, gpu.pem, { arch: "AMPERE" }) }),
  ],
  [
    "another member",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...good, document: frameOf(report, gpu.pem, { more: 1 }) }),
  ],
  [
    "a chain with one more",
    "form",
    "TEE_CHAIN_BROKEN",
    () => ({ ...good, document: frameOf(report, gpu.pem + (gpu.chain[0]?.pem ?? "")) }),
  ],
  [
    "text between certificates",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => ({ ...good, document: frameOf(report, `x\n${gpu.pem}`) }),
  ],
  [
    "a leaf on another curve",
    "algorithm",
    "TEE_ALG_NOT_ALLOWED",
    () => {
      const made = makeGpu((level) => (level === 4 ? p256 : {}));
      return wanted(frameOf(makeReport(other), made.pem), made.root);
    },
  ],
  ["a root that is not pinned", "root", "TEE_ROOT_UNTRUSTED", () => ({ ...good, roots: [] })],
  [
    "a root pinned for another format",
    "root",
    "TEE_ROOT_UNTRUSTED",
    () => ({ ...good, roots: [{ ...gpu.root, format: "nitro" }] }),
  ],
  [
    "a simulated root",
    "root",
    "TEE_SIMULATED_NOT_ALLOWED",
    () => {
      const simulated = makeGpu(undefined, "SIMULATED-NOT-A-TEE GPU");
      return { ...good, document: frameOf(makeReport(simulated.key), simulated.pem) };
    },
  ],
  [
    "a forged link under the genuine root",
    "chain",
    "TEE_CHAIN_BROKEN",
    () => {
      const forged = makeGpu();
      const pem =
        [...forged.chain.slice(1)]
          .reverse()
          .map((c) => c.pem)
          .join("") + (gpu.chain[0]?.pem ?? "");
      return { ...good, document: frameOf(makeReport(forged.key), pem) };
    },
  ],
  [
    "another issuer's name",
    "chain",
    "TEE_CHAIN_BROKEN",
    () => withChain((level) => (level === 2 ? { issuerName: "Else" } : {})),
  ],
  [
    "a device that is no CA",
    "chain",
    "TEE_CERT_NOT_CA",
    () => withChain((level) => (level === 3 ? { ca: false } : {})),
  ],
  [
    "a device that may not sign certificates",
    "chain",
    "TEE_CERT_NOT_CA",
    () => withChain((level) => (level === 3 ? { keyUsage: 0x80 } : {})),
  ],
  [
    "a path that is too long",
    "chain",
    "TEE_CERT_NOT_CA",
    () => withChain((level) => (level === 1 ? { pathLength: 1 } : {})),
  ],
  [
    "a leaf that is a CA",
    "chain",
    "TEE_CERT_NOT_CA",
    () => withChain((level) => (level === 4 ? { ca: true, omitBasicConstraints: false, keyUsage: 0x84 } : {})),
  ],
  [
    "a leaf that is not for signatures",
    "chain",
    "TEE_CERT_KEY",
    () => withChain((level) => (level === 4 ? { keyUsage: null } : {})),
  ],
  [
    "a leaf for agreeing on keys",
    "chain",
    "TEE_CERT_KEY",
    () => withChain((level) => (level === 4 ? { keyUsage: 8 } : {})),
  ],
  [
    "a link of another algorithm",
    "chain",
    "TEE_CERT_KEY",
    () => withChain((level) => (level === 3 ? { ...p256 } : level === 4 ? { signature: "ecdsa-sha256" } : {})),
  ],
  ["a certificate that expired", "validity", "TEE_CERT_EXPIRED", () => ({ ...good, at: judgedAt + 2 * 86_400_000 })],
  [
    "a certificate of tomorrow",
    "validity",
    "TEE_CERT_NOT_YET_VALID",
    () => ({ ...good, at: judgedAt - 2 * 86_400_000 }),
  ],
  ["no time", "validity", "TEE_CERT_NOT_YET_VALID", () => ({ ...good, at: Number.NaN })],
  [
    "another key's signature",
    "signature",
    "TEE_SIGNATURE_INVALID",
    () => ({ ...good, document: frameOf(makeReport(other), gpu.pem) }),
  ],
  ["other firmware than the certified", "attributes", "TEE_GPU_MEASUREMENT", () => withField(20, digestOf(7))],
  ...odd.map(
    ([name, value, more]): Refusal => [
      name,
      "attributes",
      "TEE_EVIDENCE_MALFORMED",
      () =>
        withChain((level) =>
          level === 4 ? { extensions: [{ ...firmwareExtensions.hopper(signedBy), ...value }, ...(more ?? [])] } : {},
        ),
    ],
  ),
  [
    "firmware of zeros",
    "attributes",
    "TEE_GPU_MEASUREMENT",
    () => {
      const zeros: ChainEdit = (level) =>
        level === 4 ? { extensions: [firmwareExtensions.blackwell(digestOf(7))] } : {};
      const made = makeGpu(zeros);
      const document = frameOf(makeReport(made.key, { opaque: { ...vendorFields, 20: new Uint8Array(48) } }), made.pem);
      return wanted(document, made.root);
    },
  ],
  [
    "an empty list of measurements",
    "measurement",
    "TEE_MEASUREMENT_POLICY_EMPTY",
    () => ({ ...good, measurements: [] }),
  ],
  [
    "an unknown measurement",
    "measurement",
    "TEE_MEASUREMENT_UNKNOWN",
    () => ({ ...good, measurements: ["00".repeat(32)] }),
  ],
  [
    "a revoked measurement",
    "measurement",
    "TEE_MEASUREMENT_REVOKED",
    () => ({ ...good, measurements: [id], revoked: [id] }),
  ],
  ["another nonce", "freshness", "TEE_GPU_NOT_BOUND", () => ({ ...good, nonce: new Uint8Array(32) })],
  [
    "another CPU's statement",
    "binding",
    "TEE_GPU_NOT_BOUND",
    () => ({ ...good, binding: concat(binding.subarray(1), Uint8Array.of(1)) }),
  ],
];

describe("refuses", () => {
  test.each(refusals)("%s (%s: %s)", (_, check, code, make) => {
    const args = make();
    expect(outcome(args)).toBe(code);
    expect(failedAt(args)).toBe(check);
    const { assurance, attester } = checkNvidia(args);
    const authentic = ["attributes", "measurement", "freshness", "binding"].includes(check);
    expect([assurance, attester].map((v) => v !== null)).toEqual([authentic, authentic]);
    expect(checkNvidia({ ...args, suite: portableSuite })).toEqual(checkNvidia(args));
  });

  test("every single bit that is turned in a report, and in its certificates", () => {
    const turned = (bytes: Uint8Array, i: number) => {
      const out = bytes.slice();
      out[i] = (out[i] as number) ^ (1 << (i % 8));
      return out;
    };
    const accepted: string[] = [];
    const required: CheckId[] = ["signature", "chain"];
    for (let i = 0; i < report.length; i += 7)
      if (outcome({ ...bare, document: turned(report, i) }, required) === "pass") accepted.push(`report ${i}`);
    for (let level = 0; level < 5; level++) {
      const { der } = gpu.chain[level] as { der: Uint8Array };
      for (let i = 0; i < der.length; i += 13) {
        const chain = gpu.chain.map((c, n) => (n === level ? pemOf(turned(der, i)) : c.pem));
        const data = utf8([...chain].reverse().join(""));
        if (outcome({ ...bare, collateral: [{ kind: "nvidia-chain", data }] }, required) === "pass")
          accepted.push(`certificate ${level}, ${i}`);
      }
    }
    expect(accepted).toEqual([]);
  });
});

describe("the attester", () => {
  test("stays the same when a signature's s is turned over, which makes another document", () => {
    const s = BigInt(`0x${toHex(report.subarray(-48))}`);
    const negated = (orderP384 - s).toString(16).padStart(96, "0");
    const document = concat(report.subarray(0, -48), fromHex(negated));
    expect(toHex(sha256(document))).not.toBe(toHex(sha256(report)));
    for (const suite of [nodeSuite, portableSuite])
      expect(checkNvidia({ ...bare, document, suite })).toEqual(checkNvidia(bare));
  });

  test("is the device also under other firmware, and another one on another device", () => {
    const [, , , device] = gpu.chain as [unknown, unknown, unknown, (typeof gpu.chain)[number]];
    const next = makeCertificate({
      subject: "GH100 A01 GSP FMC LF",
      issuer: device,
      keyType: "P-384",
      notBefore: judgedAt - 1000,
      notAfter: judgedAt + 1000,
      ca: false,
      omitBasicConstraints: true,
      extensions: [firmwareExtensions.hopper(fromHex("f1".repeat(48)))],
    });
    const pem = next.pem + gpu.pem.slice(gpu.pem.indexOf("-----END CERTIFICATE-----\n") + 26);
    const updated = checkNvidia({ ...good, document: frameOf(makeReport(next.key), pem) });
    expect(obstacleOf(updated, everything)).toBeUndefined();
    expect(updated.attester).toBe(checkNvidia(good).attester);
    expect(updated.facts.ueid).not.toBe(checkNvidia(good).facts.ueid);
    expect(checkNvidia(withChain(() => ({}))).attester).not.toBe(updated.attester);
  });
});

test("a signature by another scheme over the same bytes is none", () => {
  const signature = new Uint8Array(
    sign("sha256", report.subarray(0, -96), { key: gpu.key, dsaEncoding: "ieee-p1363" }),
  );
  expect(createPublicKey(gpu.key).asymmetricKeyDetails?.namedCurve).toBe("secp384r1");
  expect(outcome({ ...bare, document: concat(report.subarray(0, -96), signature) })).toBe("TEE_SIGNATURE_INVALID");
});
