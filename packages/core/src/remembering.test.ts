import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { rememberingSuite, type Suite } from "./index.ts";
import { ed25519Signer, nodeSuite } from "./node.ts";

let asked = 0;
const counting: Suite = {
  ...nodeSuite,
  verifyEd25519: (signature, message, publicKey) => {
    asked += 1;
    return nodeSuite.verifyEd25519(signature, message, publicKey);
  },
};
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const { publicKey } = signer;
const message = new Uint8Array(300).fill(3);
const signature = signer.sign(message);
const flip = (bytes: Uint8Array, bit: number) => {
  const out = bytes.slice();
  out[bit >> 3] = (out[bit >> 3] as number) ^ (1 << (bit & 7));
  return out;
};

beforeEach(() => {
  asked = 0;
});

test("a check that held is made once", () => {
  const suite = rememberingSuite(counting);
  for (let i = 0; i < 3; i++)
    expect(suite.verifyEd25519(signature.slice(), message.slice(), publicKey.slice())).toBe(true);
  expect(asked).toBe(1);
});

test("whatever differs in one bit is another check, and fails", () => {
  const suite = rememberingSuite(counting);
  expect(suite.verifyEd25519(signature, message, publicKey)).toBe(true);
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2), fc.nat(), (part, at) => {
      const parts = [signature, message, publicKey] as const;
      const bit = at % (parts[part as 0].length * 8);
      const [s, m, k] = parts.map((bytes, i) => (i === part ? flip(bytes, bit) : bytes)) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      expect(suite.verifyEd25519(s, m, k)).toBe(false);
    }),
  );
});

test.each([0, 1, 63, 65, 128])("a signature of %i bytes is none", (length) => {
  const suite = rememberingSuite({ ...nodeSuite, verifyEd25519: () => true });
  expect(suite.verifyEd25519(new Uint8Array(length), message, publicKey)).toBe(false);
});

test("a check that failed is made again", () => {
  const suite = rememberingSuite(counting);
  const bad = flip(signature, 5);
  expect(suite.verifyEd25519(bad, message, publicKey)).toBe(false);
  expect(suite.verifyEd25519(bad, message, publicKey)).toBe(false);
  expect(asked).toBe(2);
});

test("what is remembered does not change with the caller's bytes", () => {
  const suite = rememberingSuite(counting);
  const [s, m, k] = [signature.slice(), message.slice(), publicKey.slice()];
  expect(suite.verifyEd25519(s, m, k)).toBe(true);
  m[0] = 9;
  expect(suite.verifyEd25519(s, m, k)).toBe(false);
});

test("signatures that begin alike do not stand for each other", () => {
  const suite = rememberingSuite(counting);
  expect(suite.verifyEd25519(signature, message, publicKey)).toBe(true);
  for (let bit = 32; bit < 512; bit += 7)
    expect(suite.verifyEd25519(flip(signature, bit), message, publicKey)).toBe(false);
});
