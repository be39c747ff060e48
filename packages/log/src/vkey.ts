import {
  CountersignError,
  concat,
  equalBytes,
  fromBase64,
  type Hex,
  isSoundKey,
  sha256,
  toBase64,
  toHex,
  utf8,
} from "@countersign/core";

/** What a key signs: whole notes (type 0x01), or timestamped checkpoint cosignatures (type 0x04). */
export type KeyUse = "note" | "cosignature";

/** A public key under a name, as notes and policies refer to it. */
export type VerifierKey = {
  readonly name: string;
  readonly use: KeyUse;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** First four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ key): an identifier, never an authenticator. */
  readonly id: Hex;
};

const types: Readonly<Record<KeyUse, number>> = { note: 0x01, cosignature: 0x04 };
const forbidden = /[\p{White_Space}+\p{Cc}]/u;

const malformed = (message: string, why?: string) => new CountersignError("NOTE_MALFORMED", { message, why });

/** Whether a key name is one: not empty, no white space, no plus, no control character (C2SP signed-note). */
export function isKeyName(name: string): boolean {
  return name.length > 0 && name.isWellFormed() && !forbidden.test(name);
}

/** A verifier key from its parts. @throws CountersignError NOTE_MALFORMED for a bad name or a key that is no sound Ed25519 point. */
export function verifierKey(name: string, use: KeyUse, publicKey: Uint8Array): VerifierKey {
  if (!isKeyName(name)) throw malformed("A key name is empty or holds white space, a plus or a control character.");
  if (!isSoundKey(publicKey))
    throw malformed(
      `The key of ${name} is not an Ed25519 public key that every library reads alike.`,
      "Keys of small order sign every message.",
    );
  const material = concat(Uint8Array.of(types[use]), publicKey);
  const id = toHex(sha256(concat(utf8(name), Uint8Array.of(0x0a), material)).subarray(0, 4));
  return { name, use, publicKey, id };
}

/** `name+hex8+base64(type ‖ key)` (C2SP signed-note, Verifier keys). */
export function formatVkey(key: VerifierKey): string {
  return `${key.name}+${key.id}+${toBase64(concat(Uint8Array.of(types[key.use]), key.publicKey))}`;
}

/**
 * Reads a verifier key.
 *
 * @throws CountersignError NOTE_MALFORMED for another form, another algorithm, or an id that is not the key's own.
 * @example parseVkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").name // "example.com/foo"
 */
export function parseVkey(text: string): VerifierKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/u.exec(text);
  if (!match) throw malformed("A verifier key is not of the form name+id+key.");
  const [, name = "", id, material = ""] = match;
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(material);
  } catch (cause) {
    throw new CountersignError("NOTE_MALFORMED", { message: `The key of ${name} is not canonical base64.`, cause });
  }
  const use = (["note", "cosignature"] as const).find((use) => types[use] === bytes[0]);
  if (use === undefined || bytes.length !== 33)
    throw malformed(`The key of ${name} is neither an Ed25519 note key nor an Ed25519 cosignature key.`);
  const key = verifierKey(name, use, bytes.subarray(1));
  if (key.id !== id) throw malformed(`The key of ${name} carries another key's id.`);
  return key;
}

/** Whether two verifier keys are one: same name, use and key. */
export function sameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.use === b.use && equalBytes(a.publicKey, b.publicKey);
}
