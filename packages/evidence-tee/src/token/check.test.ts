import { generateKeyPairSync, sign } from "node:crypto";
import { fromBase64Url, measurementId, portableSuite, toBase64Url, toHex, utf8 } from "@countersign/core";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { type CheckId, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { checkConfidentialSpace, checkConfidentialSpaceFor, confidentialSpaceIssuer, tokenAudience } from "./check.ts";
import {
  binding,
  type Issuer,
  imageDigest,
  judgedAt,
  keySet,
  makeIssuer,
  makeToken,
  nonce,
  rootOf,
  spaceClaims,
  type TokenEdit,
  wanted,
} from "./token.fixture.ts";

const google = makeIssuer("RS256");
const token = makeToken(google.key, spaceClaims);
const good = wanted(utf8(token), "confidential-space", google.jwks);
const everything: CheckId[] = ["form", "algorithm", "root", "chain", "validity", "signature", "tcb", "debug"];
everything.push("attributes", "freshness", "binding");
const outcome = (args: DocumentArgs, required: readonly CheckId[] = everything) =>
  obstacleOf(checkConfidentialSpace(args), required)?.code ?? "pass";
const failedAt = (args: DocumentArgs) => checkConfidentialSpace(args).checks.find((c) => c.result === "failed")?.id;
const id = measurementId("confidential-space", { imageDigest });

const edited = (edit: TokenEdit, issuer: Issuer = google): DocumentArgs => ({
  ...wanted(utf8(makeToken(issuer.key, spaceClaims, edit)), "confidential-space", issuer.jwks),
});
const withClaims = (claims: Record<string, unknown>) => edited({ claims });
const withHeader = (header: Record<string, unknown>) => edited({ header });
const withContainer = (changed: Record<string, unknown>) =>
  withClaims({
    submods: { ...spaceClaims.submods, container: { ...spaceClaims.submods.container, ...changed } },
  });
const withText = (text: string): DocumentArgs => ({ ...good, document: utf8(text) });
const [head, body, tail] = token.split(".") as [string, string, string];
const pinned = (jwks: Uint8Array): DocumentArgs => ({
  ...good,
  roots: [rootOf("confidential-space", jwks)],
  collateral: [keySet(jwks)],
});
const withJwk = (changed: Record<string, unknown>) =>
  pinned(utf8(JSON.stringify({ keys: [{ ...google.jwk, ...changed }] })));

/** Whether the library accepts: an oracle for what every reader of tokens must refuse. */
async function oracle({ document, at }: DocumentArgs, issuer: Issuer = google): Promise<boolean> {
  const keys = createLocalJWKSet({ keys: [issuer.jwk] } as unknown as JSONWebKeySet);
  const options = { algorithms: ["RS256"], issuer: confidentialSpaceIssuer, audience: tokenAudience };
  try {
    await jwtVerify(document, keys, { ...options, currentDate: new Date(at) });
    return true;
  } catch {
    return false;
  }
}

describe("accepts", () => {
  test("a workload's token, alike in both suites and as the library does", async () => {
    const report = checkConfidentialSpace(good);
    expect(obstacleOf(report, everything)).toBeUndefined();
    expect(report).toMatchObject({
      assurance: "vendor-verifier",
      debug: false,
      tcb: { status: "vendor-managed" },
      registers: { imageDigest },
      measurement: id,
      producedAt: judgedAt - 30_000,
      attester: `confidential-space:${spaceClaims.sub}`,
      facts: { machine: "GCP_INTEL_TDX" },
    });
    expect(checkConfidentialSpace({ ...good, suite: portableSuite })).toEqual(report);
    expect(await oracle(good)).toBe(true);
  });

  test("our digest as the one nonce, no header but the needed, and a key set beside another", () => {
    expect(outcome({ ...withClaims({ eat_nonce: toHex(binding) }), nonce: null })).toBe("pass");
    expect(outcome(withHeader({ typ: undefined }))).toBe("pass");
    expect(outcome({ ...good, collateral: [keySet(utf8('{"keys":[]}')), ...good.collateral] })).toBe("pass");
    expect(outcome(withContainer({ cmd_override: [], env_override: {} }))).toBe("pass");
  });

  test("another audience, a named measurement, a named weaker machine, debugging, each where the caller says so", () => {
    const other = withClaims({ aud: "another" });
    expect(obstacleOf(checkConfidentialSpaceFor("another")(other), everything)).toBeUndefined();
    expect(outcome({ ...good, measurements: [id] }, ["measurement"])).toBe("pass");
    const weaker = withClaims({ hwmodel: "GCP_AMD_SEV" });
    const named = { ...weaker, tcb: { ...weaker.tcb, statuses: ["gcp-amd-sev"] } };
    expect(outcome(named)).toBe("pass");
    expect(checkConfidentialSpace(named).tcb.status).toBe("gcp-amd-sev");
    expect(outcome({ ...withClaims({ dbgstat: "enabled" }), allowDebug: true })).toBe("pass");
  });
});

describe("never says that it ran", () => {
  test("without a key set: root, chain and signature", () => {
    for (const check of ["root", "chain", "signature"] as const)
      expect(outcome({ ...good, collateral: [] }, [check])).toBe("TEE_CHECK_SKIPPED");
    expect(checkConfidentialSpace({ ...good, collateral: [] })).toMatchObject({ assurance: null, attester: null });
  });

  test("where nobody asks: binding, measurement", () => {
    expect(outcome({ ...good, binding: null }, ["binding"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome(good, ["measurement"])).toBe("TEE_CHECK_SKIPPED");
    expect(outcome(good, ["revocation"])).toBe("TEE_CHECK_SKIPPED");
    const nameless = { ...withContainer({ image_digest: "latest" }), measurements: [id] };
    expect(outcome(nameless, ["measurement"])).toBe("TEE_CHECK_SKIPPED");
  });
});

const stranger = makeIssuer("RS256");
const curve = makeIssuer("ES384");
const seconds = judgedAt / 1000;
const bytes = (key: string, value: unknown) => JSON.stringify({ ...spaceClaims, [key]: value });
type Refusal = readonly [string, CheckId, string, () => DocumentArgs];
const malformed: readonly (readonly [string, () => DocumentArgs])[] = [
  ["nothing", () => withText("")],
  ["two parts", () => withText(`${head}.${body}`)],
  ["four parts", () => withText(`${token}.`)],
  ["white space behind it", () => withText(`${token}\n`)],
  ["padding", () => withText(`${head}.${body}.${tail}==`)],
  ["characters of the other base64", () => withText(`${head}.${body}.${tail.replace(/[-_]/g, "+")}+`)],
  [
    "bits behind the last byte",
    () => withText(`${head}.${body}.${tail.slice(0, -1)}${tail.endsWith("B") ? "C" : "B"}`),
  ],
  ["a header that is a list", () => withText(`${toBase64Url(utf8("[]"))}.${body}.${tail}`)],
  ["an algorithm that is no text", () => withHeader({ alg: 1 })],
  ["an empty key name", () => withHeader({ kid: "" })],
  ["another type", () => withHeader({ typ: "at+jwt" })],
  ...["x5c", "jwk", "jku", "x5u", "crit", "b64", "zip", "x5t", "extra"].map(
    (name) => [`the header ${name}`, () => withHeader({ [name]: ["x"] })] as const,
  ),
  ["a claim twice", () => edited({ payload: `{"iss":"x",${JSON.stringify(spaceClaims).slice(1)}` })],
  ["a payload that is no object", () => edited({ payload: "[1]" })],
  ["a payload that is no UTF-8", () => withText(`${head}.${toBase64Url(Uint8Array.of(0x22, 0xff, 0x22))}.${tail}`)],
  ["no subject", () => withClaims({ sub: undefined })],
  ["no nonce", () => withClaims({ eat_nonce: undefined })],
  ["an empty list of nonces", () => withClaims({ eat_nonce: [] })],
  ["more than is read", () => withClaims({ more: "x".repeat(100_000) })],
  ["seven nonces", () => withClaims({ eat_nonce: Array(7).fill("12345678") })],
  ["a short nonce", () => withClaims({ eat_nonce: ["1234567"] })],
  ["a long nonce", () => withClaims({ eat_nonce: ["1".repeat(89)] })],
  ["a nonce that is no text", () => withClaims({ eat_nonce: [12345678] })],
  ["no end", () => withClaims({ exp: undefined })],
  ["no beginning", () => withClaims({ nbf: undefined })],
  ["no time of making", () => withClaims({ iat: undefined })],
  ["a time in parts of a second", () => withClaims({ exp: seconds + 0.5 })],
  ["a time before 1970", () => withClaims({ nbf: -1 })],
];
const refusals: readonly Refusal[] = [
  ...malformed.map(([name, make]) => [name, "form", "TEE_EVIDENCE_MALFORMED", make] as const),
  ["no algorithm", "algorithm", "TEE_ALG_NOT_ALLOWED", () => withHeader({ alg: "none" })],
  ["another algorithm", "algorithm", "TEE_ALG_NOT_ALLOWED", () => edited({}, curve)],
  ["the algorithm in small letters", "algorithm", "TEE_ALG_NOT_ALLOWED", () => withHeader({ alg: "rs256" })],
  ["a key set that is not pinned", "root", "TEE_ROOT_UNTRUSTED", () => ({ ...good, roots: [] })],
  [
    "a key set that is pinned for another format",
    "root",
    "TEE_ROOT_UNTRUSTED",
    () => ({ ...good, roots: [rootOf("nvidia-eat", google.jwks)] }),
  ],
  [
    "a stranger's token with his key set",
    "root",
    "TEE_ROOT_UNTRUSTED",
    () => ({ ...edited({}, stranger), roots: good.roots }),
  ],
  [
    "a key set that says it is simulated",
    "root",
    "TEE_SIMULATED_NOT_ALLOWED",
    () => ({ ...edited({}, makeIssuer("RS256", "SIMULATED-NOT-A-TEE 1")), roots: good.roots }),
  ],
  [
    "a pinned key set that says it is simulated, and that the trust calls a vendor's",
    "root",
    "TEE_SIMULATED_NOT_ALLOWED",
    () => edited({}, makeIssuer("RS256", "SIMULATED-NOT-A-TEE 1")),
  ],
  ["another issuer", "root", "TEE_ROOT_UNTRUSTED", () => withClaims({ iss: `${confidentialSpaceIssuer}/` })],
  ["a key set that is none", "root", "TEE_EVIDENCE_MALFORMED", () => pinned(utf8('{"keys":[1]}'))],
  ["a key that is not in the set", "chain", "TEE_ROOT_UNTRUSTED", () => withHeader({ kid: "test-2" })],
  ["no key", "chain", "TEE_ROOT_UNTRUSTED", () => withHeader({ kid: undefined })],
  [
    "two keys of one name",
    "chain",
    "TEE_ROOT_UNTRUSTED",
    () => pinned(utf8(JSON.stringify({ keys: [stranger.jwk, google.jwk] }))),
  ],
  ["a token that ended", "validity", "TEE_STALE", () => ({ ...good, at: spaceClaims.exp * 1000 })],
  ["a token made tomorrow", "validity", "TEE_FROM_FUTURE", () => withClaims({ iat: seconds + 61 })],
  ["a token for tomorrow", "validity", "TEE_FROM_FUTURE", () => withClaims({ nbf: seconds + 61 })],
  ["no time", "validity", "TEE_FROM_FUTURE", () => ({ ...good, at: Number.NaN })],
  [
    "another key's signature",
    "signature",
    "TEE_SIGNATURE_INVALID",
    () => ({ ...edited({}, stranger), ...keysOf(google) }),
  ],
  ["a signature over another hash", "signature", "TEE_SIGNATURE_INVALID", () => edited({ hash: "sha384" })],
  ["a signature of padding PSS", "signature", "TEE_SIGNATURE_INVALID", () => withText(pssToken())],
  [
    "claims changed behind the signature",
    "signature",
    "TEE_SIGNATURE_INVALID",
    () => withText(spliced("iat", seconds - 1)),
  ],
  ["a key for encryption", "signature", "TEE_CERT_KEY", () => withJwk({ use: "enc" })],
  ["a key for another algorithm", "signature", "TEE_CERT_KEY", () => withJwk({ alg: "PS256" })],
  ["a key on a curve", "signature", "TEE_CERT_KEY", () => withJwk({ kty: "EC" })],
  ["a key with exponent 3", "signature", "TEE_CERT_KEY", () => withJwk({ e: "Aw" })],
  ["a key without a modulus", "signature", "TEE_EVIDENCE_MALFORMED", () => withJwk({ n: undefined })],
  [
    "a machine without encrypted memory",
    "tcb",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    () => withClaims({ hwmodel: "GCP_SHIELDED_VM" }),
  ],
  [
    "a machine named as an object's member",
    "tcb",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    () => withClaims({ hwmodel: "constructor" }),
  ],
  ["a machine without a name", "tcb", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withClaims({ hwmodel: undefined })],
  ["plain SEV where no policy names it", "tcb", "TEE_TCB_OUT_OF_DATE", () => withClaims({ hwmodel: "GCP_AMD_SEV" })],
  [
    "an image that is not supported",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    () => withClaims({ submods: { ...spaceClaims.submods, confidential_space: { support_attributes: ["USABLE"] } } }),
  ],
  [
    "no word of support",
    "tcb",
    "TEE_TCB_OUT_OF_DATE",
    () => withClaims({ submods: { container: spaceClaims.submods.container } }),
  ],
  ["debugging", "debug", "TEE_DEBUG_MODE", () => withClaims({ dbgstat: "enabled" })],
  ["debugging that was switched off", "debug", "TEE_DEBUG_MODE", () => withClaims({ dbgstat: "disabled" })],
  [
    "another audience",
    "attributes",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    () => withClaims({ aud: "https://sts.googleapis.com" }),
  ],
  ["two audiences", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withClaims({ aud: [tokenAudience, "x"] })],
  ["other software", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withClaims({ swname: "GCE" })],
  ["no secure boot", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withClaims({ secboot: false })],
  [
    "no container",
    "attributes",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    () => withClaims({ submods: { ...spaceClaims.submods, container: null } }),
  ],
  ["another command", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withContainer({ cmd_override: ["sh"] })],
  [
    "another environment",
    "attributes",
    "TEE_ATTRIBUTES_NOT_ALLOWED",
    () => withContainer({ env_override: { A: "1" } }),
  ],
  ["an override that is text", "attributes", "TEE_ATTRIBUTES_NOT_ALLOWED", () => withContainer({ cmd_override: "" })],
  [
    "an empty list of measurements",
    "measurement",
    "TEE_MEASUREMENT_POLICY_EMPTY",
    () => ({ ...good, measurements: [] }),
  ],
  ["an unknown image", "measurement", "TEE_MEASUREMENT_UNKNOWN", () => ({ ...good, measurements: ["00".repeat(32)] })],
  ["a revoked image", "measurement", "TEE_MEASUREMENT_REVOKED", () => ({ ...good, measurements: [id], revoked: [id] })],
  ["another nonce", "freshness", "TEE_NONCE_MISMATCH", () => ({ ...good, nonce: binding.map((b) => b ^ 1) })],
  [
    "a token of yesterday without a nonce",
    "freshness",
    "TEE_STALE",
    () => ({ ...good, nonce: null, at: judgedAt + 271_000 }),
  ],
  ["another statement", "binding", "TEE_REPORT_DATA_MISMATCH", () => ({ ...good, binding: nonce.map((b) => b ^ 1) })],
  ["a statement cut short", "binding", "TEE_REPORT_DATA_MISMATCH", () => ({ ...good, binding: binding.subarray(1) })],
];

const keysOf = ({ jwks }: Issuer) => ({
  roots: [rootOf("confidential-space", jwks)],
  collateral: [keySet(jwks)],
});
function pssToken(): string {
  const { key } = google;
  const signature = sign("sha256", utf8(`${head}.${body}`), { key, padding: 6, saltLength: 32 });
  return `${head}.${body}.${toBase64Url(new Uint8Array(signature))}`;
}
function spliced(key: string, value: unknown): string {
  return `${head}.${toBase64Url(utf8(bytes(key, value)))}.${tail}`;
}

describe("refuses", () => {
  test.each(refusals)("%s (%s: %s)", (_, check, code, make) => {
    const args = make();
    expect(outcome(args)).toBe(code);
    expect(failedAt(args)).toBe(check);
    expect(checkConfidentialSpace({ ...args, suite: portableSuite })).toEqual(checkConfidentialSpace(args));
    const authentic = everything.indexOf(check) > everything.indexOf("signature") || check === "measurement";
    expect(checkConfidentialSpace(args).assurance !== null).toBe(authentic);
  });

  test("what the library refuses of signature, time, issuer and audience", async () => {
    const strict = [
      withHeader({ alg: "none" }),
      edited({}, curve),
      withClaims({ iss: "else" }),
      withClaims({ aud: "else" }),
      { ...good, at: spaceClaims.exp * 1000 },
      withText(spliced("iat", 1)),
      withText(pssToken()),
      withText(`${token}.`),
      withHeader({ crit: ["x"] }),
    ];
    for (const args of strict) {
      expect(await oracle(args)).toBe(false);
      expect(outcome(args)).not.toBe("pass");
    }
  });

  test("every single bit that is turned in a token", () => {
    const document = utf8(token);
    const accepted: number[] = [];
    for (let i = 0; i < document.length; i++) {
      const turned = document.slice();
      turned[i] = (turned[i] as number) ^ (1 << (i % 8));
      if (outcome({ ...good, document: turned }, ["signature"]) === "pass") accepted.push(i);
    }
    expect(accepted).toEqual([]);
  });

  test("every single bit that is turned in a pinned key set", () => {
    const accepted: number[] = [];
    for (let i = 0; i < google.jwks.length; i++) {
      const turned = google.jwks.slice();
      turned[i] = (turned[i] as number) ^ (1 << (i % 8));
      if (outcome({ ...good, collateral: [keySet(turned)] }, ["signature"]) === "pass") accepted.push(i);
    }
    expect(accepted).toEqual([]);
  });
});

test("a key of 1024 bits signs nothing", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const jwks = utf8(JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "test-1" }] }));
  const args = wanted(utf8(makeToken(privateKey, spaceClaims)), "confidential-space", jwks);
  expect(outcome(args)).toBe("TEE_SIGNATURE_INVALID");
  expect(fromBase64Url(tail).length).toBe(256);
});
