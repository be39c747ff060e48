import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex, portableSuite, toHex, utf8 } from "./index.ts";
import { ed25519Signer, generateSeed, nodeSuite } from "./node.ts";

const suites = [nodeSuite, portableSuite];
const order = 2n ** 252n + 27742317777372353535851937790883648493n;

test("RFC 8032 test 2 verifies in both suites, and our signer makes it", () => {
  const signer = ed25519Signer(fromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  const message = Uint8Array.of(0x72);
  const signature = signer.sign(message);
  expect(toHex(signer.publicKey)).toBe("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  expect(toHex(signature)).toBe(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  );
  for (const suite of suites) expect(suite.verifyEd25519(signature, message, signer.publicKey)).toBe(true);
});

test("the suites agree on honest and flipped signatures", () => {
  const signer = ed25519Signer(generateSeed());
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(64 * 8 - 1), fc.boolean(), (message, bit, flip) => {
      const signature = signer.sign(message);
      if (flip) signature[bit >> 3] = (signature[bit >> 3] as number) ^ (1 << (bit & 7));
      for (const suite of suites) expect(suite.verifyEd25519(signature, message, signer.publicKey)).toBe(!flip);
    }),
    { numRuns: 60 },
  );
});

test("S + L, the second spelling of a signature, is refused by both", () => {
  const signer = ed25519Signer(generateSeed());
  const signature = signer.sign(utf8("x"));
  let s = 0n;
  for (let i = 63; i >= 32; i--) s = (s << 8n) | BigInt(signature[i] as number);
  let t = s + order;
  for (let i = 32; i < 64; i++, t >>= 8n) signature[i] = Number(t & 255n);
  for (const suite of suites) expect(suite.verifyEd25519(signature, utf8("x"), signer.publicKey)).toBe(false);
});

test("keys of small order, which sign anything, are refused by both", () => {
  const identity = ed25519.Point.ZERO.toBytes();
  const two = fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  const signature = new Uint8Array(64);
  signature.set(identity);
  for (const key of [identity, two, new Uint8Array(32)]) {
    for (const suite of suites) expect(suite.verifyEd25519(signature, utf8("anything"), key)).toBe(false);
  }
});

test("a mixed-order signature, on which cofactored and cofactorless verifiers differ, is refused by both", () => {
  // R' = R + T with T of order 8: cofactored verification accepts S for it, ours and OpenSSL's must not.
  const torsion = ed25519.Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
  const signer = ed25519Signer(generateSeed());
  const message = utf8("mixed");
  const signature = signer.sign(message);
  const r = ed25519.Point.fromBytes(signature.subarray(0, 32)).add(torsion).toBytes();
  signature.set(r);
  expect(nodeSuite.verifyEd25519(signature, message, signer.publicKey)).toBe(false);
  expect(portableSuite.verifyEd25519(signature, message, signer.publicKey)).toBe(false);
});

test.each([0, 31, 33, 63, 65])("%i bytes are no key or signature", (length) => {
  const signer = ed25519Signer(generateSeed());
  for (const suite of suites) {
    expect(suite.verifyEd25519(new Uint8Array(length), utf8(""), signer.publicKey)).toBe(false);
    expect(suite.verifyEd25519(new Uint8Array(64), utf8(""), new Uint8Array(length))).toBe(false);
  }
});
