import {
  fromBase64Url,
  fromHex,
  gpuNonce,
  measurementId,
  portableSuite,
  toBase64Url,
  toHex,
  utf8,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { type CheckId, type DocumentArgs, obstacleOf } from "../attestation.ts";
import {
  binding,
  judgedAt,
  keySet,
  makeIssuer,
  makeToken,
  rootOf,
  type TokenEdit,
  wanted as wantedToken,
} from "../token/token.fixture.ts";
import { checkNvidiaEat, nvidiaIssuer } from "./check-eat.ts";
import { orderP384 } from "./nvidia.fixture.ts";

const nvidia = makeIssuer("ES384");
const now = judgedAt / 1000;
const nonce = gpuNonce(binding);
const times = { iss: nvidiaIssuer, iat: now - 30, nbf: now - 30, exp: now + 3570 };
const sound = { "x-nvidia-cert-status": "valid", "x-nvidia-cert-ocsp-status": "good" };
const gpuClaims = {
  ...times,
  eat_nonce: toHex(nonce),
  ueid: "478176379286082186618948445787393647364802107249",
  hwmodel: "GH100 A01 GSP BROM",
  measres: "success",
  dbgstat: "disabled",
  secboot: true,
  "x-nvidia-gpu-driver-version": "550.90.07",
  "x-nvidia-gpu-vbios-version": "96.00.9F.00.01",
  "x-nvidia-gpu-attestation-report-cert-chain": sound,
  "x-nvidia-gpu-driver-rim-cert-chain": sound,
  "x-nvidia-gpu-vbios-rim-cert-chain": sound,
};
const named = (text: string, algorithm = "SHA-256") => ["DIGEST", [algorithm, toHex(sha256(utf8(text)))]];

type Edit = {
  readonly gpu?: TokenEdit;
  readonly overall?: TokenEdit;
  readonly issuer?: typeof nvidia;
  /** What stands in the document. */
  readonly frame?: (overall: string, gpu: string) => unknown;
  readonly submods?: (gpu: string) => unknown;
};

function make(edit: Edit = {}): DocumentArgs {
  const { key, jwks } = edit.issuer ?? nvidia;
  const gpu = makeToken(key, gpuClaims, edit.gpu);
  const submods = edit.submods?.(gpu) ?? { "GPU-0": named(gpu) };
  const overallClaims = {
    ...times,
    sub: "NVIDIA-PLATFORM-ATTESTATION",
    eat_nonce: toHex(nonce),
    "x-nvidia-overall-att-result": true,
    submods,
  };
  const overall = makeToken(key, overallClaims, edit.overall);
  const value = edit.frame?.(overall, gpu) ?? [["JWT", overall], { "GPU-0": gpu }];
  return { ...wantedToken(utf8(JSON.stringify(value)), "nvidia-eat", jwks), nonce };
}
const withGpu = (claims: Record<string, unknown>) => make({ gpu: { claims } });
const withOverall = (claims: Record<string, unknown>) => make({ overall: { claims } });
const withFrame = (frame: (overall: string, gpu: string) => unknown) => make({ frame });

const good = make();
const everything: CheckId[] = ["form", "algorithm", "root", "chain", "validity", "revocation", "signature"];
everything.push("debug", "attributes", "freshness", "binding");
const outcome = (args: DocumentArgs, required: readonly CheckId[] = everything) =>
  obstacleOf(checkNvidiaEat(args), required)?.code ?? "pass";
const failedAt = (args: DocumentArgs) => checkNvidiaEat(args).checks.find((c) => c.result === "failed")?.id;
const registers = { driver: "550.90.07", vbios: "96.00.9F.00.01" };
const id = measurementId("nvidia-eat", registers);

describe("accepts", () => {
  test("the service's tokens, alike in both suites and as the library does", async () => {
    const report = checkNvidiaEat(good);
    expect(obstacleOf(report, everything)).toBeUndefined();
    expect(report).toMatchObject({
      assurance: "vendor-verifier",
      debug: false,
      registers,
      measurement: id,
      producedAt: judgedAt - 30_000,
      attester: `nvidia-ueid:${gpuClaims.ueid}`,
      facts: { name: "GPU-0", chip: "GH100 A01 GSP BROM" },
    });
    expect(checkNvidiaEat({ ...good, suite: portableSuite })).toEqual(report);
    const keys = createLocalJWKSet({ keys: [nvidia.jwk] } as unknown as JSONWebKeySet);
    const [[, overall], { "GPU-0": gpu }] = JSON.parse(new TextDecoder().decode(good.document));
    for (const token of [overall, gpu])
      await jwtVerify(token, keys, { algorithms: ["ES384"], issuer: nvidiaIssuer, currentDate: new Date(good.at) });
  });

  test("both spellings of the digest, debugging where it is allowed, a named measurement", () => {
    expect(outcome(make({ submods: (gpu) => ({ "GPU-0": named(gpu, "SHA256") }) }))).toBe("pass");
    expect(outcome({ ...withGpu({ dbgstat: "enabled" }), allowDebug: true })).toBe("pass");
    expect(outcome({ ...good, measurements: [id] }, ["measurement"])).toBe("pass");
  });
});

describe("never says that it ran", () => {
  test("without a key set: root and signature", () => {
    for (const check of ["root", "signature"] as const)
      expect(outcome({ ...good, collateral: [] }, [check])).toBe("TEE_CHECK_SKIPPED");
    expect(checkNvidiaEat({ ...good, collateral: [] })).toMatchObject({ assurance: null, attester: null });
  });

  test("where the service says nothing, or nobody asks", () => {
    const silent = withGpu({ "x-nvidia-gpu-vbios-rim-cert-chain": undefined });
    expect(outcome(silent, ["revocation"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome(good, ["measurement"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome(good, ["tcb"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome({ ...good, binding: null }, ["binding"])).toBe("TEE_CHECK_SKIPPED");
    const nameless = { ...withGpu({ "x-nvidia-gpu-driver-version": undefined }), measurements: [id] };
    expect(outcome(nameless, ["measurement"])).toBe("TEE_CHECK_SKIPPED");
  });
});

const chainOf = (changed: Record<string, unknown>) =>
  withGpu({ "x-nvidia-gpu-attestation-report-cert-chain": { ...sound, ...changed } });
const stranger = makeIssuer("ES384");
type Refusal = readonly [string, CheckId, string, () => DocumentArgs];
const refusals: readonly Refusal[] = [
  ["nothing", "form", "TEE_EVIDENCE_MALFORMED", () => ({ ...good, document: new Uint8Array() })],
  ["a list of tokens", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((overall, gpu) => [overall, gpu])],
  ["more behind it", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((o, g) => [["JWT", o], { "GPU-0": g }, 1])],
  [
    "more beside the overall token",
    "form",
    "TEE_EVIDENCE_MALFORMED",
    () => withFrame((o, g) => [["JWT", o, o], { "GPU-0": g }]),
  ],
  ["another kind", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((o, g) => [["CBOR", o], { "GPU-0": g }])],
  ["no GPU", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((o) => [["JWT", o], {}])],
  ["two GPUs", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((o, g) => [["JWT", o], { "GPU-0": g, "GPU-1": g }])],
  ["another device", "form", "TEE_EVIDENCE_MALFORMED", () => withFrame((o, g) => [["JWT", o], { "NVSWITCH-0": g }])],
  ["a header with a key", "form", "TEE_EVIDENCE_MALFORMED", () => make({ gpu: { header: { jwk: stranger.jwk } } })],
  [
    "an overall token that nobody signed",
    "algorithm",
    "TEE_GPU_ALG_NONE",
    () => make({ overall: { header: { alg: "none" } } }),
  ],
  ["a GPU token that nobody signed", "algorithm", "TEE_GPU_ALG_NONE", () => make({ gpu: { header: { alg: "None" } } })],
  ["another algorithm", "algorithm", "TEE_ALG_NOT_ALLOWED", () => make({ gpu: { header: { alg: "ES256" } } })],
  [
    "an algorithm of secrets",
    "algorithm",
    "TEE_ALG_NOT_ALLOWED",
    () => make({ overall: { header: { alg: "HS384" } } }),
  ],
  ["another issuer", "root", "TEE_ROOT_UNTRUSTED", () => withOverall({ iss: "NVAT-LOCAL-VERIFIER" })],
  ["another issuer of the GPU's token", "root", "TEE_ROOT_UNTRUSTED", () => withGpu({ iss: "NVAT-LOCAL-VERIFIER" })],
  ["a key set that is not pinned", "root", "TEE_ROOT_UNTRUSTED", () => ({ ...good, roots: [] })],
  [
    "a stranger's tokens and keys",
    "root",
    "TEE_ROOT_UNTRUSTED",
    () => ({ ...make({ issuer: stranger }), roots: good.roots }),
  ],
  [
    "simulated keys",
    "root",
    "TEE_SIMULATED_NOT_ALLOWED",
    () => ({ ...make({ issuer: makeIssuer("ES384", "SIMULATED-NOT-A-TEE") }), roots: good.roots }),
  ],
  ["an unknown key", "root", "TEE_ROOT_UNTRUSTED", () => make({ gpu: { header: { kid: "test-2" } } })],
  ["another overall subject", "chain", "TEE_GPU_NOT_BOUND", () => withOverall({ sub: "NVIDIA-GPU-ATTESTATION" })],
  ["another GPU's token", "chain", "TEE_GPU_NOT_BOUND", () => make({ submods: () => ({ "GPU-0": named("else") }) })],
  [
    "the digest of another hash",
    "chain",
    "TEE_GPU_NOT_BOUND",
    () => make({ submods: (g) => ({ "GPU-0": named(g, "SHA-384") }) }),
  ],
  [
    "what is no digest",
    "chain",
    "TEE_GPU_NOT_BOUND",
    () => make({ submods: (g) => ({ "GPU-0": ["NESTED", named(g)[1]] }) }),
  ],
  ["a digest with more", "chain", "TEE_GPU_NOT_BOUND", () => make({ submods: (g) => ({ "GPU-0": [...named(g), 1] }) })],
  [
    "a digest with more inside",
    "chain",
    "TEE_GPU_NOT_BOUND",
    () => make({ submods: (g) => ({ "GPU-0": ["DIGEST", [...(named(g)[1] as string[]), "x"]] }) }),
  ],
  ["no digest", "chain", "TEE_GPU_NOT_BOUND", () => make({ submods: () => ({ "GPU-0": ["DIGEST"] }) })],
  ["another GPU's name", "chain", "TEE_GPU_NOT_BOUND", () => make({ submods: (g) => ({ "GPU-1": named(g) }) })],
  [
    "an overall token for two GPUs",
    "chain",
    "TEE_GPU_NOT_BOUND",
    () => make({ submods: (g) => ({ "GPU-0": named(g), "GPU-1": named(g) }) }),
  ],
  ["two nonces", "chain", "TEE_GPU_NOT_BOUND", () => withGpu({ eat_nonce: "00".repeat(32) })],
  [
    "no nonce",
    "chain",
    "TEE_GPU_NOT_BOUND",
    () => make({ gpu: { claims: { eat_nonce: "" } }, overall: { claims: { eat_nonce: "" } } }),
  ],
  ["a switch's token", "chain", "TEE_GPU_NOT_BOUND", () => withGpu({ "x-nvidia-device-type": "nvswitch" })],
  ["a GPU without a number", "chain", "TEE_EVIDENCE_MALFORMED", () => withGpu({ ueid: "x" })],
  ["no times", "validity", "TEE_EVIDENCE_MALFORMED", () => withGpu({ nbf: undefined })],
  ["tokens that ended", "validity", "TEE_STALE", () => ({ ...good, at: times.exp * 1000 })],
  ["a GPU token that ended", "validity", "TEE_STALE", () => withGpu({ exp: now })],
  ["tokens of tomorrow", "validity", "TEE_FROM_FUTURE", () => withOverall({ nbf: now + 61 })],
  ["a revoked device", "revocation", "TEE_CERT_REVOKED", () => chainOf({ "x-nvidia-cert-ocsp-status": "revoked" })],
  [
    "an unknown device",
    "revocation",
    "TEE_REVOCATION_UNKNOWN",
    () => chainOf({ "x-nvidia-cert-ocsp-status": "unknown" }),
  ],
  ["a device's expired chain", "revocation", "TEE_CHAIN_BROKEN", () => chainOf({ "x-nvidia-cert-status": "expired" })],
  [
    "another key's signature",
    "signature",
    "TEE_SIGNATURE_INVALID",
    () => ({ ...make({ issuer: stranger }), roots: good.roots, collateral: good.collateral }),
  ],
  ["a GPU token of another key", "signature", "TEE_SIGNATURE_INVALID", () => strangersGpu()],
  ["a signature over another hash", "signature", "TEE_SIGNATURE_INVALID", () => make({ gpu: { hash: "sha256" } })],
  ["a key on another curve", "signature", "TEE_CERT_KEY", () => withKey({ crv: "P-256" })],
  ["a key of another kind", "signature", "TEE_CERT_KEY", () => withKey({ kty: "RSA" })],
  ["half a key", "signature", "TEE_CERT_KEY", () => withKey({ x: "AAAA" })],
  ["debugging", "debug", "TEE_DEBUG_MODE", () => withGpu({ dbgstat: "enabled" })],
  ["other measurements", "attributes", "TEE_GPU_MEASUREMENT", () => withGpu({ measres: "fail" })],
  ["no word of measurements", "attributes", "TEE_GPU_MEASUREMENT", () => withGpu({ measres: undefined })],
  [
    "a result that is not good",
    "attributes",
    "TEE_GPU_MEASUREMENT",
    () => withOverall({ "x-nvidia-overall-att-result": false }),
  ],
  ["no secure boot", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withGpu({ secboot: false })],
  ["secure boot as text", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withGpu({ secboot: "true" })],
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
    "old tokens where nobody drew a nonce",
    "freshness",
    "TEE_STALE",
    () => ({ ...good, nonce: null, at: judgedAt + 271_000 }),
  ],
  ["another CPU's statement", "binding", "TEE_GPU_NOT_BOUND", () => ({ ...good, binding: binding.map((b) => b ^ 1) })],
];
function withKey(changed: Record<string, unknown>): DocumentArgs {
  const jwks = utf8(JSON.stringify({ keys: [{ ...nvidia.jwk, ...changed }] }));
  return { ...good, roots: [rootOf("nvidia-eat", jwks)], collateral: [keySet(jwks)] };
}
function strangersGpu(): DocumentArgs {
  const gpu = makeToken(stranger.key, gpuClaims);
  return make({ submods: () => ({ "GPU-0": named(gpu) }), frame: (overall) => [["JWT", overall], { "GPU-0": gpu }] });
}

describe("refuses", () => {
  test.each(refusals)("%s (%s: %s)", (_, check, code, makeArgs) => {
    const args = makeArgs();
    expect(outcome(args)).toBe(code);
    expect(failedAt(args)).toBe(check);
    expect(checkNvidiaEat({ ...args, suite: portableSuite })).toEqual(checkNvidiaEat(args));
    const authentic = everything.indexOf(check) > everything.indexOf("signature") || check === "measurement";
    expect(checkNvidiaEat(args).assurance !== null).toBe(authentic);
  });

  test("every single bit that is turned in a document", () => {
    const accepted: number[] = [];
    for (let i = 0; i < good.document.length; i++) {
      const document = good.document.slice();
      document[i] = (document[i] as number) ^ (1 << (i % 8));
      if (outcome({ ...good, document }, ["signature"]) === "pass") accepted.push(i);
    }
    expect(accepted).toEqual([]);
  });
});

test("an overall signature whose s is turned over is another document of the same GPU", () => {
  const [[kind, overall], rest] = JSON.parse(new TextDecoder().decode(good.document));
  const [head, body, tail] = overall.split(".") as [string, string, string];
  const signature = fromBase64Url(tail);
  const s = BigInt(`0x${toHex(signature.subarray(48))}`);
  signature.set(fromHex((orderP384 - s).toString(16).padStart(96, "0")), 48);
  const document = utf8(JSON.stringify([[kind, `${head}.${body}.${toBase64Url(signature)}`], rest]));
  for (const suite of [nodeSuite, portableSuite])
    expect(checkNvidiaEat({ ...good, document, suite })).toEqual(checkNvidiaEat(good));
});
