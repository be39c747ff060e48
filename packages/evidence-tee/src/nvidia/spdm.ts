import { equalBytes, fromHex, toHex } from "@countersign/core";
import { fault } from "../attestation.ts";

/** What a GPU signed: SPDM 1.1 GET_MEASUREMENTS and its answer (DMTF DSP0274 §10.11). */
export type GpuReport = {
  /** 32 bytes that the requester drew. */
  readonly nonce: Uint8Array;
  /** The measurement record: every block with its head. */
  readonly record: Uint8Array;
  /** SHA-384 digests by block index, 1 to 64 on Hopper and Blackwell. */
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  /** NVIDIA's vendor fields by their number. */
  readonly opaque: ReadonlyMap<number, Uint8Array>;
  readonly signed: Uint8Array;
  /** r ‖ s. */
  readonly signature: Uint8Array;
};

const requestBytes = 37;
const signatureBytes = 96;
// GET_MEASUREMENTS: version 1.1, every block, signed. MEASUREMENTS: version 1.1. Key slot 0 on both sides.
const requestHead = fromHex("11e001ff");
const answerHead = fromHex("11600000");
const digestBytes = 48;

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `GPU report: ${why}`);

/** Reads from the front and refuses to run over the end. */
function openReader(bytes: Uint8Array) {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) return bad("it ends inside a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  return {
    take,
    /** Little-endian, as all of SPDM. */
    number: (width: 1 | 2 | 3): number => take(width).reduceRight((n, b) => n * 256 + b, 0),
    left: () => bytes.length - at,
  };
}

/** Reads the request and the answer, whole. @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA, TEE_ALG_NOT_ALLOWED */
export function parseReport(bytes: Uint8Array): GpuReport {
  if (bytes.length > 65_536) bad("longer than 64 KiB");
  const reader = openReader(bytes);
  const request = reader.take(requestBytes);
  if (!equalBytes(request.subarray(0, 4), requestHead)) bad("no SPDM 1.1 request for all measurements, signed");
  if (request[36] !== 0) bad("the request asks another key slot than 0");
  if (!equalBytes(reader.take(4), answerHead)) bad("no SPDM 1.1 answer with measurements");
  const count = reader.number(1);
  const record = reader.take(reader.number(3));
  reader.take(32); // The GPU's own nonce.
  const opaque = readOpaque(reader.take(reader.number(2)));
  if (reader.left() < signatureBytes) bad("no room for a signature of P-384");
  if (reader.left() > signatureBytes) fault("TEE_TRAILING_DATA", "Bytes stand behind the GPU's signature.");
  return {
    nonce: request.subarray(4, 36),
    record,
    blocks: readBlocks(record, count),
    opaque,
    signed: bytes.subarray(0, bytes.length - signatureBytes),
    signature: bytes.subarray(bytes.length - signatureBytes),
  };
}

/** Blocks 1, 2, 3, …, each in DMTF's form (§10.11.1): index, specification, size; type, size, digest. */
function readBlocks(record: Uint8Array, count: number): ReadonlyMap<number, Uint8Array> {
  const reader = openReader(record);
  const blocks = new Map<number, Uint8Array>();
  for (let i = 1; i <= count; i++) {
    if (reader.number(1) !== i) bad("a measurement block is missing or stands twice");
    if (reader.number(1) !== 1) bad("a measurement that is not in DMTF's form");
    const block = openReader(reader.take(reader.number(2)));
    const type = block.number(1);
    const digest = block.take(block.number(2));
    if (block.left() > 0) bad("a measurement with more than a digest");
    // Bit 7 marks a value that is no digest.
    if (type & 0x80 || digest.length !== digestBytes)
      fault("TEE_ALG_NOT_ALLOWED", "A measurement is not a digest of SHA-384.");
    blocks.set(i, digest);
  }
  if (reader.left() > 0) bad("the record is longer than its blocks");
  if (blocks.size === 0) bad("no measurement is in it");
  return blocks;
}

function readOpaque(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const reader = openReader(bytes);
  const out = new Map<number, Uint8Array>();
  while (reader.left() > 0) {
    const type = reader.number(2);
    if (out.has(type)) bad("a vendor field stands twice");
    out.set(type, reader.take(reader.number(2)));
  }
  return out;
}

/** Numbers of NVIDIA's vendor fields (nvtrust, local verifier). */
const fieldIds = { driver: 3, vbios: 6, chipSku: 15, project: 17, projectSku: 18, firmwareIdentity: 20 } as const;

/** Text that ends with zeros. */
function readText(bytes: Uint8Array | undefined, what: string): string {
  if (!bytes) return bad(`it names no ${what}`);
  const end = bytes.indexOf(0);
  const text = String.fromCharCode(...(end < 0 ? bytes : bytes.subarray(0, end)));
  // A second text behind the first zero would be shown to nobody.
  if (end >= 0 && bytes.subarray(end).some((b) => b !== 0)) return bad(`text stands behind the ${what}`);
  return /^[\x21-\x7e]{1,64}$/.test(text) ? text : bad(`the ${what} is no plain text`);
}

/** `96.00.A5.00.01` of eight bytes: four of the version, least first, then one more. */
function readVbios(bytes: Uint8Array | undefined): string {
  if (bytes?.length !== 8 || bytes.subarray(5).some((b) => b !== 0)) return bad("the VBIOS version is in another form");
  const order = [3, 2, 1, 0, 4];
  return order.map((i) => toHex(bytes.subarray(i, i + 1)).toUpperCase()).join(".");
}

/** Driver and VBIOS versions: the registers by which a GPU's software is named. */
export const readVersions = ({ opaque }: GpuReport): { readonly driver: string; readonly vbios: string } => ({
  driver: readText(opaque.get(fieldIds.driver), "driver version"),
  vbios: readVbios(opaque.get(fieldIds.vbios)),
});

/** The board, for people; what is not there is left out. */
export function readBoard({ opaque }: GpuReport): Readonly<Record<string, string>> {
  const shown = (["chipSku", "project", "projectSku"] as const).flatMap((name) => {
    const bytes = opaque.get(fieldIds[name]);
    return bytes ? [[name, readText(bytes, name)] as const] : [];
  });
  return Object.fromEntries(shown);
}

/** Digest of the firmware that signed, where the driver reports it (from 570 on). */
export const readFirmwareIdentity = ({ opaque }: GpuReport): Uint8Array | undefined =>
  opaque.get(fieldIds.firmwareIdentity);
