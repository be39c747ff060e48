import {
  CountersignError,
  concat,
  fromBase64,
  fromHex,
  type Hex,
  type Signer,
  type Suite,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";
import { type Failure, failed } from "./check.ts";
import { readCosignature } from "./cosignature.ts";
import { isKeyName, type VerifierKey, verifierKey } from "./vkey.ts";

/** One signature line, unchecked: name and id are a hint to the key. */
export type NoteSignature = { readonly name: string; readonly id: Hex; readonly bytes: Uint8Array };

/** A text and the signatures under it (C2SP signed-note v1.0.0). */
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] };

const maxNoteBytes = 262_144;
const maxSignatures = 64;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the specification forbids exactly these in a note.
const control = /[\u0000-\u0009\u000b-\u001f]/;

const malformed = (message: string, cause?: unknown) => new CountersignError("NOTE_MALFORMED", { message, cause });

/** Reads a signed note; checks no signature. @throws CountersignError NOTE_MALFORMED unless the form is exact. */
export function parseNote(note: string): Note {
  if (note.length > maxNoteBytes) throw malformed(`A note is longer than ${maxNoteBytes} characters.`);
  if (!note.isWellFormed() || control.test(note)) throw malformed("A note holds a control character or no UTF-8.");
  const gap = note.lastIndexOf("\n\n");
  if (gap < 0 || !note.endsWith("\n")) throw malformed("A note has no blank line before its signatures.");
  const lines = note.slice(gap + 2, -1).split("\n");
  if (lines.length > maxSignatures) throw malformed(`A note has more than ${maxSignatures} signatures.`);
  return { text: note.slice(0, gap + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): NoteSignature {
  const [dash, name = "", signature = "", ...rest] = line.split(" ");
  if (dash !== "\u2014" || rest.length > 0 || !isKeyName(name)) throw malformed("A signature line has another form.");
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(signature);
  } catch (cause) {
    throw malformed("A signature is not canonical base64.", cause);
  }
  if (bytes.length < 5) throw malformed("A signature is too short.");
  return { name, id: toHex(bytes.subarray(0, 4)), bytes: bytes.subarray(4) };
}

/** One signature line without its newline. */
export function formatSignatureLine({ name, id, bytes }: NoteSignature): string {
  return `\u2014 ${name} ${toBase64(concat(fromHex(id), bytes))}`;
}

/** The note as text. @throws CountersignError NOTE_MALFORMED when it would not read back. */
export function formatNote({ text, signatures }: Note): string {
  const note = `${text}\n${signatures.map((signature) => `${formatSignatureLine(signature)}\n`).join("")}`;
  if (parseNote(note).text !== text) throw malformed("A note's text must end with a newline.");
  return note;
}

/** A key that signs notes under a name. */
export type NoteSigner = { readonly name: string; readonly signer: Signer };

/** Signs a text (type 0x01, Ed25519 over the text). */
export function signNote(text: string, ...signers: readonly NoteSigner[]): string {
  const signatures = signers.map(({ name, signer }) => {
    const { id } = verifierKey(name, "note", signer.publicKey);
    return { name, id, bytes: signer.sign(utf8(text)) };
  });
  return formatNote({ text, signatures });
}

/** The signatures of both notes over one text, each line once. @throws CountersignError NOTE_MALFORMED for two texts. */
export function mergeNotes(a: Note, b: Note): Note {
  if (a.text !== b.text) throw malformed("Signatures on another text cannot be moved to this note.");
  const lines = new Map([...a.signatures, ...b.signatures].map((s) => [formatSignatureLine(s), s]));
  return { text: a.text, signatures: [...lines.values()] };
}

/** A key whose signature on the note is valid; `time` in seconds for a cosignature, the earliest when there are several. */
export type SignedBy = { readonly key: VerifierKey; readonly time?: number };

/**
 * Checks every signature by a known key.
 *
 * Unknown keys are ignored, also those that share a name or an id with a known one. One failing signature of a known
 * key fails the note, and so does a note without any known key (C2SP signed-note, Signatures).
 */
export function checkNote(claim: {
  readonly note: Note;
  readonly keys: readonly VerifierKey[];
  readonly suite: Suite;
}): { readonly status: "ok"; readonly signedBy: readonly SignedBy[] } | Failure {
  const known = new Map<string, VerifierKey>();
  for (const key of claim.keys) {
    const slot = `${key.name} ${key.id}`;
    if (known.has(slot)) return failed("NOTE_MALFORMED", `Two of the known keys are called ${slot}.`);
    known.set(slot, key);
  }
  const signedBy = new Map<VerifierKey, SignedBy>();
  for (const signature of claim.note.signatures) {
    const key = known.get(`${signature.name} ${signature.id}`);
    if (key === undefined) continue;
    const signed = checkSignature(claim.note.text, signature, key, claim.suite);
    if (signed === undefined)
      return failed("CHECKPOINT_SIGNATURE_INVALID", `The signature of ${key.name} is not valid.`);
    const before = signedBy.get(key);
    if (before === undefined || (signed.time ?? 0) < (before.time ?? 0)) signedBy.set(key, signed);
  }
  if (signedBy.size === 0) return failed("CHECKPOINT_SIGNATURE_INVALID", "No known key signed the note.");
  return { status: "ok", signedBy: [...signedBy.values()] };
}

function checkSignature(text: string, { bytes }: NoteSignature, key: VerifierKey, suite: Suite): SignedBy | undefined {
  if (key.use === "note") return suite.verifyEd25519(bytes, utf8(text), key.publicKey) ? { key } : undefined;
  const cosignature = readCosignature(bytes, text);
  if (cosignature === undefined) return undefined;
  const { signature, message, time } = cosignature;
  return suite.verifyEd25519(signature, message, key.publicKey) ? { key, time } : undefined;
}
