import { fault } from "../attestation.ts";

/** Bytes of a report, and of the part of it that is signed (AMD 56860, "ATTESTATION_REPORT"). */
export const reportSize = 1184;
export const signedSize = 0x2a0;

/** What signed the report, by KEY_INFO: the chip's own key, or one that AMD gave a cloud provider. */
export type SigningKey = "vcek" | "vlek";

/** An SEV-SNP attestation report of version 2 to 5, in AMD's names. All views, no copies. */
export type SnpReport = {
  readonly version: number;
  readonly guestSvn: number;
  readonly policy: bigint;
  readonly familyId: Uint8Array;
  readonly imageId: Uint8Array;
  readonly vmpl: number;
  /** 1 is ECDSA P-384 with SHA-384, the only one there is. */
  readonly signatureAlgorithm: number;
  readonly platformInfo: bigint;
  /** Number of the kind of key that signed: 0 VCEK, 1 VLEK, 7 none. */
  readonly signingKey: number;
  readonly maskChipKey: boolean;
  readonly authorKeyEnabled: boolean;
  /** 64 bytes that the guest chose. */
  readonly reportData: Uint8Array;
  readonly measurement: Uint8Array;
  readonly hostData: Uint8Array;
  readonly idKeyDigest: Uint8Array;
  readonly authorKeyDigest: Uint8Array;
  readonly reportId: Uint8Array;
  /** 8 bytes each; what they mean goes by the processor's family. */
  readonly tcb: Readonly<Record<"current" | "reported" | "committed" | "launch", Uint8Array>>;
  /** Family, model and stepping; from version 3. */
  readonly cpuid: { readonly family: number; readonly model: number; readonly stepping: number } | null;
  /** 64 bytes; all zero where the host masks it. */
  readonly chipId: Uint8Array;
  readonly firmware: Readonly<Record<"current" | "committed", string>>;
  /** Mitigations in force at launch and now; from version 5. */
  readonly mitigations: { readonly launch: bigint; readonly current: bigint } | null;
  readonly signed: Uint8Array;
  /** r ‖ s, 96 bytes big-endian. */
  readonly signature: Uint8Array;
  /** Whether everything behind the two numbers of the signature, which nothing signs, is zero. */
  readonly unsignedZero: boolean;
};

const isZero = (bytes: Uint8Array): boolean => bytes.every((b) => b === 0);

/**
 * Reads a report and judges its form alone.
 *
 * Bytes that the version reserves must be zero: others are another layout than the one that is read here.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA
 */
export function parseReport(bytes: Uint8Array): SnpReport {
  if (bytes.length > reportSize)
    fault("TEE_TRAILING_DATA", `A report has ${reportSize} bytes; ${bytes.length} are here.`);
  if (bytes.length < reportSize)
    fault("TEE_EVIDENCE_MALFORMED", `A report has ${reportSize} bytes; ${bytes.length} are here.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const part = (at: number, length: number) => bytes.subarray(at, at + length);
  const version = view.getUint32(0, true);
  if (version < 2 || version > 5) fault("TEE_EVIDENCE_MALFORMED", `Reports of version ${version} are not known.`);
  const keyInfo = view.getUint32(0x48, true);
  const reserved: readonly (readonly [number, number])[] = [
    [0x4c, 0x50],
    [version >= 3 ? 0x18b : 0x188, 0x1a0],
    [0x1eb, 0x1ec],
    [0x1ef, 0x1f0],
    [version >= 5 ? 0x208 : 0x1f8, signedSize],
  ];
  if (keyInfo >>> 5 !== 0 || !reserved.every(([from, to]) => isZero(bytes.subarray(from, to))))
    fault("TEE_EVIDENCE_MALFORMED", `Bytes that version ${version} reserves are not zero.`);
  const build = (at: number) => `${bytes[at + 2]}.${bytes[at + 1]}.${bytes[at]}`;
  return {
    version,
    guestSvn: view.getUint32(4, true),
    policy: view.getBigUint64(8, true),
    familyId: part(0x10, 16),
    imageId: part(0x20, 16),
    vmpl: view.getUint32(0x30, true),
    signatureAlgorithm: view.getUint32(0x34, true),
    platformInfo: view.getBigUint64(0x40, true),
    signingKey: (keyInfo >> 2) & 7,
    maskChipKey: (keyInfo & 2) !== 0,
    authorKeyEnabled: (keyInfo & 1) !== 0,
    reportData: part(0x50, 64),
    measurement: part(0x90, 48),
    hostData: part(0xc0, 32),
    idKeyDigest: part(0xe0, 48),
    authorKeyDigest: part(0x110, 48),
    reportId: part(0x140, 32),
    tcb: { current: part(0x38, 8), reported: part(0x180, 8), committed: part(0x1e0, 8), launch: part(0x1f0, 8) },
    cpuid:
      version >= 3
        ? { family: bytes[0x188] as number, model: bytes[0x189] as number, stepping: bytes[0x18a] as number }
        : null,
    chipId: part(0x1a0, 64),
    firmware: { current: build(0x1e8), committed: build(0x1ec) },
    mitigations:
      version >= 5 ? { launch: view.getBigUint64(0x1f8, true), current: view.getBigUint64(0x200, true) } : null,
    signed: part(0, signedSize),
    ...readSignature(bytes),
  };
}

/** r and s stand little-endian in 72 bytes each, of which P-384 uses 48; nothing signs the rest, or what stands behind. */
function readSignature(bytes: Uint8Array): Pick<SnpReport, "signature" | "unsignedZero"> {
  const [r, s] = [signedSize, signedSize + 72];
  const signature = new Uint8Array(96);
  signature.set(bytes.slice(r, r + 48).reverse(), 0);
  signature.set(bytes.slice(s, s + 48).reverse(), 48);
  const rest = [bytes.subarray(r + 48, r + 72), bytes.subarray(s + 48, s + 72), bytes.subarray(s + 72)];
  return { signature, unsignedZero: rest.every(isZero) };
}
