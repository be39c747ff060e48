import type { Suite } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { type DocumentArgs, obstacleOf } from "./attestation.ts";
import { makeNitroAuthority } from "./make/index.ts";
import { checkNitro } from "./nitro/check.ts";
import { answerOnce, rememberVendorSignatures } from "./remember.ts";

let asked = 0;
const counting: Suite = {
  ...nodeSuite,
  verifyEcdsa: (c) => {
    asked += 1;
    return nodeSuite.verifyEcdsa(c);
  },
};
beforeEach(() => {
  asked = 0;
});
const now = Date.UTC(2026, 10, 21);
const authority = makeNitroAuthority({ now });
const pcrs = new Map([0, 1, 2].map((i) => [i, new Uint8Array(48).fill(i + 1)]));
const make = (at: number) => authority.document({ at, pcrs, userData: null, nonce: null, publicKey: null });
const document = make(now);
const args: DocumentArgs = {
  document,
  at: now,
  roots: [{ format: "nitro", digest: authority.rootDigest, assurance: "simulated", name: "ours" }],
  collateral: [],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding: null,
  nonce: null,
  maxAge: 60_000,
  suite: counting,
};
const outcome = (given: DocumentArgs) => obstacleOf(checkNitro(given), ["signature", "freshness"])?.code ?? "passed";

test("a document's signatures are checked once, and those of its chain once for all documents", () => {
  const suite = rememberVendorSignatures(counting);
  for (let i = 0; i < 3; i++) expect(checkNitro({ ...args, suite })).toEqual(checkNitro({ ...args, suite: nodeSuite }));
  expect(asked).toBe(4);
  expect(outcome({ ...args, suite, document: make(now + 1) })).toBe("passed");
  expect(asked).toBe(5);
});

test("all but signatures is judged anew: time, roots, age, measurements, statement", () => {
  const suite = rememberVendorSignatures(counting);
  expect(outcome({ ...args, suite })).toBe("passed");
  expect(outcome({ ...args, suite, at: now + 4 * 3_600_000 })).toBe("TEE_CERT_EXPIRED");
  expect(outcome({ ...args, suite, at: now + 60_001 })).toBe("TEE_STALE");
  expect(outcome({ ...args, suite, roots: [] })).toBe("TEE_SIMULATED_NOT_ALLOWED");
  expect(outcome({ ...args, suite, measurements: [] })).toBe("TEE_MEASUREMENT_POLICY_EMPTY");
  expect(outcome({ ...args, suite, binding: new Uint8Array(32) })).toBe("TEE_REPORT_DATA_MISMATCH");
});

const sample = (() => {
  const seen: Parameters<Suite["verifyEcdsa"]>[0][] = [];
  checkNitro({ ...args, suite: { ...nodeSuite, verifyEcdsa: (c) => seen.push(c) > 0 } });
  return seen.at(-1) as Parameters<Suite["verifyEcdsa"]>[0];
})();

test("whatever differs in one bit is another check, and fails", () => {
  const suite = rememberVendorSignatures(nodeSuite);
  expect(suite.verifyEcdsa(sample)).toBe(true);
  fc.assert(
    fc.property(fc.constantFrom("signature", "message", "publicKey"), fc.nat(), (part, at) => {
      const bytes = sample[part as "message"].slice();
      const bit = at % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(suite.verifyEcdsa({ ...sample, [part]: bytes })).toBe(false);
    }),
  );
  expect(suite.verifyEcdsa({ ...sample, curve: "P-256" })).toBe(false);
});

test("bytes cannot move from one part to the next, and a kind is a part", () => {
  const suite = rememberVendorSignatures({ ...nodeSuite, verifyEcdsa: () => true, verifyRsa: () => false });
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  expect(suite.verifyEcdsa({ curve: "P-256", signature: a, message: b, publicKey: a })).toBe(true);
  expect(suite.verifyRsa({ scheme: "pss", hash: "SHA-384", signature: a, message: b, modulus: a })).toBe(false);
  let known = true;
  const strict = rememberVendorSignatures({ ...nodeSuite, verifyEcdsa: () => known });
  strict.verifyEcdsa({ curve: "P-256", signature: a, message: b, publicKey: a });
  known = false;
  expect(strict.verifyEcdsa({ curve: "P-256", signature: a, message: b, publicKey: a })).toBe(true);
  expect(
    strict.verifyEcdsa({ curve: "P-256", signature: Uint8Array.of(1), message: Uint8Array.of(2, 3), publicKey: a }),
  ).toBe(false);
});

test("a check that failed is made again, and what was remembered long ago is forgotten", () => {
  let calls = 0;
  const suite = rememberVendorSignatures({
    ...nodeSuite,
    verifyEcdsa: ({ message }) => ++calls > 0 && message.length > 0,
  });
  const ask = (message: Uint8Array) =>
    suite.verifyEcdsa({ curve: "P-384", signature: message, message, publicKey: message });
  for (let i = 0; i < 2; i++) expect(ask(new Uint8Array())).toBe(false);
  expect(calls).toBe(2);
  for (let i = 0; i <= 2048; i++) ask(Uint8Array.of(i >> 8, i));
  expect(calls).toBe(2051);
  ask(Uint8Array.of(8, 0));
  expect(calls).toBe(2051);
  ask(Uint8Array.of(0, 0));
  expect(calls).toBe(2052);
});

test("within one verdict a check that fails is made once too, and no other answer follows from it", () => {
  const suite = answerOnce(counting);
  const forged = document.slice();
  forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
  for (let i = 0; i < 3; i++) {
    expect(outcome({ ...args, suite, document: forged })).toBe("TEE_SIGNATURE_INVALID");
    expect(outcome({ ...args, suite })).toBe("passed");
  }
  // Three links of the chain, the forged signature and the genuine one.
  expect(asked).toBe(5);
});
