import { type DecodeOptions, decode, encode } from "cborg";
import { fault } from "../attestation.ts";
import { type Certificate, parseCertificate } from "../x509.ts";

/** An attestation document of the Nitro Secure Module, decoded and not judged. */
export type NitroDocument = {
  /** COSE algorithm of the protected header; null where the header says anything besides. */
  readonly algorithm: number | null;
  /** What the signature is over: COSE's Sig_structure, around the payload's bytes as they stand. */
  readonly signed: Uint8Array;
  /** r ‖ s. */
  readonly signature: Uint8Array;
  readonly moduleId: string;
  /** Name of the registers' hash function. */
  readonly digest: string;
  /** Milliseconds. */
  readonly timestamp: number;
  /** 48 bytes each. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  /** Root first, leaf last. */
  readonly certificates: readonly Certificate[];
  readonly publicKey: Uint8Array | null;
  readonly userData: Uint8Array | null;
  readonly nonce: Uint8Array | null;
};

/** Limits of the format (AWS, "Nitro Enclaves attestation process"), bytes; `links` bounds the chain above the leaf. */
const most = { document: 16_384, certificate: 1024, publicKey: 1024, data: 512, registers: 32, links: 8 } as const;

const exact = {
  strict: true,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  tags: {},
} as const satisfies DecodeOptions;
/** What the module itself writes inside has maps of indefinite length; the frame around it never does. */
const inside: DecodeOptions = { ...exact, allowIndefinite: true };

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", why);

/** Reads one CBOR item with nothing behind it: no tags, no key twice, lengths and numbers in their shortest form. */
export function readCbor(bytes: Uint8Array, indefinite: "indefinite maps" | "definite"): unknown {
  try {
    return decode(bytes, indefinite === "definite" ? exact : inside);
  } catch {
    return bad("A part of it is not CBOR, or not the one encoding of what it says.");
  }
}

const isBytes = (value: unknown, least: number, greatest: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length >= least && value.length <= greatest;

/**
 * Decodes a COSE_Sign1 message (RFC 9052 §4.2), optionally tagged 18, around a Nitro attestation document.
 *
 * A wrapped document is malformed here: frames are for `frames.ts`, by their own grammar.
 *
 * @throws TEE_EVIDENCE_MALFORMED
 */
export function readNitroDocument(bytes: Uint8Array): NitroDocument {
  if (bytes.length > most.document) bad(`A document has at most ${most.document} bytes.`);
  const parts = readCbor(bytes[0] === 0xd2 ? bytes.subarray(1) : bytes, "definite");
  if (!Array.isArray(parts) || parts.length !== 4) return bad("It is not a COSE_Sign1 message.");
  const [head, open, payload, signature] = parts;
  if (!isBytes(head, 1, 64) || !isBytes(payload, 1, most.document) || !isBytes(signature, 0, 1024))
    return bad("It is not a COSE_Sign1 message.");
  // Nothing signs this header: whatever stands there could be anybody's.
  if (!(open instanceof Map) || open.size > 0) return bad("Its unprotected header is not empty.");
  return {
    algorithm: readAlgorithm(head),
    signed: signedBytes(head, payload),
    signature,
    ...readPayload(payload),
  };
}

function readAlgorithm(head: Uint8Array): number | null {
  const header = readCbor(head, "definite");
  if (!(header instanceof Map)) return bad("Its protected header is no map.");
  const algorithm = header.size === 1 ? header.get(1) : undefined;
  return typeof algorithm === "number" ? algorithm : null;
}

const required = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"];
const known = new Set([...required, "public_key", "user_data", "nonce"]);

function readPayload(payload: Uint8Array): Omit<NitroDocument, "algorithm" | "signed" | "signature"> {
  const fields = readCbor(payload, "indefinite maps");
  if (!(fields instanceof Map)) return bad("Its payload is no map.");
  for (const name of fields.keys()) if (!known.has(name)) bad("It has a field that is not known.");
  for (const name of required) if (!fields.has(name)) bad(`It has no ${name}.`);
  const [moduleId, digest, timestamp] = [fields.get("module_id"), fields.get("digest"), fields.get("timestamp")];
  if (typeof moduleId !== "string" || moduleId === "") return bad("Its module_id is no name.");
  if (typeof digest !== "string") return bad("Its digest is no name.");
  if (!Number.isSafeInteger(timestamp) || timestamp <= 0) return bad("Its timestamp is no time.");
  const optional = (name: string, least: number, greatest: number): Uint8Array | null => {
    const value: unknown = fields.get(name);
    // The format's text forbids null; the module writes it for what was not given.
    if (value === undefined || value === null) return null;
    return isBytes(value, least, greatest) ? value : bad(`Its ${name} is not ${least} to ${greatest} bytes.`);
  };
  return {
    moduleId,
    digest,
    timestamp,
    pcrs: readRegisters(fields.get("pcrs")),
    certificates: readCertificates(fields.get("cabundle"), fields.get("certificate")),
    publicKey: optional("public_key", 1, most.publicKey),
    userData: optional("user_data", 0, most.data),
    nonce: optional("nonce", 0, most.data),
  };
}

/** Registers of SHA-384 alone: the format also allows 32 and 64 bytes, which no enclave has. */
function readRegisters(value: unknown): ReadonlyMap<number, Uint8Array> {
  if (!(value instanceof Map)) return bad("Its pcrs are no registers.");
  for (const [index, register] of value)
    if (!Number.isInteger(index) || index < 0 || index >= most.registers || !isBytes(register, 48, 48))
      bad("One of its pcrs is no register of 48 bytes.");
  for (const index of [0, 1, 2]) if (!value.has(index)) bad(`PCR ${index} is not there.`);
  return value;
}

function readCertificates(bundle: unknown, leaf: unknown): readonly Certificate[] {
  if (!Array.isArray(bundle) || bundle.length < 1 || bundle.length > most.links)
    return bad("Its cabundle is no chain.");
  return [...bundle, leaf].map((der) =>
    isBytes(der, 1, most.certificate)
      ? parseCertificate(der)
      : bad(`A certificate is not 1 to ${most.certificate} bytes.`),
  );
}

/** User data that nitriding writes: two SHA-256 multihashes, of its TLS certificate and what the application gave it. */
export function applicationHash(userData: Uint8Array): Uint8Array | undefined {
  const isSha256 = (at: number) => userData[at] === 0x12 && userData[at + 1] === 0x20;
  return userData.length === 68 && isSha256(0) && isSha256(34) ? userData.subarray(36) : undefined;
}

/** Sig_structure of COSE_Sign1 without external data (RFC 9052 §4.4): what the module signs. */
export const signedBytes = (head: Uint8Array, payload: Uint8Array): Uint8Array =>
  encode(["Signature1", head, new Uint8Array(), payload]);
