import { createHash } from "node:crypto";
import { fromBase64, fromUtf8, type Hex, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ModelFacts,
  makeManifest,
  modelDigest,
  readManifest,
  signManifest,
  toSigstoreBundle,
  verifyManifest,
} from "./manifest.ts";

const publisher = ed25519Signer(new Uint8Array(32).fill(5));
const key = toHex(publisher.publicKey);
const facts: ModelFacts = {
  title: "A test",
  job: "chat",
  architecture: "llama",
  engine: "llama.cpp",
  entry: "a.gguf",
  quantisation: "f16",
  parameters: 12,
  licence: "CC0-1.0",
  tokenizer: null,
  chatTemplate: null,
};
const file = (name: string, n: number) => ({
  name,
  size: n,
  sha256: String(n).repeat(64) as Hex,
  chunkRoot: "0".repeat(64) as Hex,
});
const files = [file("b.txt", 2), file("a.gguf", 1)];
const make = () => makeManifest("test-model", facts, files);
const malformed = expect.objectContaining({ code: "MANIFEST_MALFORMED" });

describe("a manifest", () => {
  it("has Model Signing's shape: one subject over the raw digests in name order", () => {
    const envelope = signManifest(make(), publisher);
    const body = JSON.parse(fromUtf8(fromBase64(envelope.payload)));
    const raw = Buffer.concat(["1", "2"].map((c) => Buffer.from(c.repeat(64), "hex")));
    expect(body.predicateType).toBe("https://model_signing/signature/v1.0");
    expect(body.subject).toEqual([
      { name: "test-model", digest: { sha256: createHash("sha256").update(raw).digest("hex") } },
    ]);
    expect(body.predicate.resources).toEqual([
      { name: "a.gguf", algorithm: "sha256", digest: "1".repeat(64) },
      { name: "b.txt", algorithm: "sha256", digest: "2".repeat(64) },
    ]);
    expect(toSigstoreBundle(envelope)).toMatchObject({ dsseEnvelope: { payload: envelope.payload } });
  });

  it("is read back, with the publisher who signed it", () => {
    const read = verifyManifest(signManifest(make(), publisher), ["00".repeat(32), key], nodeSuite);
    expect(read).toMatchObject({ publisher: key, digest: modelDigest(make()), manifest: make() });
  });

  it("signed by nobody who is trusted is refused", () => {
    expect(() => verifyManifest(signManifest(make(), publisher), ["00".repeat(32)], nodeSuite)).toThrow(
      expect.objectContaining({ code: "MANIFEST_SIGNATURE_INVALID" }),
    );
  });

  it("has another digest when anything about it changes", () => {
    const changes: Partial<ModelFacts>[] = [
      { quantisation: "q4" },
      { licence: "x" },
      { title: "y" },
      { parameters: 13 },
      { chatTemplate: "ab".repeat(32) },
    ];
    const digests = changes.map((c) => modelDigest(makeManifest("test-model", { ...facts, ...c }, files)));
    digests.push(modelDigest(make()), modelDigest(makeManifest("other", facts, files)));
    digests.push(modelDigest(makeManifest("test-model", facts, [file("a.gguf", 3), file("b.txt", 2)])));
    expect(new Set(digests).size).toBe(digests.length);
  });

  it("never checks out with one bit flipped", () => {
    const { payload, ...rest } = signManifest(make(), publisher);
    const bytes = fromBase64(payload);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => {
        const flipped = bytes.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        const envelope = { ...rest, payload: Buffer.from(flipped).toString("base64") };
        expect(() => verifyManifest(envelope, [key], nodeSuite)).toThrow();
      }),
    );
  });

  it.each([
    ["a path for a file name", () => makeManifest("m", facts, [file("../a.gguf", 1)])],
    ["no entry file", () => makeManifest("m", { ...facts, entry: "c" }, files)],
    ["no file", () => makeManifest("m", facts, [])],
    ["one file twice", () => makeManifest("m", facts, [file("a.gguf", 1), file("a.gguf", 1)])],
    ["a name with a space", () => makeManifest("a model", facts, files)],
    ["an unknown member", () => makeManifest("m", { ...facts, extra: 1 } as ModelFacts, files)],
    ["nothing", () => readManifest({})],
    ["another statement", () => readManifest({ ...signManifest(make(), publisher), payload: "e30=" })],
  ])("with %s is refused", (_, act) => {
    expect(act).toThrow(malformed);
  });
});
