import { type JsonObject, toBase64Url, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import {
  binding,
  judgedAt,
  makeIssuer,
  makeToken,
  wanted,
} from "../../packages/evidence-tee/src/token/token.fixture.ts";
import { hasVectors, refusalOfDocument, vector } from "./documents.ts";

const issuer = makeIssuer("ES384");
const times = {
  iss: "https://nras.attestation.nvidia.com",
  iat: judgedAt / 1000,
  nbf: judgedAt / 1000,
  exp: judgedAt / 1000 + 60,
};
const part = (value: JsonObject) => toBase64Url(utf8(JSON.stringify(value)));
/** What a verifier on the machine itself writes: claims of success, and nobody's signature. */
const unsigned = (claims: JsonObject) => `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.`;
const detached = (overall: string, gpu: string) => utf8(JSON.stringify([["JWT", overall], { "GPU-0": gpu }]));
const success = { ...times, ueid: "1", measres: "success", dbgstat: "disabled", secboot: true };

test("T7: a GPU token without a signature is evidence of nothing", () => {
  const args = wanted(detached(unsigned(success), unsigned(success)), "nvidia-eat", issuer.jwks);
  expect(refusalOfDocument("nvidia-eat", args)).toBe("TEE_GPU_ALG_NONE");
});

test("T7: nor does one signed token carry an unsigned one", () => {
  const signed = makeToken(issuer.key, success);
  for (const document of [detached(signed, unsigned(success)), detached(unsigned(success), signed)]) {
    expect(refusalOfDocument("nvidia-eat", wanted(document, "nvidia-eat", issuer.jwks))).toBe("TEE_GPU_ALG_NONE");
  }
});

test("T7: a token may not choose how it is checked", () => {
  const google = makeIssuer("RS256");
  const judge = (text: string) =>
    refusalOfDocument("confidential-space", wanted(utf8(text), "confidential-space", google.jwks));
  const claims = {
    ...times,
    iss: "https://confidentialcomputing.googleapis.com",
    sub: "s",
    eat_nonce: Buffer.from(binding).toString("hex"),
  };
  expect(judge(unsigned(claims))).not.toBe("accepted");
  // A public key as the secret of an HMAC is the oldest of these.
  const hmac = makeToken(google.key, claims, { header: { alg: "HS256" } });
  expect(judge(hmac)).toBe("TEE_ALG_NOT_ALLOWED");
});

test.skipIf(!hasVectors)("T7: a real local verifier's token (shared vector)", () => {
  const { detached_eat } = JSON.parse(new TextDecoder().decode(vector("eat/nvidia-local-alg-none.json")));
  const args = wanted(utf8(JSON.stringify(detached_eat)), "nvidia-eat", issuer.jwks);
  expect(refusalOfDocument("nvidia-eat", { ...args, at: Date.parse("2026-07-16T13:30:00Z") })).toBe("TEE_GPU_ALG_NONE");
});
