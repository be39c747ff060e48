import {
  createCipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from "node:crypto";
import { fromHex, toHex, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { makeSealer } from "./answer.ts";
import { writeChunk } from "./chunk.ts";
import { isLowOrder } from "./low-order.ts";
import { channelKeyPair, openRequest, sealRequest } from "./request.ts";

// HPKE base mode (RFC 9180) and the answer's keys (RFC 9458 §4.4) a second time, on node:crypto and from the texts
// alone: what the package does must be what they say.

const label = (text: string) => Buffer.from(text, "latin1");
const uint = (value: number, width: number) => Buffer.from(value.toString(16).padStart(2 * width, "0"), "hex");
const hmac = (key: Uint8Array, message: Uint8Array) => createHmac("sha256", key).update(message).digest();
const extract = (salt: Uint8Array, ikm: Uint8Array) => hmac(salt.length > 0 ? salt : Buffer.alloc(32), ikm);

function expand(prk: Uint8Array, info: Uint8Array, length: number): Buffer {
  let block = Buffer.alloc(0);
  let out = Buffer.alloc(0);
  for (let i = 1; out.length < length; i++) {
    block = hmac(prk, Buffer.concat([block, info, Buffer.from([i])]));
    out = Buffer.concat([out, block]);
  }
  return out.subarray(0, length);
}

const labelled = (suite: Uint8Array) => ({
  extract: (salt: Uint8Array, name: string, ikm: Uint8Array) =>
    extract(salt, Buffer.concat([label("HPKE-v1"), suite, label(name), ikm])),
  expand: (prk: Uint8Array, name: string, info: Uint8Array, length: number) =>
    expand(prk, Buffer.concat([uint(length, 2), label("HPKE-v1"), suite, label(name), info]), length),
});

const kem = labelled(Buffer.concat([label("KEM"), uint(0x0020, 2)]));
const none = Buffer.alloc(0);

const privateKeyOf = (raw: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), raw]),
    format: "der",
    type: "pkcs8",
  });
const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b656e032100", "hex"), raw]),
    format: "der",
    type: "spki",
  });
const rawOf = (key: KeyObject): Buffer => createPublicKey(key).export({ format: "der", type: "spki" }).subarray(12);

/** RFC 9180 §7.1.3. */
const deriveSecretKey = (ikm: Uint8Array): Buffer => kem.expand(kem.extract(none, "dkp_prk", ikm), "sk", none, 32);

/** RFC 9180 §4.1. */
function sharedSecret(mine: KeyObject, theirs: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Buffer {
  const dh = diffieHellman({ privateKey: mine, publicKey: publicKeyOf(theirs) });
  return kem.expand(kem.extract(none, "eae_prk", dh), "shared_secret", Buffer.concat([enc, recipient]), 32);
}

/** RFC 9180 §5.1 for HKDF-SHA256 and the AEAD with 32-byte keys, AES-256-GCM. */
function keySchedule(secret: Uint8Array, info: Uint8Array) {
  const suite = labelled(Buffer.concat([label("HPKE"), uint(0x0020, 2), uint(0x0001, 2), uint(0x0002, 2)]));
  const context = Buffer.concat([
    Buffer.from([0]),
    suite.extract(none, "psk_id_hash", none),
    suite.extract(none, "info_hash", info),
  ]);
  const scheduled = suite.extract(secret, "secret", none);
  const exporter = suite.expand(scheduled, "exp", context, 32);
  return {
    key: suite.expand(scheduled, "key", context, 32),
    baseNonce: suite.expand(scheduled, "base_nonce", context, 12),
    exportSecret: (name: Uint8Array, length: number) => suite.expand(exporter, "sec", name, length),
  };
}

const sealPlainly = (key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plain: Uint8Array): Buffer => {
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
};

/** RFC 9458 §4.4. */
const answerSecrets = (secret: Uint8Array, enc: Uint8Array, nonce: Uint8Array) => {
  const prk = extract(Buffer.concat([enc, nonce]), secret);
  return { key: expand(prk, label("key"), 32), iv: expand(prk, label("nonce"), 12) };
};

// RFC 9180 appendix A.1.1: its KEM is ours; only the AEAD of that section is another.
const rfc = {
  ikmE: "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
  pkE: "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
  skE: "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
  skR: "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
  pkR: "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
  sharedSecret: "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc",
};

test("the second implementation gives the KEM of RFC 9180 A.1.1", () => {
  const skE = deriveSecretKey(fromHex(rfc.ikmE));
  expect(toHex(skE)).toBe(rfc.skE);
  expect(toHex(rawOf(privateKeyOf(skE)))).toBe(rfc.pkE);
  const [enc, pkR] = [fromHex(rfc.pkE), fromHex(rfc.pkR)];
  expect(toHex(sharedSecret(privateKeyOf(skE), pkR, enc, pkR))).toBe(rfc.sharedSecret);
  expect(toHex(sharedSecret(privateKeyOf(fromHex(rfc.skR)), enc, enc, pkR))).toBe(rfc.sharedSecret);
});

test("request and answer are, byte for byte, what RFC 9180 and RFC 9458 say", async () => {
  const keys = await channelKeyPair(fromHex(rfc.skR));
  expect(toHex(keys.key)).toBe(rfc.pkR);
  const [aad, body] = [utf8("bound"), utf8("a body")];
  const sealed = await sealRequest({ key: keys.key, aad, body, random: () => fromHex(rfc.ikmE) });
  expect(toHex(sealed.enc)).toBe(rfc.pkE);
  const { key, baseNonce, exportSecret } = keySchedule(
    fromHex(rfc.sharedSecret),
    utf8("countersign/channel/v1 request"),
  );
  expect(toHex(sealed.ciphertext)).toBe(toHex(sealPlainly(key, baseNonce, aad, body)));

  const opened = await openRequest({ keys, enc: sealed.enc, ciphertext: sealed.ciphertext, aad });
  const nonce = new Uint8Array(32).fill(9);
  const sealer = await opened.sealAnswer(() => nonce);
  const secret = exportSecret(utf8("countersign/channel/v1 response"), 32);
  const answer = answerSecrets(secret, fromHex(rfc.pkE), nonce);
  const nonceAt = (i: number) => {
    const iv = Buffer.from(answer.iv);
    iv.writeUInt32BE((iv.readUInt32BE(8) ^ i) >>> 0, 8);
    return iv;
  };
  const none = new Uint8Array();
  expect(toHex(await sealer.seal(utf8("one"), "text"))).toBe(
    toHex(sealPlainly(answer.key, nonceAt(0), none, writeChunk(utf8("one"), "text"))),
  );
  expect(toHex(await sealer.seal(utf8("{}"), "private"))).toBe(
    toHex(sealPlainly(answer.key, nonceAt(1), utf8("final"), writeChunk(utf8("{}"), "private"))),
  );
});

test("nonces carry the counter through all four bytes", async () => {
  const secrets = { key: new Uint8Array(32).fill(1), iv: new Uint8Array(12).fill(0xff) };
  const sealer = await makeSealer(secrets, new Uint8Array(32), 0xfffffffe);
  const iv = Buffer.from("ffffffffffffffff00000001", "hex");
  expect(toHex(await sealer.seal(utf8("x"), "text"))).toBe(
    toHex(sealPlainly(secrets.key, iv, new Uint8Array(), writeChunk(utf8("x"), "text"))),
  );
});

test("the list of small-order points is the platform's: none of them gives a secret", async () => {
  const { pair } = await channelKeyPair(fromHex(rfc.skR));
  const field = 2n ** 255n - 19n;
  const little = (x: bigint) => fromHex(x.toString(16).padStart(64, "0")).reverse();
  const named = [
    little(0n),
    little(1n),
    fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    fromHex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    little(field - 1n),
    little(field),
    little(field + 1n),
  ];
  for (const point of named) {
    for (const top of [0, 0x80]) {
      const bytes = point.slice();
      bytes[31] = (bytes[31] as number) | top;
      expect(isLowOrder(bytes)).toBe(true);
      const publicKey = await crypto.subtle.importKey("raw", bytes, "X25519", true, []);
      await expect(
        crypto.subtle.deriveBits({ name: "X25519", public: publicKey }, pair.privateKey, 256),
      ).rejects.toThrow();
    }
  }
  for (const other of [little(2n), little(9n), little(field - 2n), little(field + 2n), fromHex(rfc.pkR)])
    expect(isLowOrder(other)).toBe(false);
});
