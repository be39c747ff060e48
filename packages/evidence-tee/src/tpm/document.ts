import {
  canonicalBytes,
  concat,
  equalBytes,
  fromBase64,
  fromHex,
  type Hex,
  parseCanonical,
  toBase64,
  toHex,
} from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import * as z from "zod";
import { fault } from "../attestation.ts";

const base64 = z
  .string()
  .max(8192)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/);
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
/** Number of a register as text, without leading zeros. */
const register = z.string().regex(/^(0|[1-9]|1[0-9]|2[0-9]|3[01])$/);

const documentShape = z.strictObject({
  format: z.literal("countersign/tpm-quote/v1"),
  /** TPMS_ATTEST. */
  quote: base64,
  /** TPMT_SIGNATURE. */
  signature: base64,
  /** Values of exactly the selected registers, by number. */
  pcrs: z.record(register, hex32).optional(),
});

/** Values of registers by number. */
export type Registers = ReadonlyMap<number, Uint8Array>;

/** A TPM document: the quote, its signature, and the registers whose digest it holds, where they are given. */
export type TpmDocument = {
  readonly quote: Uint8Array;
  readonly signature: Uint8Array;
  readonly registers: Registers | null;
};

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", why);

/**
 * The one encoding of a TPM document: canonical JSON (RFC 8785)
 * `{"format":"countersign/tpm-quote/v1","pcrs"?:{"8":"<64 hex>"},"quote":"<base64>","signature":"<base64>"}`.
 */
export function tpmDocument(parts: {
  readonly quote: Uint8Array;
  readonly signature: Uint8Array;
  readonly pcrs?: Readonly<Record<string, Hex>>;
}): Uint8Array {
  return canonicalBytes({
    format: "countersign/tpm-quote/v1",
    quote: toBase64(parts.quote),
    signature: toBase64(parts.signature),
    ...(parts.pcrs && { pcrs: parts.pcrs }),
  });
}

/** Reads a TPM document. @throws TEE_EVIDENCE_MALFORMED unless it is in its one encoding */
export function readDocument(bytes: Uint8Array): TpmDocument {
  const { quote, signature, pcrs } = shaped(documentShape, () => parseCanonical(bytes), "The document");
  return {
    quote: fromBase64(quote),
    signature: fromBase64(signature),
    registers: pcrs ? new Map(Object.entries(pcrs).map(([i, value]) => [Number(i), fromHex(value)])) : null,
  };
}

const eventsShape = z
  .array(
    z.strictObject({
      pcr: z.number().int().min(0).max(31),
      digest: hex32,
      /** For people. */
      event: z.string().max(256).optional(),
      /** What was measured: the digest is its SHA-256. */
      payload: z
        .string()
        .max(65_536)
        .regex(/^[A-Za-z0-9+/]*={0,2}$/)
        .optional(),
    }),
  )
  .max(4096);

/**
 * Replays an event log over registers that begin as zeros (those of 0 to 15 do, TCG PC Client Platform TPM Profile).
 *
 * @param log Canonical JSON array of `{"digest":"<64 hex>","event"?:text,"payload"?:"<base64>","pcr":number}`, in the
 * order of measuring.
 * @returns The value of each selected register.
 * @throws TEE_EVIDENCE_MALFORMED; TEE_EVENTLOG_MISMATCH when a digest is not its payload's, or an event belongs to a
 * register that the quote does not hold
 */
export function replay(log: Uint8Array, selected: readonly number[]): Registers {
  const registers = new Map(selected.map((i) => [i, new Uint8Array(32)]));
  for (const { pcr, digest, payload } of shaped(eventsShape, () => parseCanonical(log), "The event log")) {
    const value = registers.get(pcr);
    if (!value) return fault("TEE_EVENTLOG_MISMATCH", `The log has an event of register ${pcr}, which is not quoted.`);
    const measured = fromHex(digest);
    if (payload !== undefined && !equalBytes(sha256(fromBase64(payload)), measured))
      fault("TEE_EVENTLOG_MISMATCH", `A digest of register ${pcr} is not that of what was measured.`);
    registers.set(pcr, sha256(concat(value, measured)));
  }
  return registers;
}

/** Digest over registers in the order of their numbers, as a quote holds it. */
export const digestOf = (registers: Registers, selected: readonly number[]): Uint8Array =>
  sha256(
    concat(...selected.map((i) => registers.get(i) ?? bad(`Register ${i} is quoted, and its value is not there.`))),
  );

/** `{"pcr8": hex, …}`. */
export const namedRegisters = (registers: Registers): Readonly<Record<string, string>> =>
  Object.fromEntries([...registers].map(([i, value]) => [`pcr${i}`, toHex(value)]));

function shaped<T>(shape: z.ZodType<T>, read: () => unknown, what: string): T {
  let value: unknown;
  try {
    value = read();
  } catch {
    return bad(`${what} is not canonical JSON.`);
  }
  const parsed = shape.safeParse(value);
  return parsed.success ? parsed.data : bad(`${what} has other members than it may have.`);
}
