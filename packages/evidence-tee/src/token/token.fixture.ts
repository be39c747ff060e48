import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type AttestationFormat, fromHex, toBase64Url, toHex, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Collateral, DocumentArgs, Root } from "../attestation.ts";
import { confidentialSpaceIssuer, tokenAudience } from "./check.ts";

/** Everything generated here was valid then. */
export const judgedAt = Date.UTC(2026, 5, 1);
const now = judgedAt / 1000;
export const binding = fromHex("5a".repeat(32));
export const nonce = fromHex("c4".repeat(32));

/** One key with the key set that its issuer would publish. */
export type Issuer = { readonly key: KeyObject; readonly jwk: Record<string, unknown>; readonly jwks: Uint8Array };

export function makeIssuer(
  algorithm: "ES384" | "RS256",
  kid = "test-1",
  changed: Record<string, unknown> = {},
): Issuer {
  const { privateKey: key, publicKey } =
    algorithm === "ES384"
      ? generateKeyPairSync("ec", { namedCurve: "P-384" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: algorithm, ...changed };
  return { key, jwk, jwks: utf8(JSON.stringify({ keys: [jwk] })) };
}

export const rootOf = (format: AttestationFormat, jwks: Uint8Array): Root => ({
  format,
  digest: toHex(sha256(jwks)),
  assurance: "vendor-verifier",
  name: "a test's",
});
export const keySet = (jwks: Uint8Array): Collateral => ({ kind: "jwks", data: jwks });

/** What may be wrong with a token besides its claims. */
export type TokenEdit = {
  readonly header?: Record<string, unknown>;
  /** The payload's JSON text instead of the claims. */
  readonly payload?: string;
  readonly hash?: "sha256" | "sha384";
  readonly claims?: Record<string, unknown>;
};

/** A compact token, signed as the key asks; members that are undefined are left out. */
export function makeToken(key: KeyObject, claims: Record<string, unknown>, edit: TokenEdit = {}): string {
  const rsa = key.asymmetricKeyType === "rsa";
  const header = { alg: rsa ? "RS256" : "ES384", kid: "test-1", typ: "JWT", ...edit.header };
  const payload = edit.payload ?? JSON.stringify({ ...claims, ...edit.claims });
  const signed = `${toBase64Url(utf8(JSON.stringify(header)))}.${toBase64Url(utf8(payload))}`;
  const hash = edit.hash ?? (rsa ? "sha256" : "sha384");
  const signature = sign(hash, utf8(signed), rsa ? { key } : { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
}

export const imageDigest = `sha256:${"ab".repeat(32)}`;

/** Claims of a workload as Confidential Space's documentation shows them, for TDX. */
export const spaceClaims = {
  aud: tokenAudience,
  iss: confidentialSpaceIssuer,
  sub: "https://www.googleapis.com/compute/v1/projects/test/zones/us-central1-a/instances/test",
  iat: now - 30,
  nbf: now - 30,
  exp: now + 3570,
  eat_nonce: [toHex(binding), toHex(nonce)],
  secboot: true,
  oemid: 11129,
  hwmodel: "GCP_INTEL_TDX",
  swname: "CONFIDENTIAL_SPACE",
  swversion: ["250301"],
  attester_tcb: ["INTEL"],
  dbgstat: "disabled-since-boot",
  submods: {
    confidential_space: { support_attributes: ["LATEST", "STABLE", "USABLE"] },
    container: {
      image_reference: "example.invalid/test/image:1",
      image_digest: imageDigest,
      restart_policy: "Never",
      image_id: `sha256:${"cd".repeat(32)}`,
      args: ["/server"],
      env: { PATH: "/usr/bin" },
    },
    gce: { zone: "us-central1-a", project_id: "test", instance_name: "test", instance_id: "1" },
  },
};

/** What a caller asks who wants everything. */
export const wanted = (document: Uint8Array, format: AttestationFormat, jwks: Uint8Array): DocumentArgs => ({
  document,
  at: judgedAt,
  roots: [rootOf(format, jwks)],
  collateral: [keySet(jwks)],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding,
  nonce,
  maxAge: 300_000,
  suite: nodeSuite,
});
