import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { p256, p384 } from "@noble/curves/nist.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, type EcdsaCheck, portableSuite, type RsaCheck, sha256 } from "./index.ts";
import { nodeSuite } from "./node.ts";

const suites = [nodeSuite, portableSuite];
const bytes = (buffer: Buffer | string) => new Uint8Array(Buffer.from(buffer as string, "base64url"));
const ecdsa = (check: EcdsaCheck) => suites.map((suite) => suite.verifyEcdsa(check));
const rsa = (check: RsaCheck) => suites.map((suite) => suite.verifyRsa(check));
const both = (answer: boolean) => [answer, answer];
const flip = (source: Uint8Array, at: number) => {
  const out = source.slice();
  const bit = at % (out.length * 8);
  out[bit >> 3] = (out[bit >> 3] as number) ^ (1 << (bit & 7));
  return out;
};
const toBig = (source: Uint8Array) => BigInt(`0x${Buffer.from(source).toString("hex")}`);
const fromBig = (n: bigint, size: number) => bytes(Buffer.from(n.toString(16).padStart(2 * size, "0"), "hex"));

describe.each([
  ["P-256", "sha256", p256, 32],
  ["P-384", "sha384", p384, 48],
] as const)("ECDSA over %s", (curve, hash, points, size) => {
  const { privateKey, publicKey: key } = generateKeyPairSync("ec", { namedCurve: curve });
  const { x = "", y = "" } = key.export({ format: "jwk" });
  const publicKey = concat(Uint8Array.of(4), bytes(x), bytes(y));
  const signed = (message: Uint8Array): EcdsaCheck => {
    const signature = new Uint8Array(sign(hash, message, { key: privateKey, dsaEncoding: "ieee-p1363" }));
    return { curve, signature, message, publicKey };
  };
  const good = signed(new Uint8Array(200).fill(7));
  const [r, s] = [good.signature.subarray(0, size), good.signature.subarray(size)];
  const order = points.Point.Fn.ORDER;
  const withSignature = (first: Uint8Array, second: Uint8Array) => ({ ...good, signature: concat(first, second) });

  test("what node:crypto signs stands in both suites, for messages of any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
        expect(ecdsa(signed(message))).toEqual(both(true));
      }),
      { numRuns: 20 },
    );
  });

  test("both values of s stand: vendors do not normalise it", () => {
    expect(ecdsa(withSignature(r, fromBig(order - toBig(s), size)))).toEqual(both(true));
  });

  const zero = new Uint8Array(size);
  test.each([
    ["r is zero", withSignature(zero, s)],
    ["s is zero", withSignature(r, zero)],
    ["both are zero", withSignature(zero, zero)],
    ["r is the order", withSignature(fromBig(order, size), s)],
    ["s is the order", withSignature(r, fromBig(order, size))],
    [
      "all bits are set",
      withSignature(
        zero.map(() => 255),
        zero.map(() => 255),
      ),
    ],
    ["r and s are swapped", withSignature(s, r)],
    ["it is a byte short", { ...good, signature: good.signature.subarray(1) }],
    ["it is a byte long", withSignature(r, concat(s, Uint8Array.of(0)))],
    ["it is empty", { ...good, signature: new Uint8Array() }],
  ])("a signature is refused when %s", (_, check) => {
    expect(ecdsa(check)).toEqual(both(false));
  });

  test("r that wraps around the order is refused: only the residue would be the same", () => {
    const wrapped = fromBig(toBig(r) + order, size + 1);
    expect(ecdsa(withSignature(wrapped.subarray(1), s))).toEqual(both(false));
  });

  const compressed = points.Point.fromBytes(publicKey).toBytes(true);
  const prime = points.Point.Fp.ORDER;
  test.each([
    ["not on the curve", flip(publicKey, 8 * size)],
    ["zero", concat(Uint8Array.of(4), zero, zero)],
    ["compressed", compressed],
    ["compressed, with zeros behind", concat(compressed, zero)],
    ["of the hybrid form", concat(Uint8Array.of(6 | ((publicKey.at(-1) as number) & 1)), publicKey.subarray(1))],
    ["at infinity", Uint8Array.of(0)],
    ["a byte short", publicKey.subarray(0, -1)],
    ["a byte long", concat(publicKey, Uint8Array.of(0))],
    ["with x past the field", concat(Uint8Array.of(4), fromBig(prime, size), publicKey.subarray(1 + size))],
    ["empty", new Uint8Array()],
  ])("a key is refused when it is %s", (_, wrong) => {
    expect(ecdsa({ ...good, publicKey: wrong })).toEqual(both(false));
  });

  test("a key of the other curve, and the other curve's name, are refused", () => {
    const other = curve === "P-256" ? "P-384" : "P-256";
    expect(ecdsa({ ...good, curve: other })).toEqual(both(false));
  });

  test("the suites agree on every mutation, and none stands", () => {
    fc.assert(
      fc.property(fc.constantFrom("signature", "message", "publicKey"), fc.nat(), (part, at) => {
        expect(ecdsa({ ...good, [part]: flip(good[part as "message"], at) })).toEqual(both(false));
      }),
      { numRuns: 60 },
    );
  });
});

type Key = { readonly privateKey: KeyObject; readonly modulus: Uint8Array };
const makeKey = (modulusLength: number, publicExponent = 65537): Key => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength, publicExponent });
  return { privateKey, modulus: bytes(publicKey.export({ format: "jwk" }).n ?? "") };
};
const names = { "SHA-256": "sha256", "SHA-384": "sha384" } as const;
const saltOf = { "SHA-256": 32, "SHA-384": 48 } as const;
const message = new Uint8Array(333).fill(5);
function signRsa(
  { privateKey, modulus }: Key,
  scheme: "pkcs1" | "pss",
  hash: keyof typeof names,
  salt: number = saltOf[hash],
): RsaCheck {
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt };
  const padding = scheme === "pss" ? pss : { padding: constants.RSA_PKCS1_PADDING };
  const signature = new Uint8Array(sign(names[hash], message, { key: privateKey, ...padding }));
  return { scheme, hash, signature, message, modulus };
}
/** Signs a made-up encoding: the private operation alone. */
function signRaw({ privateKey, modulus }: Key, encoded: Uint8Array): Uint8Array {
  const { n = "", d = "" } = privateKey.export({ format: "jwk" });
  const [m, modulusNumber] = [toBig(encoded), toBig(bytes(n))];
  let [result, base, exponent] = [1n, m % modulusNumber, toBig(bytes(d))];
  for (; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % modulusNumber;
    base = (base * base) % modulusNumber;
  }
  return fromBig(result, modulus.length);
}
const keys = new Map([2048, 3072, 4096].map((bits) => [bits, makeKey(bits)]));
const small = keys.get(2048) as Key;

describe.each([
  ["pkcs1", "SHA-256"],
  ["pkcs1", "SHA-384"],
  ["pss", "SHA-256"],
  ["pss", "SHA-384"],
] as const)("RSA %s with %s", (scheme, hash) => {
  test.each([2048, 3072, 4096])("%i bits: what node:crypto signs stands in both suites", (bits) => {
    expect(rsa(signRsa(keys.get(bits) as Key, scheme, hash))).toEqual(both(true));
  });

  const good = signRsa(small, scheme, hash);
  const modulus = toBig(small.modulus);
  const wrap = fromBig(toBig(good.signature) + modulus, small.modulus.length + 1);
  test.each<[string, Partial<RsaCheck>]>([
    ["the other scheme", { scheme: scheme === "pss" ? "pkcs1" : "pss" }],
    ["the other hash", { hash: hash === "SHA-256" ? "SHA-384" : "SHA-256" }],
    ["a signature a byte short", { signature: good.signature.subarray(1) }],
    ["a signature with a zero in front", { signature: concat(Uint8Array.of(0), good.signature) }],
    ["a signature past the modulus", { signature: wrap[0] === 0 ? wrap.subarray(1) : small.modulus }],
    ["the modulus as signature", { signature: small.modulus }],
    ["zero as signature", { signature: new Uint8Array(small.modulus.length) }],
    ["one as signature", { signature: fromBig(1n, small.modulus.length) }],
    ["an empty signature", { signature: new Uint8Array() }],
    ["another message", { message: message.subarray(1) }],
    ["a modulus with a zero in front", { modulus: concat(Uint8Array.of(0), small.modulus) }],
    ["an even modulus", { modulus: flip(small.modulus, 8 * (small.modulus.length - 1)) }],
    ["a modulus of 2047 bits", { modulus: flip(small.modulus, 7) }],
    ["no modulus", { modulus: new Uint8Array() }],
  ])("%s is refused", (_, changed) => {
    expect(rsa({ ...good, ...changed })).toEqual(both(false));
  });

  test("the suites agree on every mutation, and none stands", () => {
    fc.assert(
      fc.property(fc.constantFrom("signature", "message", "modulus"), fc.nat(), (part, at) => {
        expect(rsa({ ...good, [part]: flip(good[part as "message"], at) })).toEqual(both(false));
      }),
      { numRuns: 60 },
    );
  });
});

test.each([0, 20, 31, 33, 47, 49, 222])("PSS with a salt of %i bytes is refused under SHA-256", (salt) => {
  expect(rsa(signRsa(small, "pss", "SHA-256", salt))).toEqual(both(false));
});
test.each([0, 32, 47, 49, 206])("PSS with a salt of %i bytes is refused under SHA-384", (salt) => {
  expect(rsa(signRsa(small, "pss", "SHA-384", salt))).toEqual(both(false));
});

test.each([1024, 1536, 2040, 2047, 3071])("a key of %i bits is too small, or not of whole bytes", (bits) => {
  for (const scheme of ["pkcs1", "pss"] as const)
    expect(rsa(signRsa(makeKey(bits), scheme, "SHA-256"))).toEqual(both(false));
});

test("a key with another exponent is refused", () => {
  for (const scheme of ["pkcs1", "pss"] as const)
    expect(rsa(signRsa(makeKey(2048, 3), scheme, "SHA-256"))).toEqual(both(false));
});

describe("encodings that only a careless reader accepts", () => {
  const good = signRsa(small, "pkcs1", "SHA-256");
  const info = bytes(Buffer.from("3031300d060960864801650304020105000420", "hex"));
  const digest = sha256(message);
  const block = (head: Uint8Array, tail: Uint8Array, fill = 0xff) =>
    concat(head, new Uint8Array(256 - head.length - tail.length).fill(fill), tail);
  const zero = Uint8Array.of(0);
  test.each([
    ["the right one", block(Uint8Array.of(0, 1), concat(zero, info, digest)), true],
    ["another block type", block(Uint8Array.of(0, 2), concat(zero, info, digest)), false],
    ["padding that is not all ff", block(Uint8Array.of(0, 1), concat(zero, info, digest), 0xfe), false],
    ["no zero behind the padding", block(Uint8Array.of(0, 1), concat(info, digest)), false],
    ["the digest without its name", block(Uint8Array.of(0, 1), concat(zero, digest)), false],
    [
      "short padding with bytes behind the digest",
      concat(Uint8Array.of(0, 1), new Uint8Array(8).fill(255), zero, info, digest, new Uint8Array(194).fill(1)),
      false,
    ],
    [
      "the name without its NULL",
      block(
        Uint8Array.of(0, 1),
        concat(zero, bytes(Buffer.from("302f300b0609608648016503040201", "hex")), Uint8Array.of(4, 32), digest),
      ),
      false,
    ],
  ])("PKCS #1: %s", (_, encoded, answer) => {
    expect(encoded.length).toBe(256);
    expect(rsa({ ...good, signature: signRaw(small, encoded) })).toEqual(both(answer));
  });

  test("PSS: another trailer, a set unused bit and wrong zeros are refused", () => {
    const pss = signRsa(small, "pss", "SHA-256");
    const [s, n] = [toBig(pss.signature), toBig(small.modulus)];
    let power = s;
    for (let i = 0; i < 16; i++) power = (power * power) % n;
    const encoded = fromBig((power * s) % n, 256);
    expect(rsa({ ...pss, signature: signRaw(small, encoded) })).toEqual(both(true));
    for (const bit of [0, 7, 8, 800, 8 * 190, 8 * 190 + 1, 8 * 191, 8 * 255, 8 * 255 + 3]) {
      const wrong = flip(encoded, bit);
      if (toBig(wrong) < n)
        expect(rsa({ ...pss, signature: signRaw(small, wrong) }), `bit ${bit}`).toEqual(both(false));
    }
  });
});
