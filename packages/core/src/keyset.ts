import * as z from "zod";
import { type Hex, toHex } from "./bytes.ts";
import { canonicalBytes } from "./canonical.ts";
import { sha256, taggedHash } from "./hash.ts";
import { hex32, milliseconds, network } from "./shapes.ts";

const hex33 = z.string().regex(/^0[23][0-9a-f]{64}$/, "expected a compressed secp256k1 key");

/** A key of an attested keyset: one use, and the one algorithm of that use. */
const attestedKeyShape = z.discriminatedUnion("use", [
  /** Signs statements: the issuer of receipts. */
  z.strictObject({ use: z.literal("receipt"), algorithm: z.literal("ed25519"), key: hex32 }),
  /** Opens sealed requests (spec/channel.md). */
  z.strictObject({ use: z.literal("channel"), algorithm: z.literal("x25519"), key: hex32 }),
  /** Signs for contracts. */
  z.strictObject({ use: z.literal("settlement"), algorithm: z.literal("secp256k1"), key: hex33 }),
  /** SHA-256 of the SubjectPublicKeyInfo of a TLS certificate. */
  z.strictObject({ use: z.literal("tls"), algorithm: z.literal("spki-sha256"), key: hex32 }),
]);

const isSorted = (list: readonly string[]) => list.every((v, i) => i === 0 || (list[i - 1] as string) < v);

/** What measured code attests: keys that were born inside it, and what it holds (spec/tee.md §2). A change is a new keyset. */
export const keysetShape = z.strictObject({
  suite: z.literal("countersign/keyset/v1"),
  network,
  /** `inference`: the weights were hashed inside. `proxy`: it asks another host. */
  scope: z.enum(["inference", "proxy"]),
  /** Milliseconds after which no key of it signs anything; at most a day after the document. */
  notAfter: milliseconds,
  /** Digests of the model manifests that were measured before the keys were made; sorted, each once. */
  models: z.array(hex32).max(64).refine(isSorted, "not sorted, or one stands twice"),
  /** GPUs whose evidence must come with the document. */
  gpus: z.number().int().min(0).max(16),
  /** One key a use. */
  keys: z
    .array(attestedKeyShape)
    .min(1)
    .max(4)
    .refine((keys) => isSorted(keys.map((k) => k.use)), "keys are sorted by use, one for each"),
});
export type Keyset = z.infer<typeof keysetShape>;
export type KeyUse = Keyset["keys"][number]["use"];

/** Longest life of a keyset, milliseconds. */
export const longestKeyset = 86_400_000;

/** Digest by which receipts and registrations name a keyset. */
export const keysetDigest = (keyset: Keyset): Hex => toHex(taggedHash("countersign/keyset/v1", canonicalBytes(keyset)));

/** The key of a use, or undefined. */
export const keyFor = (keyset: Keyset, use: KeyUse): string | undefined => keyset.keys.find((k) => k.use === use)?.key;

/**
 * The 32 bytes that a document must carry: `SHA-256` of the purpose-tagged statement about a keyset.
 *
 * @param nonce 32 bytes drawn by whoever asked for the document; null where nobody asked.
 */
export const keysetBinding = (keyset: Hex, nonce: Hex | null): Uint8Array =>
  sha256(canonicalBytes({ keyset, nonce, purpose: "countersign/tee-keyset/v1" }));

/** The nonce that GPU evidence must carry to belong to a CPU document's statement. */
export const gpuNonce = (binding: Uint8Array): Uint8Array => taggedHash("countersign/gpu/v1", binding);
