import { type Hex, toHex } from "@countersign/core";
import { fault } from "../attestation.ts";
import { readPem } from "../x509.ts";

/** What an SGX enclave's report says (Intel SDM volume 3D, REPORT): 384 bytes. */
export type SgxBody = {
  readonly kind: "sgx";
  readonly cpuSvn: Hex;
  /** Little-endian, as it stands in memory. */
  readonly miscSelect: Uint8Array;
  /** Eight bytes of flags, eight of XFRM. */
  readonly attributes: Uint8Array;
  readonly mrEnclave: Hex;
  readonly mrSigner: Hex;
  readonly isvProdId: number;
  readonly isvSvn: number;
  /** Set by who starts the enclave (key separation and sharing): part of what runs. */
  readonly configId: Hex;
  readonly configSvn: number;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** Whether any byte without a meaning is set. */
  readonly reservedSet: boolean;
};

/** What a trust domain's report says (Intel TDX module ABI, TD Quoting Library): 584 bytes, 648 in TDX 1.5. */
export type TdBody = {
  readonly kind: "tdx";
  /** 16 bytes. */
  readonly teeTcbSvn: Uint8Array;
  readonly mrSeam: Hex;
  readonly mrSignerSeam: Hex;
  readonly seamAttributes: Uint8Array;
  readonly tdAttributes: Uint8Array;
  readonly xfam: Uint8Array;
  readonly mrTd: Hex;
  readonly mrConfigId: Hex;
  readonly mrOwner: Hex;
  readonly mrOwnerConfig: Hex;
  readonly rtmrs: readonly [Hex, Hex, Hex, Hex];
  readonly reportData: Uint8Array;
  /** TDX 1.5 alone: the level after the module's update while the domain ran, and the service domain that may move it. */
  readonly newer: { readonly teeTcbSvn2: Uint8Array; readonly mrServiceTd: Hex } | null;
};

/** A DCAP quote (Intel TDX DCAP Quoting Library API, appendix A; SGX ECDSA QuoteLibReference, appendix A). */
export type Quote = {
  readonly version: 3 | 4 | 5;
  /** 2 is ECDSA over P-256. */
  readonly keyType: number;
  readonly qeVendor: Hex;
  readonly body: SgxBody | TdBody;
  /** Header and body: what the attestation key signs. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** x ‖ y. */
  readonly attestationKey: Uint8Array;
  /** The quoting enclave's own report, which the platform's certificate signs. */
  readonly qeReport: Uint8Array;
  readonly qe: SgxBody;
  readonly qeSignature: Uint8Array;
  readonly qeAuthData: Uint8Array;
  /** DER of the PCK chain, leaf first. */
  readonly chain: readonly Uint8Array[];
};

const longest = 32_768;
const bodies: Readonly<Record<number, readonly [kind: "sgx" | "tdx", size: number]>> = {
  1: ["sgx", 384],
  2: ["tdx", 584],
  3: ["tdx", 648],
};
const teeTypes = { sgx: 0, tdx: 0x81 } as const;

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Quote: ${why}`);
const isZero = (bytes: Uint8Array): boolean => bytes.every((b) => b === 0);

/** Takes parts from the front; little-endian. */
class Cursor {
  readonly bytes: Uint8Array;
  at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  take(size: number): Uint8Array {
    if (this.at + size > this.bytes.length) bad("it ends inside a part");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  number(width: 2 | 4): number {
    return this.take(width).reduceRight((n, b) => n * 256 + b, 0);
  }

  rest(): Uint8Array {
    return this.bytes.subarray(this.at);
  }

  end(what: string): void {
    if (this.at !== this.bytes.length) fault("TEE_TRAILING_DATA", `Bytes stand behind ${what}.`);
  }
}

function readSgxBody(b: Uint8Array): SgxBody {
  const number = (at: number) => (b[at] as number) + 256 * (b[at + 1] as number);
  return {
    kind: "sgx",
    cpuSvn: toHex(b.subarray(0, 16)),
    miscSelect: b.subarray(16, 20),
    attributes: b.subarray(48, 64),
    mrEnclave: toHex(b.subarray(64, 96)),
    mrSigner: toHex(b.subarray(128, 160)),
    configId: toHex(b.subarray(192, 256)),
    isvProdId: number(256),
    isvSvn: number(258),
    configSvn: number(260),
    reportData: b.subarray(320, 384),
    reservedSet: [b.subarray(20, 32), b.subarray(96, 128), b.subarray(160, 192), b.subarray(262, 304)].some(
      (part) => !isZero(part),
    ),
  };
}

function readTdBody(b: Uint8Array): TdBody {
  const register = (at: number) => toHex(b.subarray(at, at + 48));
  return {
    kind: "tdx",
    teeTcbSvn: b.subarray(0, 16),
    mrSeam: register(16),
    mrSignerSeam: register(64),
    seamAttributes: b.subarray(112, 120),
    tdAttributes: b.subarray(120, 128),
    xfam: b.subarray(128, 136),
    mrTd: register(136),
    mrConfigId: register(184),
    mrOwner: register(232),
    mrOwnerConfig: register(280),
    rtmrs: [register(328), register(376), register(424), register(472)],
    reportData: b.subarray(520, 584),
    newer: b.length === 648 ? { teeTcbSvn2: b.subarray(584, 600), mrServiceTd: register(600) } : null,
  };
}

/** Version 5 names its body's type and size; before it the header's TEE type says which body follows. */
function readBody(version: number, teeType: number, cursor: Cursor): SgxBody | TdBody {
  const type = version === 5 ? cursor.number(2) : teeType === teeTypes.sgx ? 1 : 2;
  const [kind, size] = bodies[type] ?? bad(`a body of type ${type}`);
  if (version === 5 && cursor.number(4) !== size) bad("a body of another size than its type's");
  if (teeTypes[kind] !== teeType || (version === 3 && kind !== "sgx")) bad(`TEE type ${teeType} in version ${version}`);
  const bytes = cursor.take(size);
  return kind === "sgx" ? readSgxBody(bytes) : readTdBody(bytes);
}

/**
 * PEM text of a chain: newlines and printable characters alone, for any other white space would be a second spelling.
 *
 * @throws TEE_EVIDENCE_MALFORMED
 */
export function readChainText(text: string): readonly Uint8Array[] {
  if (!/^[\n\r\x20-\x7e]*$/.test(text)) bad("characters in a certificate chain that PEM has not");
  return readPem(text);
}

/** Type 5: the PCK chain as PEM, leaf first, with or without the zero byte that ends a text in C. */
function readCertification(cursor: Cursor): readonly Uint8Array[] {
  const type = cursor.number(2);
  if (type !== 5) bad(`certification data of type ${type}; a PCK certificate chain (5) is needed`);
  const bytes = cursor.take(cursor.number(4));
  const text = bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
  return readChainText(Array.from(text, (b) => String.fromCharCode(b)).join(""));
}

/**
 * Reads a quote and judges nothing about it but its form. No byte behind the signature data is signed: zeros alone may
 * stand there, as platforms pad their buffers.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA
 */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > longest) bad(`longer than ${longest} bytes`);
  const cursor = new Cursor(bytes);
  const header = new Cursor(cursor.take(48));
  const [version, keyType, teeType] = [header.number(2), header.number(2), header.number(4)];
  if (version !== 3 && version !== 4 && version !== 5) return bad(`version ${version}`);
  const body = readBody(version, teeType, cursor);
  const signed = bytes.subarray(0, cursor.at);
  const data = new Cursor(cursor.take(cursor.number(4)));
  if (!isZero(cursor.rest())) fault("TEE_TRAILING_DATA", "Bytes that nothing signs stand behind the signature data.");
  const [signature, attestationKey] = [data.take(64), data.take(64)];
  let inner = data;
  if (version > 3) {
    // From version 4 on the quoting enclave's report and the chain lie in certification data of type 6.
    if (data.number(2) !== 6) bad("certification data that holds no report of the quoting enclave");
    inner = new Cursor(data.take(data.number(4)));
    data.end("the certification data");
  }
  const [qeReport, qeSignature] = [inner.take(384), inner.take(64)];
  const qeAuthData = inner.take(inner.number(2));
  const chain = readCertification(inner);
  inner.end("the PCK certificate chain");
  return {
    version,
    keyType,
    qeVendor: toHex(header.bytes.subarray(12, 28)),
    body,
    signed,
    signature,
    attestationKey,
    qeReport,
    qe: readSgxBody(qeReport),
    qeSignature,
    qeAuthData,
    chain,
  };
}
