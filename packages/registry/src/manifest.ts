import {
  CountersignError,
  canonicalBytes,
  concat,
  type Envelope,
  fromBase64,
  fromHex,
  type Hex,
  hex32,
  isSignedBy,
  name,
  parseCanonical,
  readStatement,
  type Signer,
  type Suite,
  sha256Hex,
  signStatement,
  taggedHash,
  toHex,
} from "@countersign/core";
import * as z from "zod";

/** Predicate type of OpenSSF Model Signing v1.0: exactly one subject, the files in the predicate. */
export const manifestType = "https://model_signing/signature/v1.0";

const text = z.string().min(1).max(256);
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/, "expected a plain file name");
const size = z.number().int().min(0);

/** What Model Signing says about files, and in `countersign` what it has no word for. */
const predicateShape = z.strictObject({
  serialization: z.strictObject({
    method: z.literal("files"),
    hash_type: z.literal("sha256"),
    allow_symlinks: z.literal(false),
  }),
  resources: z
    .array(z.strictObject({ name: fileName, algorithm: z.literal("sha256"), digest: hex32 }))
    .min(1)
    .max(256),
  countersign: z.strictObject({
    suite: z.literal("countersign/manifest/v1"),
    title: text,
    /** What it does in a word or two: `chat`, `voice-activity`. */
    job: text,
    architecture: text,
    /** The engine that loads it and the file it loads. */
    engine: z.enum(["llama.cpp", "onnxruntime", "upstream"]),
    entry: fileName,
    /** Precision of the weights; `unknown` is a value, and fails a floor loudly. */
    quantisation: text,
    parameters: z.number().int().min(0).nullable(),
    /** Licence of the weights and where it is stated. */
    licence: text,
    /** SHA-256 of the tokenizer's and the chat template's bytes where they are stated apart; null inside the weights. */
    tokenizer: hex32.nullable(),
    chatTemplate: hex32.nullable(),
    /** Size and chunk-tree root of each resource, in the same order. */
    files: z
      .array(z.strictObject({ name: fileName, size, chunkRoot: hex32 }))
      .min(1)
      .max(256),
  }),
});

/** Content of a manifest: the subject's name and the predicate. */
export type Manifest = { readonly name: string; readonly predicate: z.infer<typeof predicateShape> };
/** Our own part of a manifest. */
export type ModelFacts = Omit<Manifest["predicate"]["countersign"], "suite" | "files">;

/** A file as a manifest names it. */
export type ManifestFile = {
  readonly name: string;
  readonly size: number;
  readonly sha256: Hex;
  readonly chunkRoot: Hex;
};

/** Makes a manifest's content; files are put into the order of their names. */
export function makeManifest(id: string, facts: ModelFacts, files: readonly ManifestFile[]): Manifest {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  return checkManifest({
    name: id,
    predicate: {
      serialization: { method: "files", hash_type: "sha256", allow_symlinks: false },
      resources: sorted.map((f) => ({ name: f.name, algorithm: "sha256", digest: f.sha256 })),
      countersign: {
        suite: "countersign/manifest/v1",
        ...facts,
        files: sorted.map((f) => ({ name: f.name, size: f.size, chunkRoot: f.chunkRoot })),
      },
    },
  });
}

const malformed = (why: string | undefined, cause?: unknown): CountersignError =>
  new CountersignError("MANIFEST_MALFORMED", {
    message: "This is not a model manifest of version 1.",
    why,
    cause,
  });

function checkManifest(manifest: Manifest): Manifest {
  const id = name.safeParse(manifest.name);
  if (!id.success) throw malformed("The model's name holds white space or control characters, or is too long.");
  const parsed = predicateShape.safeParse(manifest.predicate);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error).split("\n").slice(0, 3).join(" "), parsed.error);
  const { resources, countersign } = parsed.data;
  const names = resources.map((r) => r.name);
  // The subject's digest is over the digests in name order, so the order is part of the meaning.
  if (names.some((n, i) => i > 0 && (names[i - 1] as string) >= n)) throw malformed("Its files are not in name order.");
  if (countersign.files.map((f) => f.name).join("/") !== names.join("/"))
    throw malformed("Sizes and chunk roots do not name the same files.");
  if (!names.includes(countersign.entry)) throw malformed("The file that the engine loads is not among its files.");
  return { name: manifest.name, predicate: parsed.data };
}

/** Model Signing's subject digest: SHA-256 over the raw file digests, concatenated in name order. */
export const subjectDigest = (manifest: Manifest): Hex =>
  sha256Hex(concat(...manifest.predicate.resources.map((r) => fromHex(r.digest))));

/** The model's identity everywhere in Countersign: over all of the content, not over the files alone. */
export const modelDigest = (manifest: Manifest): Hex =>
  toHex(taggedHash("countersign/manifest/v1", canonicalBytes(manifest)));

/** Signs a manifest as its publisher. */
export const signManifest = (manifest: Manifest, publisher: Signer): Envelope =>
  signStatement(
    {
      name: manifest.name,
      subject: subjectDigest(manifest),
      predicateType: manifestType,
      predicate: manifest.predicate,
    },
    publisher,
  );

/** A manifest as read, with its digest. */
export type ReadManifest = { readonly manifest: Manifest; readonly digest: Hex; readonly envelope: Envelope };

/** Reads a manifest; checks its form, not its signature. @throws MANIFEST_MALFORMED */
export function readManifest(envelope: unknown): ReadManifest {
  try {
    const read = readStatement(envelope, {
      name: subjectName(envelope),
      predicateType: manifestType,
      predicate: predicateShape,
    });
    const manifest = checkManifest({ name: subjectName(envelope), predicate: read.predicate });
    if (read.subject !== subjectDigest(manifest)) throw malformed("Its subject is not the digest over its files.");
    return { manifest, digest: modelDigest(manifest), envelope: read.envelope };
  } catch (cause) {
    if (CountersignError.is(cause, "MANIFEST_MALFORMED")) throw cause;
    throw malformed(cause instanceof Error ? cause.message.split("\n")[0] : undefined, cause);
  }
}

// The subject is called as the model is, and the reader of envelopes wants to be told the name: look before reading.
function subjectName(envelope: unknown): string {
  const outer = z.object({ payload: z.string().max(1 << 20) }).parse(envelope);
  const inner = z.object({ subject: z.tuple([z.object({ name })]) });
  return inner.parse(parseCanonical(fromBase64(outer.payload))).subject[0].name;
}

/**
 * Reads a manifest and checks that one of the given publishers signed it.
 *
 * @returns with it the publisher's key
 * @throws MANIFEST_MALFORMED, MANIFEST_SIGNATURE_INVALID
 */
export function verifyManifest(
  envelope: unknown,
  publishers: readonly Hex[],
  suite: Suite,
): ReadManifest & { readonly publisher: Hex } {
  const read = readManifest(envelope);
  const publisher = publishers.find((key) => isSignedBy(read.envelope, key, suite));
  if (publisher === undefined) {
    throw new CountersignError("MANIFEST_SIGNATURE_INVALID", {
      message: `The manifest of ${read.manifest.name} is signed by none of the publishers that are trusted.`,
      remedy: "Name its publisher's key in the trust file if you trust it, or get the manifest from its publisher.",
    });
  }
  return { ...read, publisher };
}

/** Sigstore bundle v0.3 around a manifest: the form in which Model Signing tools keep a `model.sig`. */
export function toSigstoreBundle(envelope: Envelope): object {
  return {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: envelope.signatures[0]?.keyid ?? "" }, tlogEntries: [] },
    dsseEnvelope: {
      payload: envelope.payload,
      payloadType: envelope.payloadType,
      signatures: envelope.signatures.map(({ sig, keyid }) => ({ sig, keyid })),
    },
  };
}
